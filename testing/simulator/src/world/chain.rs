//! The chain of a world, its miners, and what each node reads of it and broadcasts to it.
//!
//! Every node follows the chain as a daemon does: from where its process stands, block by block; after a start from the lowest tip
//! that its monitors have read. A crash in the middle leaves the rest for the next start.

use bitcoin::{Amount, Block, BlockHash, FeeRate, OutPoint, Transaction, TxOut, Txid};
use quittance_channel::opening::FundingTransaction;
use quittance_channel::{ChannelState, OfferedHtlc, Side};
use quittance_manager::{ChainEvent, Command, ConnectedBlock, Effect, Enforcement, Input, RequestId, Signing};
use quittance_monitor::{Broadcast, OUTCOME_DEPTH, Tip};
use quittance_onchain_tests::Wallet;
use quittance_primitives::{BlockCount, BlockHeight, ChannelId, NodeId, PaymentPreimage};
use quittance_regtest::{Chain, ChainEvent as Change, ChainParameters, EmbeddedChain, Faucet, MineOptions, Policy};
use quittance_transactions::{
    CommitmentOutput, CommitmentTransaction, HtlcDirection, ObscuringFactor, OutputRole, Role,
};

use super::{NodeIndex, World};

/// Rewards for the faucet to spend, mined before anything else.
const FIRST_BLOCKS: u32 = 12;
/// Coins of each node's wallet.
const COINS: usize = 12;

/// The chain of a world, and its money.
#[derive(Clone, Debug)]
pub struct WorldChain {
    /// The chain, with its mempool.
    pub chain: EmbeddedChain,
    /// Pays for fundings.
    pub faucet: Faucet,
    /// What was broadcast and refused, but for what was there already.
    pub refused: Vec<(NodeIndex, String)>,
    /// Every transaction that closes a channel or claims something of it, as it was broadcast, and by whom.
    pub enforced: Vec<(NodeIndex, Txid)>,
    /// Where each node's process has read the chain to.
    read: Vec<Option<BlockHash>>,
}

impl WorldChain {
    /// A chain with some blocks, and wallets with some coins.
    pub(super) fn new(nodes: u8) -> (Self, Vec<Wallet>) {
        let parameters = ChainParameters {
            coinbase_maturity: 1,
            ..ChainParameters::default()
        };
        let mut chain = EmbeddedChain::new(parameters, Policy::default());
        let mut faucet = Faucet::new();
        chain
            .mine(&MineOptions::empty(FIRST_BLOCKS))
            .expect("empty blocks are valid");
        let wallets = (0..nodes).map(|node| Wallet::new(node + 1, COINS, &mut chain, &mut faucet));
        let wallets = wallets.collect();
        let world = Self {
            chain,
            faucet,
            refused: Vec::new(),
            enforced: Vec::new(),
            read: vec![None; nodes.into()],
        };
        (world, wallets)
    }

    /// The last block, as an engine knows it.
    pub fn tip(&self) -> Tip {
        let tip = self.chain.tip();
        Tip {
            height: tip.height,
            hash: tip.hash,
        }
    }

    /// What the wallet makes for channels: a transaction with a signed segwit input that pays `outputs`.
    pub(super) fn funding(&mut self, outputs: &[TxOut]) -> FundingTransaction {
        let payment = self.faucet.pay(&mut self.chain, outputs);
        FundingTransaction::new(payment, outputs).expect("it pays the outputs")
    }
}

/// A wallet with fewer coins gets more of them when faults have stopped,
const COINS_MIN: usize = 4;
/// namely so many.
const COINS_MORE: usize = 40;

impl World {
    /// The height of the chain's tip.
    pub fn tip(&self) -> BlockHeight {
        self.chain.tip().height
    }

    /// Blocks are found, with whatever pays for them, and everyone reads them.
    pub fn mine(&mut self, blocks: u32) {
        for _ in 0..blocks {
            self.mine_with(&MineOptions::blocks(1));
        }
    }

    /// Blocks are found as `options` say, and everyone reads them.
    ///
    /// # Panics
    /// When the options ask for an invalid block.
    pub fn mine_with(&mut self, options: &MineOptions) {
        self.find_blocks(options);
        self.settle();
    }

    /// Blocks are found as `options` say, and everyone reads them, while what is on its way stays there.
    ///
    /// # Panics
    /// When the options ask for an invalid block.
    pub fn find_blocks(&mut self, options: &MineOptions) {
        self.chain.chain.mine(options).expect("the block is valid");
        self.note_preimages(self.tip());
        self.tell_block();
        self.follow_all();
    }

    fn tell_block(&mut self) {
        let tip = self.chain.chain.tip();
        let block = self.chain.chain.block(&tip.hash).expect("the tip is known");
        if block.txdata.len() > 1 {
            let txids: Vec<_> = block.txdata[1..]
                .iter()
                .map(|one| one.compute_txid().to_string())
                .collect();
            self.tell(|_| format!("block {} holds {}", tip.height.0, txids.join(", ")));
        }
    }

    /// The last `depth` blocks are replaced by one more, mined as `options` say, and everyone reads what became of the chain.
    ///
    /// # Panics
    /// When the options ask for an invalid block.
    pub fn reorg(&mut self, depth: u32, options: &MineOptions) {
        self.replace_blocks(depth, options);
        self.settle();
    }

    /// As [`Self::reorg`], while what is on its way stays there.
    ///
    /// # Panics
    /// When the options ask for an invalid block.
    pub fn replace_blocks(&mut self, depth: u32, options: &MineOptions) {
        self.chain
            .chain
            .reorg(BlockCount(depth), options)
            .expect("the blocks are valid");
        self.note_preimages(self.tip().saturating_sub(BlockCount(depth + options.blocks.0)));
        self.tell(|world| format!("the last {depth} blocks are replaced; the tip is {}", world.tip().0));
        self.follow_all();
    }

    /// Wallets that are nearly empty get coins: change of theirs does not come back to them, as it does to the product's.
    pub fn fill_wallets(&mut self) {
        let WorldChain { chain, faucet, .. } = &mut self.chain;
        for node in &mut self.nodes {
            if node.wallet.coins_left() < COINS_MIN {
                node.wallet.earn(COINS_MORE, chain, faucet);
            }
        }
        self.follow_all();
        self.settle();
    }

    /// Every mempool forgets what is in it.
    pub fn forget_mempool(&mut self) {
        let chain = &mut self.chain.chain;
        let usual = chain.mempool_state().min_feerate();
        chain.set_mempool_min_feerate(FeeRate::from_sat_per_vb_u32(100_000));
        chain.set_mempool_min_feerate(usual);
    }

    pub(super) fn follow_all(&mut self) {
        for node in 0..self.nodes.len() {
            self.follow(node);
        }
    }

    /// A process has started: it reads the chain from where its records end.
    pub(super) fn take_up_chain(&mut self, node: NodeIndex) {
        let Some(process) = &self.nodes[node].process else {
            return;
        };
        let tip = self.chain.tip();
        let mut from = tip;
        let mut fork: Option<Tip> = None;
        for (height, hashes) in process.manager.chain_tips() {
            for hash in hashes {
                let active = self.active_ancestor(Tip { height, hash });
                if active.hash != hash && fork.is_none_or(|fork| active.height < fork.height) {
                    fork = Some(active);
                }
                if active.height < from.height {
                    from = active;
                }
            }
        }
        if let Some(fork) = fork {
            self.input(node, Input::Chain(ChainEvent::Rewound(fork)));
        }
        self.chain.read[node] = Some(from.hash);
        self.follow(node);
    }

    /// The last block that a branch has in common with the active chain.
    fn active_ancestor(&self, mut tip: Tip) -> Tip {
        loop {
            let position = self.chain.chain.block_position(&tip.hash);
            if position.expect("every block is known").active {
                return tip;
            }
            let block = self.chain.chain.block(&tip.hash).expect("every block is known");
            tip = Tip {
                height: tip.height.saturating_sub(BlockCount(1)),
                hash: block.header.prev_blockhash,
            };
        }
    }

    /// A node's process reads what is new in the chain.
    fn follow(&mut self, node: NodeIndex) {
        let Some(read) = self.chain.read[node].filter(|_| self.is_up(node)) else {
            return;
        };
        let changes = self.chain.chain.events_since(&read).expect("every block is known");
        let mut fork = None;
        for change in changes {
            match change {
                Change::BlockDisconnected { height, header } => {
                    fork = Some(Tip {
                        height: height.saturating_sub(BlockCount(1)),
                        hash: header.prev_blockhash,
                    });
                }
                Change::BlockConnected { height, block } => {
                    if let Some(fork) = fork.take() {
                        self.input(node, Input::Chain(ChainEvent::Rewound(fork)));
                    }
                    self.chain.read[node] = Some(block.block_hash());
                    let block = connected(height, self.tip(), &block);
                    self.input(node, Input::Chain(ChainEvent::Connected(Box::new(block))));
                }
            }
            if !self.is_up(node) {
                return;
            }
        }
    }

    /// A node's wallet funds an opening, or the whole batch once its last output is known.
    pub fn fund(&mut self, node: NodeIndex, peer: NodeId, temporary_channel_id: ChannelId, output: TxOut) {
        if self.nodes[node].user.is_out_of_coins {
            self.command(node, Command::AbandonOpening(peer, temporary_channel_id));
            return;
        }
        let wanted = match &mut self.batch {
            None => vec![(peer, temporary_channel_id, output)],
            Some((size, waiting)) => {
                waiting.push((peer, temporary_channel_id, output));
                if waiting.len() < *size {
                    return;
                }
                std::mem::take(waiting)
            }
        };
        let outputs: Vec<_> = wanted.iter().map(|(_, _, output)| output.clone()).collect();
        let funding = Box::new(self.chain.funding(&outputs));
        for (peer, temporary_channel_id, _) in wanted {
            let command = Command::FundChannel {
                peer,
                temporary_channel_id,
                funding: funding.clone(),
            };
            self.command(node, command);
        }
    }

    /// What a node wants to see in the mempool.
    pub(super) fn enforce(&mut self, node: NodeIndex, enforcement: &Enforcement) {
        if let Broadcast::Commitment { commitment, .. } = &enforcement.broadcast {
            let process = self.nodes[node].process.as_ref().expect("its effects are released");
            let state = process
                .manager
                .channel(&enforcement.channel)
                .map(quittance_channel::Channel::state);
            let number =
                state.and_then(|state| ObscuringFactor::of(&state.facts.terms()).number_of(commitment.transaction()));
            let peer = state.map(|state| self.index_of(&state.facts.peer));
            let is_punishable = peer
                .zip(number)
                .is_some_and(|(peer, number)| self.knows_secret(peer, enforcement.channel, number));
            self.checker
                .commitment_broadcast(node, enforcement.channel, number, is_punishable);
        }
        let Self { nodes, .. } = self;
        let node_of = &mut nodes[node];
        let (signer, wallet) = (&node_of.signer, &mut node_of.wallet);
        let package = signer.enforce(enforcement, |request| wallet.fund(request));
        let package: Vec<_> = package.into_iter().map(|one| wallet.sign(one)).collect();
        self.tell(|world| {
            let name = &world.nodes[node].name;
            let txids: Vec<_> = package.iter().map(|one| one.compute_txid().to_string()).collect();
            format!("{name} broadcasts {}", txids.join(", "))
        });
        for transaction in &package {
            self.chain.enforced.push((node, transaction.compute_txid()));
        }
        let refused = match package.as_slice() {
            [] => None,
            [single] => self.chain.chain.submit(single).err().map(|why| why.to_string()),
            _ => self.submit_package(&package),
        };
        if let Some(why) = refused {
            self.tell(|world| {
                let name = &world.nodes[node].name;
                format!("{name} broadcasts for {}, and is refused: {why}", enforcement.channel)
            });
            self.chain.refused.push((node, why));
        }
    }

    fn submit_package(&mut self, package: &[Transaction]) -> Option<String> {
        self.chain
            .chain
            .submit_package(package)
            .err()
            .map(|why| format!("{why:?}"))
    }

    pub(super) fn submit(&mut self, node: NodeIndex, transaction: &Transaction) {
        let submitted = self.chain.chain.submit(transaction);
        self.tell(|world| {
            let name = &world.nodes[node].name;
            let end = match &submitted {
                Ok(_) => String::new(),
                Err(why) => format!(", and is refused: {why}"),
            };
            format!("{name} broadcasts the funding {}{end}", transaction.compute_txid())
        });
        if let Err(why) = submitted {
            self.chain.refused.push((node, why.to_string()));
        }
    }

    /// Whether somebody may still claim an HTLC of a channel that a transaction in the chain has closed; nothing while the channel is not
    /// closed. An output can be claimed until what spends it is buried: its expiry takes nothing from the payee, and what a claim costs may
    /// fall.
    pub(super) fn is_claimable_on_chain(&self, state: &ChannelState, htlc: &OfferedHtlc) -> Option<bool> {
        let chain = &self.chain.chain;
        let closed = chain.spent_by(&state.facts.funding)?;
        let is_buried = |height: BlockHeight| height.depth_at(chain.tip().height) >= OUTCOME_DEPTH;
        let height = closed.height?;
        if !is_buried(height) {
            return Some(true);
        }
        let closing = chain.ledger().transaction(&closed.txid)?;
        let outputs = self.outputs_of(state, htlc, closing);
        Some(outputs.into_iter().any(|outpoint| {
            let spend = chain.spent_by(&outpoint);
            !spend.and_then(|spend| spend.height).is_some_and(is_buried)
        }))
    }

    /// The outputs that may hold an HTLC of ours. Of a commitment that left its signer before the world's eyes the one that does is known;
    /// of any other transaction it may be whatever has the HTLC's value.
    fn outputs_of(&self, state: &ChannelState, htlc: &OfferedHtlc, closing: &Transaction) -> Vec<OutPoint> {
        let terms = state.facts.terms();
        let number = ObscuringFactor::of(&terms).number_of(closing);
        let id = state.facts.channel_id;
        let of_role = |role: Role| {
            let mut contents = self.checker.contents_of(id, role, number?);
            contents.find_map(|contents| {
                let commitment = CommitmentTransaction::build(&terms, contents).ok()?;
                (commitment.transaction().compute_txid() == closing.compute_txid()).then_some(commitment)
            })
        };
        let Some((broadcaster, commitment)) = [Role::Opener, Role::Accepter]
            .into_iter()
            .find_map(|role| Some((role, of_role(role)?)))
        else {
            let value = htlc.terms.amount.to_sat_floor();
            let txid = closing.compute_txid();
            let outputs = (0..).zip(&closing.output).filter(|(_, output)| output.value == value);
            return outputs.map(|(vout, _)| OutPoint { txid, vout }).collect();
        };
        let direction = if broadcaster == state.facts.role(Side::Local) {
            HtlcDirection::Offered
        } else {
            HtlcDirection::Received
        };
        let is_meant = |output: &CommitmentOutput| match output.role {
            OutputRole::Htlc(other) => (other.id, other.direction) == (htlc.terms.id, direction),
            OutputRole::ToBroadcaster
            | OutputRole::ToCountersignatory
            | OutputRole::Anchor(_)
            | OutputRole::SharedAnchor => false,
        };
        commitment
            .outputs()
            .filter(is_meant)
            .map(|output| output.outpoint)
            .collect()
    }

    /// Preimages that stand in a block are known to the world.
    fn note_preimages(&mut self, from: BlockHeight) {
        for height in from.0..=self.tip().0 {
            let hash = self.chain.chain.block_hash(BlockHeight(height));
            let block = hash
                .and_then(|hash| self.chain.chain.block(&hash))
                .expect("it is in the chain");
            let inputs = block.txdata.iter().flat_map(|transaction| &transaction.input);
            let elements = inputs.flat_map(|input| input.witness.iter());
            for element in elements.filter_map(|element| <[u8; 32]>::try_from(element).ok()) {
                self.checker.preimage_left(PaymentPreimage(element));
            }
        }
    }

    /// A node's chain source offers the last blocks once more.
    pub fn offer_again(&mut self, node: NodeIndex, blocks: u32) {
        let tip = self.tip();
        for height in tip.0.saturating_sub(blocks) + 1..=tip.0 {
            let chain = &self.chain.chain;
            let hash = chain.block_hash(BlockHeight(height)).expect("it is in the chain");
            let block = chain.block(&hash).expect("it is in the chain");
            let connected = connected(BlockHeight(height), tip, &block);
            self.input(node, Input::Chain(ChainEvent::Connected(Box::new(connected))));
        }
    }

    /// A node's commitment of a channel as it could broadcast it now, signed by both.
    ///
    /// # Panics
    /// When the node does not run, or may not broadcast a commitment.
    pub fn commitment_of(&self, node: NodeIndex, channel: ChannelId) -> Transaction {
        self.commitment_if_any(node, channel)
            .unwrap_or_else(|| panic!("node {node} may not broadcast its commitment of {channel}"))
    }

    /// As [`Self::commitment_of`]; nothing when the node does not run, cannot write, or may not broadcast a commitment.
    pub(crate) fn commitment_if_any(&self, node: NodeIndex, channel: ChannelId) -> Option<Transaction> {
        let mut copy = self.nodes[node].clone();
        copy.process.as_ref()?;
        let command = Box::new(Command::ForceClose(channel));
        let input = Input::Command {
            request: RequestId(0),
            command,
            finished: None,
        };
        if !copy.handle(input, Signing::Now, self.now_ms, [0; 32]) || copy.store.sync().is_err() {
            return None;
        }
        while let Some(effect) = copy.release() {
            // Others may have waited for a sync.
            if let Effect::Enforce(enforcement) = effect
                && enforcement.channel == channel
            {
                return Some(copy.signer.enforce(&enforcement, |_| None).remove(0));
            }
        }
        None
    }

    /// Where the lowest funding of a channel that somebody knows of stands.
    pub(crate) fn lowest_funding(&self) -> Option<BlockHeight> {
        let processes = self.nodes.iter().filter_map(|node| node.process.as_ref());
        let channels = processes.flat_map(|process| process.manager.channels());
        channels
            .filter_map(|channel| Some(channel.state().funding?.height))
            .min()
    }

    /// What has come to a node's wallet from closed channels, and is confirmed.
    pub fn swept(&self, node: NodeIndex) -> Amount {
        let script = &self.nodes[node].wallet.destination;
        let mut txids: Vec<_> = self.chain.enforced.iter().map(|(_, txid)| *txid).collect();
        txids.sort_unstable();
        txids.dedup();
        let mut sum = Amount::ZERO;
        for txid in txids {
            for vout in 0..4 {
                let coin = self.chain.chain.utxo(&OutPoint { txid, vout });
                sum += coin
                    .filter(|coin| coin.output.script_pubkey == *script)
                    .map_or(Amount::ZERO, |coin| coin.output.value);
            }
        }
        sum
    }
}

fn connected(height: BlockHeight, best: BlockHeight, block: &Block) -> ConnectedBlock {
    ConnectedBlock {
        height,
        hash: block.block_hash(),
        previous: block.header.prev_blockhash,
        best,
        transactions: (0..).zip(block.txdata.iter().cloned()).collect(),
    }
}
