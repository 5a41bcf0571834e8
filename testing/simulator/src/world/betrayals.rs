//! Nodes that break their word: what a cheater can still put into a block, what it has left in the end, and stores that come back from an
//! older moment.

use bitcoin::{Amount, OutPoint, Transaction, TxOut};
use quittance_journal::{Lsn, Store};
use quittance_manager::declare_restored;
use quittance_primitives::{ChannelId, CommitmentNumber};
use quittance_regtest::Chain;
use quittance_store::memory::Keep;

use super::{NodeIndex, World};
use crate::RowsAfterCrash;

/// What is worth less than its claim may stay where it is.
const NOT_WORTH_CLAIMING: Amount = Amount::from_sat(3_000);

impl World {
    /// The transaction in the chain that spends an output.
    pub(crate) fn confirmed_spender(&self, outpoint: &OutPoint) -> Option<Transaction> {
        let spend = self.chain.chain.spent_by(outpoint)?;
        spend.height?;
        self.chain.chain.ledger().transaction(&spend.txid).cloned()
    }

    /// Whether a transaction may stand in the next block: its coins are there, and its time has come.
    pub(crate) fn can_confirm(&self, transaction: &Transaction) -> bool {
        let lock_time = transaction.lock_time;
        let is_ripe = !lock_time.is_block_height() || lock_time.to_consensus_u32() <= self.tip().0;
        let mut inputs = transaction.input.iter();
        is_ripe && inputs.all(|input| self.chain.chain.utxo(&input.previous_output).is_some())
    }

    /// Whether a node has on its disk what punishes the broadcast of its peer's commitment `number`.
    pub(crate) fn can_punish(&self, node: NodeIndex, channel: ChannelId, number: CommitmentNumber) -> bool {
        let store = &self.nodes[node].store;
        self.knows_secret(node, channel, number) && store.durable() == store.appended()
    }

    /// Whether a node runs and knows the secret of its peer's commitment `number`.
    pub(crate) fn knows_secret(&self, node: NodeIndex, channel: ChannelId, number: CommitmentNumber) -> bool {
        let process = self.nodes[node].process.as_ref();
        let channel = process.and_then(|process| process.manager.channel(&channel));
        channel.is_some_and(|channel| {
            let remote = &channel.state().commitments.remote;
            let unrevoked = u64::from(remote.unrevoked_previous.is_some());
            number.0 + unrevoked < remote.number.0
        })
    }

    /// What a cheater has, or may still get, of a revoked commitment that is in the chain, and why it is not its victim's.
    pub(crate) fn left_to_cheater(
        &self,
        owner: NodeIndex,
        victim: NodeIndex,
        cheat: &Transaction,
    ) -> Vec<(OutPoint, &'static str)> {
        let txid = cheat.compute_txid();
        if self.chain.chain.confirmations(&txid).is_none() {
            // A reorganisation has taken it back.
            return Vec::new();
        }
        let wallet = &self.nodes[owner].wallet.destination;
        let mut left = Vec::new();
        let mut outpoints: Vec<_> = outpoints(cheat).collect();
        while let Some((outpoint, value)) = outpoints.pop() {
            match self.confirmed_spender(&outpoint) {
                _ if value < NOT_WORTH_CLAIMING => {}
                None => left.push((outpoint, "not claimed")),
                Some(spender) if self.is_enforced_by(victim, &spender) => {}
                // BOLT 3: a second stage makes of each HTLC the output of the same place; what stands beside it pays its fee.
                Some(spender) => match output_made_of(&outpoint, &spender) {
                    Some((made, output)) if output.script_pubkey != *wallet => outpoints.push((made, output.value)),
                    Some(_) | None => left.push((outpoint, "the cheater's")),
                },
            }
        }
        left
    }

    /// Whether a node has broadcast a transaction that closes a channel, or claims something of one.
    pub(crate) fn is_enforced_by(&self, node: NodeIndex, transaction: &Transaction) -> bool {
        self.chain.enforced.contains(&(node, transaction.compute_txid()))
    }

    /// The store of a node comes back from the time of an earlier batch, and its operator says so before the node starts.
    pub(crate) fn restore_declared(&mut self, node: NodeIndex, lsn: Lsn) {
        self.replace_store(node, lsn);
        let store = &mut self.nodes[node].store;
        let declared = declare_restored(store).expect("the store can be read");
        store.append(declared).expect("the disk is good");
        store.sync().expect("the disk is good");
        self.checker.came_back(node);
        self.start(node);
    }

    /// A copy of a node's store takes the place of its store. Whether it is behind decides what may be asked of the node.
    pub(crate) fn put_back(&mut self, node: NodeIndex, lsn: Lsn, is_behind: bool) {
        self.replace_store(node, lsn);
        if is_behind {
            self.checker.came_back(node);
        }
        self.start(node);
    }

    fn replace_store(&mut self, node: NodeIndex, lsn: Lsn) {
        self.crash(node, Keep::All, RowsAfterCrash::Whole);
        self.nodes[node].empty_disk();
        let store = std::mem::take(&mut self.nodes[node].store);
        let lsn = lsn.clamp(store.oldest(), store.appended());
        self.nodes[node].store = store.restored(lsn);
    }
}

fn outpoints(transaction: &Transaction) -> impl Iterator<Item = (OutPoint, Amount)> {
    let txid = transaction.compute_txid();
    let outputs = (0..).zip(&transaction.output);
    outputs.map(move |(vout, output)| (OutPoint { txid, vout }, output.value))
}

/// The output of a transaction that stands where its input from `outpoint` does.
fn output_made_of(outpoint: &OutPoint, spender: &Transaction) -> Option<(OutPoint, TxOut)> {
    let place = spender
        .input
        .iter()
        .position(|input| input.previous_output == *outpoint)?;
    let (txid, vout) = (spender.compute_txid(), u32::try_from(place).ok()?);
    Some((OutPoint { txid, vout }, spender.output.get(place)?.clone()))
}
