//! A pair of channels with a real funding output, a monitor beside each, and the chain between them.

use std::collections::BTreeMap;

use bitcoin::sighash::EcdsaSighashType;
use bitcoin::{Amount, OutPoint, Transaction, TxOut, Txid};
use quittance_channel::{Decision, ForceCloseReason, NewHtlc, OnChain, Outcome, Step};
use quittance_monitor::{Broadcast, ClaimReason, Fact, FeeContext, FeeEstimates, FeeRequest};
use quittance_primitives::{BlockCount, CltvExpiry, FeeratePerKw, HtlcId, MilliSatoshi, PaymentPreimage};
use quittance_regtest::{Chain, ChainParameters, EmbeddedChain, Faucet, MineOptions, Policy, Reason};
use quittance_transactions::{ClaimInput, ClaimTransaction, SecondStageTerms};

use crate::pair::{Kept, Pair, Setup, Who, payment_source, preimage_of};
use crate::{Replica, Wallet};

/// How often the monitors are started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restarts {
    /// Never.
    None,
    /// After every block, from what they were last made to write.
    EveryBlock,
}

/// Two nodes and a chain.
pub struct World {
    /// The chain.
    pub chain: Box<dyn Chain>,
    /// The channels.
    pub pair: Pair,
    /// Alice's monitor, and Bob's.
    pub replicas: [Replica; 2],
    /// Alice's wallet, and Bob's.
    pub wallets: [Wallet; 2],
    /// The nodes that are down for good.
    pub down: Vec<Who>,
    /// What confirms when.
    pub estimates: FeeEstimates,
    /// Whether monitors are started again.
    pub restarts: Restarts,
    /// Every transaction that a monitor broadcast and its fee, if the transaction pays for itself.
    paid: BTreeMap<Txid, (Who, Amount)>,
    /// What the mempool refused, beside what it had already.
    pub refused: Vec<(Who, Reason)>,
}

const RESERVE: usize = 40;

impl World {
    /// An open channel as `setup` says, whose funding is in an embedded chain.
    pub fn new(setup: &Setup) -> Self {
        Self::over(Self::embedded_chain(), setup)
    }

    /// A chain in memory, whose rewards can be spent at once.
    pub fn embedded_chain() -> Box<dyn Chain> {
        let parameters = ChainParameters {
            coinbase_maturity: 1,
            ..ChainParameters::default()
        };
        Box::new(EmbeddedChain::new(parameters, Policy::default()))
    }

    /// An open channel as `setup` says, whose funding is in this chain.
    pub fn over(mut chain: Box<dyn Chain>, setup: &Setup) -> Self {
        let mut faucet = Faucet::new();
        let wallets = [1, 2].map(|end| Wallet::new(end, RESERVE, &mut chain, &mut faucet));
        let funding_output = setup.ends().0.channel.state().facts.terms().funding_output();
        let funding = faucet.fund(&mut chain, &[funding_output])[0];
        let pair = Pair::of(&Setup {
            funding,
            ..setup.clone()
        });
        let replicas = [&pair.alice, &pair.bob].map(|end| Replica::new(&end.log, &chain));
        Self {
            chain,
            pair,
            replicas,
            wallets,
            down: Vec::new(),
            estimates: FeeEstimates::flat(FeeratePerKw(1_000)),
            restarts: Restarts::None,
            paid: BTreeMap::new(),
            refused: Vec::new(),
        }
    }

    /// `from` offers an HTLC that expires `blocks` from now. It is sent and not delivered.
    pub fn offer(&mut self, from: Who, amount: MilliSatoshi, preimage: u8, blocks: u32) -> HtlcId {
        let expiry = self.chain.tip().height.saturating_add(BlockCount(blocks));
        let htlc = NewHtlc {
            amount,
            payment_hash: preimage_of(preimage).hash(),
            cltv_expiry: CltvExpiry(expiry.0),
            path_key: None,
            source: payment_source(preimage),
        };
        self.pair.end(from).offer(htlc).expect("the HTLC fits")
    }

    /// `who` closes the channel by its commitment.
    pub fn force_close(&mut self, who: Who) {
        let end = self.pair.end(who);
        let decision = end.channel.decide_force_close(ForceCloseReason::Ordered);
        let decision = decision.expect("the channel is open");
        self.pair.end(who).take_in(decision);
    }

    /// `who` learns what claims an HTLC, on a channel that is closed.
    pub fn learn(&mut self, who: Who, id: HtlcId, preimage: PaymentPreimage) {
        let decision = self.pair.end(who).channel.decide_preimage_known(id, preimage);
        self.pair.end(who).take_in(decision);
    }

    /// A transaction by which `who` takes an HTLC of its peer's by the preimage alone, on the peer's commitment, at a high fee.
    pub fn take_by_preimage(&mut self, who: Who, id: HtlcId) -> Transaction {
        let keys = self.pair.end(who).keys.channel.clone();
        let replica = &mut self.replicas[index(who)];
        replica.fold(&self.pair.end(who).log);
        replica.follow(&self.chain);
        let mut claims = replica.monitor.claims(&replica.state).into_iter();
        let claim = claims.find(|claim| claim.reason == ClaimReason::Preimage(id));
        let claim = claim.expect("the preimage is known").input;
        let output = TxOut {
            value: claim.output.value / 2,
            script_pubkey: self.wallets[index(who)].destination.clone(),
        };
        let claims = ClaimTransaction::new(vec![claim], Vec::new(), vec![output]);
        keys.sign_claims(&claims.expect("one claim goes alone"))
    }

    /// A second stage as `who` would broadcast it: with a coin where it needs one, and signed.
    pub fn complete(&mut self, who: Who, claim: ClaimInput) -> Transaction {
        let keys = self.pair.end(who).keys.channel.clone();
        let is_whole = |terms: &SecondStageTerms| terms.sighash_type == EcdsaSighashType::All;
        if claim.second_stage.as_ref().is_some_and(is_whole) {
            let claims = ClaimTransaction::new(vec![claim], Vec::new(), Vec::new());
            return keys.sign_claims(&claims.expect("one claim goes alone"));
        }
        let request = FeeRequest {
            claims: vec![claim],
            feerate: FeeratePerKw(1_000),
            parent: None,
            budget: Amount::MAX_MONEY,
        };
        let wallet = &mut self.wallets[index(who)];
        let funded = wallet.fund(&request).expect("the wallet has coins");
        wallet.sign(keys.sign_claims(&funded))
    }

    /// `who` decides to claim an HTLC on a channel that is open, and its peer never hears of it.
    pub fn learn_off_chain(&mut self, who: Who, id: HtlcId) {
        let preimage = self.preimage(who, id);
        self.pair
            .end(who)
            .remove(id, crate::pair::fulfilled(preimage))
            .expect("the HTLC is there");
    }

    /// The number that the preimage of an HTLC which `who` was offered is made of, in these tests.
    pub fn preimage(&mut self, who: Who, id: HtlcId) -> u8 {
        let hash = self.pair.end(who).channel.state().commitments.received[&id]
            .terms
            .payment_hash;
        let mut all = 1..=u8::MAX;
        all.find(|byte| hash.is_paid_by(&preimage_of(*byte)))
            .expect("it is one of ours")
    }

    /// Both nodes do what is to be done at the chain's tip.
    pub fn act(&mut self) {
        for who in Who::BOTH {
            if !self.down.contains(&who) {
                self.act_for(who);
            }
        }
    }

    /// Mines `blocks` blocks, and acts before each of the first ten, before every third one that follows, and after the last.
    pub fn run(&mut self, blocks: u32) {
        for block in 0..blocks {
            if block < 10 || block % 3 == 0 {
                self.act();
            }
            self.chain.mine(&MineOptions::blocks(1)).expect("the mempool is valid");
        }
        self.act();
    }

    /// What `who` has got at its destination, with the fees of claims that paid for themselves added again.
    pub fn gross(&self, who: Who) -> Amount {
        let script = &self.wallets[index(who)].destination;
        let confirmed = self
            .paid
            .iter()
            .filter(|(txid, (payer, _))| *payer == who && self.chain.confirmed_at(txid).is_some());
        let mut sum = Amount::ZERO;
        for (txid, (_, fee)) in confirmed {
            sum += *fee;
            for vout in 0.. {
                let Some(utxo) = self.chain.utxo(&OutPoint { txid: *txid, vout }) else {
                    break;
                };
                if utxo.output.script_pubkey == *script {
                    sum += utxo.output.value;
                }
            }
        }
        sum
    }

    /// What `who` paid for claims that pay for themselves and are confirmed.
    pub fn fees_paid(&self, who: Who) -> Amount {
        let confirmed = self
            .paid
            .iter()
            .filter(|(txid, (payer, _))| *payer == who && self.chain.confirmed_at(txid).is_some());
        confirmed.map(|(_, (_, fee))| *fee).sum()
    }

    /// What became of an HTLC that `who` offered, and whether that is final.
    pub fn outcome(&mut self, who: Who, id: HtlcId) -> (Option<Outcome>, bool) {
        let htlc = self.pair.end(who).channel.state().offered_htlc(id);
        let htlc = htlc.expect("the HTLC is not released");
        (htlc.outcome.clone(), htlc.on_chain != OnChain::Open)
    }

    /// The monitor of `who`.
    pub fn replica(&self, who: Who) -> &Replica {
        &self.replicas[index(who)]
    }

    /// What a replica of `who`'s log does while the node is down: it reads the log as far as it goes, and the chain, and broadcasts with the
    /// keys that it was given. Nothing of what it learns reaches the log.
    pub fn watch_over(&mut self, who: Who) {
        let place = index(who);
        self.replicas[place].fold(&self.pair.end(who).log);
        self.replicas[place].follow(&self.chain);
        self.broadcast_all(who);
    }

    fn act_for(&mut self, who: Who) {
        let place = index(who);
        if self.restarts == Restarts::EveryBlock {
            self.pair.end(who).crash(Kept::Everything);
            let log = self.pair.end(who).log.clone();
            self.replicas[place].restart(&log);
        }
        self.replicas[place].fold(&self.pair.end(who).log);
        self.replicas[place].follow(&self.chain);
        for fact in self.replicas[place].facts() {
            let decision = decide(self.pair.end(who), fact);
            self.pair.end(who).take_in(decision);
        }
        self.replicas[place].fold(&self.pair.end(who).log);
        let folded = crate::pair::end::fold(&self.pair.end(who).log);
        assert_eq!(
            folded, self.replicas[place].state,
            "a replica of the log is the channel"
        );
        self.broadcast_all(who);
    }

    fn broadcast_all(&mut self, who: Who) {
        let place = index(who);
        self.wallets[place].take_back(&*self.chain);
        let destination = self.wallets[place].destination.clone();
        let mut context = FeeContext {
            estimates: self.estimates,
            destination: &destination,
            coins: self.wallets[place].coins(),
        };
        let replica = &mut self.replicas[place];
        let broadcasts = replica.monitor.broadcasts(&replica.state, &mut context);
        for broadcast in broadcasts {
            self.broadcast(who, broadcast);
        }
    }

    fn broadcast(&mut self, who: Who, broadcast: Broadcast) {
        let keys = self.pair.end(who).keys.channel.clone();
        let wallet = &mut self.wallets[index(who)];
        match broadcast {
            Broadcast::Mutual(closing) => {
                let signature = keys.sign_closing(closing.transaction());
                let transaction = closing.signed(&signature);
                self.submit(who, &[transaction]);
            }
            Broadcast::Commitment {
                commitment,
                countersignature,
                child,
            } => {
                let funding = commitment.transaction().input[0].previous_output;
                let rival = self.chain.spent_by(&funding).map(|spend| spend.txid);
                if rival.is_some_and(|rival| rival != commitment.txid()) {
                    // After a reorganisation the other commitment is in the mempool again: whichever pays more confirms.
                    return;
                }
                let own = keys.sign_own_commitment(&commitment);
                let mut package = vec![commitment.signed(&own, &countersignature)];
                if let Some(funded) = child.and_then(|request| wallet.fund(&request)) {
                    package.push(wallet.sign(keys.sign_claims(&funded)));
                }
                self.submit(who, &package);
            }
            Broadcast::Claims(claims) => {
                let transaction = keys.sign_claims(&claims);
                let given: Amount = claims.claims().iter().map(|claim| claim.output.value).sum();
                let left: Amount = transaction.output.iter().map(|output| output.value).sum();
                let is_second_stage = claims.claims()[0].second_stage.is_some();
                let fee = if is_second_stage { Amount::ZERO } else { given - left };
                assert!(left <= given, "a claim pays out no more than it takes");
                self.paid.insert(transaction.compute_txid(), (who, fee));
                self.submit(who, &[transaction]);
            }
            Broadcast::WithCoins(request) => {
                if let Some(funded) = wallet.fund(&request) {
                    let transaction = wallet.sign(keys.sign_claims(&funded));
                    self.submit(who, &[transaction]);
                }
            }
        }
    }

    fn submit(&mut self, who: Who, package: &[Transaction]) {
        let refusals: Vec<Reason> = match package {
            [single] => self
                .chain
                .submit(single)
                .err()
                .map(|refused| refused.reason)
                .into_iter()
                .collect(),
            _ => match self.chain.submit_package(package) {
                Ok(()) => Vec::new(),
                Err(refused) if refused.transactions.is_empty() => vec![refused.reason],
                Err(refused) => refused.transactions.into_values().collect(),
            },
        };
        let known = |reason: &Reason| matches!(reason, Reason::AlreadyInMempool | Reason::AlreadyKnown);
        self.refused.extend(
            refusals
                .into_iter()
                .filter(|reason| !known(reason))
                .map(|reason| (who, reason)),
        );
    }
}

fn decide(end: &crate::pair::End, fact: Fact) -> Decision {
    match fact {
        Fact::CommitmentConfirmed(txid) => end
            .channel
            .decide_force_close(ForceCloseReason::CommitmentConfirmed(txid))
            .unwrap_or_default(),
        Fact::FellBehind => Decision::step(Step::FellBehind),
        Fact::Resolved { id, outcome } => end.channel.decide_resolved_on_chain(id, outcome),
        Fact::Buried { offered_by, id } => end.channel.decide_buried(offered_by, id),
    }
}

const fn index(who: Who) -> usize {
    match who {
        Who::Alice => 0,
        Who::Bob => 1,
    }
}
