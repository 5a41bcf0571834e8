//! The gate to the mempool for a single transaction; packages go through it one by one and together.
//!
//! Checks run in Bitcoin Core's order: form, standardness, lock times, inputs, fee, TRUC, replacement, cluster limits, dust,
//! and scripts last since they cost most. A check never changes the mempool; [`Acceptance::admit`] does, once all passed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bitcoin::{Amount, OutPoint, Transaction, TxOut, Txid, Wtxid};

use super::{Entry, Mempool, script_policy, standard};
use crate::consensus::locks::{is_final, sequence_locks_met};
use crate::consensus::scripts::ScriptVerifier;
use crate::consensus::transaction::{Coin, check_amounts, check_form};
use crate::ledger::Ledger;
use crate::rejection::{Reason, Rejected};

/// A signature operation counts for at least this many weight units.
const WEIGHT_PER_SIGOP: u64 = 20;
const SIGOP_COST_MAX: u64 = 16_000;

/// Judges transactions against a mempool and the chain below it.
pub struct Acceptance<'a> {
    /// The mempool.
    pub mempool: &'a mut Mempool,
    /// The chain.
    pub ledger: &'a Ledger,
    /// The judge of scripts.
    pub scripts: &'a mut ScriptVerifier,
}

/// A transaction under judgement, and what was found out about it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// Its id.
    pub txid: Txid,
    /// Its id that covers the witness.
    pub wtxid: Wtxid,
    /// Its weight, or what its signature operations count for if that is more.
    pub weight: u64,
    /// What it pays.
    pub fee: Amount,
    /// What it pays, in satoshis, priority included.
    pub modified_fee: i64,
    /// What it replaces: the entries that spend the same outputs, and an evicted TRUC sibling.
    pub(super) conflicts: BTreeSet<Txid>,
    /// The entries that it spends.
    pub(super) parents: BTreeSet<Txid>,
    pub(super) evicts_sibling: bool,
    spent: Vec<TxOut>,
}

/// Candidates that passed every check, and the entries that they push out.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Parents first.
    pub candidates: Vec<Candidate>,
    /// The entries that are replaced, with their descendants.
    pub(super) replaced: BTreeSet<Txid>,
}

/// Which limits a transaction is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limits {
    /// All of them: it has to stand on its own.
    Alone,
    /// All but the feerate, which is the package's, and no sibling may be evicted.
    InPackage,
    /// Neither fees nor topology: it was in a block that was disconnected.
    ReturningFromBlock,
}

impl Candidate {
    /// Its size as policy counts it, in virtual bytes.
    pub fn vsize(&self) -> u64 {
        self.weight.div_ceil(4)
    }

    fn into_entry(self) -> Entry {
        let Self {
            transaction,
            txid,
            wtxid,
            weight,
            fee,
            modified_fee,
            ..
        } = self;
        Entry {
            transaction,
            txid,
            wtxid,
            weight,
            fee,
            modified_fee,
        }
    }
}

impl Acceptance<'_> {
    /// Judges one transaction by itself.
    pub fn judge(&mut self, transaction: &Transaction) -> Result<Admission, Rejected> {
        self.judge_alone(transaction, Limits::Alone)
    }

    /// Lets in what passed, and throws out what it replaces.
    pub fn admit(&mut self, admission: Admission) {
        for txid in &admission.replaced {
            self.mempool.remove(txid);
        }
        for candidate in admission.candidates {
            self.mempool.insert(candidate.into_entry());
        }
    }

    pub(super) fn judge_alone(&mut self, transaction: &Transaction, limits: Limits) -> Result<Admission, Rejected> {
        let candidate = self.inspect(transaction, limits, &BTreeMap::new())?;
        let candidates = std::slice::from_ref(&candidate);
        let replaced = if candidate.conflicts.is_empty() {
            BTreeSet::new()
        } else {
            self.mempool.check_replacement(&candidate)?
        };
        self.mempool.check_cluster_limits(candidates, &replaced)?;
        let ancestors = candidate
            .parents
            .iter()
            .flat_map(|parent| self.mempool.ancestors(parent));
        if let Some(both) = ancestors
            .into_iter()
            .find(|ancestor| candidate.conflicts.contains(ancestor))
        {
            return Err(
                Reason::SpendsConflicting.because(format!("{} spends conflicting transaction {both}", candidate.txid))
            );
        }
        if limits != Limits::ReturningFromBlock {
            self.mempool
                .check_dust_is_spent(&[&*candidate.transaction])
                .map_err(|(_, rejected)| rejected)?;
        }
        self.check_scripts(&candidate)?;
        Ok(Admission {
            candidates: vec![candidate],
            replaced,
        })
    }

    /// The checks that need no other candidate, except for the outputs of those before it in a package.
    pub(super) fn inspect(
        &self,
        transaction: &Transaction,
        limits: Limits,
        package_outputs: &BTreeMap<OutPoint, TxOut>,
    ) -> Result<Candidate, Rejected> {
        self.check_before_inputs(transaction)?;
        let coins = self.coins(transaction, package_outputs)?;
        let next = self.ledger.next_block();
        let heights: Vec<u32> = coins.iter().map(|coin| coin.height).collect();
        if !sequence_locks_met(
            transaction,
            &heights,
            |height| self.ledger.median_time_past(height),
            next,
        ) {
            return Err(Reason::NonFinalSequence.into());
        }
        let fee = check_amounts(
            transaction,
            &coins,
            next.height,
            self.ledger.parameters().coinbase_maturity,
        )?;
        let spent: Vec<TxOut> = coins.into_iter().map(|coin| coin.output).collect();
        standard::check_inputs(transaction, &spent)?;
        standard::check_witnesses(transaction, &spent)?;

        let sigops = sigop_cost(transaction, &spent);
        let mut candidate = self.candidate(transaction, sigops, fee, spent);
        self.mempool
            .check_dust_is_free(transaction, fee.to_sat(), candidate.modified_fee)?;
        if sigops > SIGOP_COST_MAX {
            return Err(Reason::TooManySigops.because(sigops.to_string()));
        }
        if limits == Limits::Alone {
            self.mempool.check_feerate(candidate.vsize(), candidate.modified_fee)?;
        }
        if limits != Limits::ReturningFromBlock
            && let Err(violation) = self.mempool.check_truc(&candidate)
        {
            match violation.evictable_sibling.filter(|_| limits == Limits::Alone) {
                Some(sibling) => {
                    candidate.conflicts.insert(sibling);
                    candidate.evicts_sibling = true;
                }
                None => return Err(violation.rejected),
            }
        }
        Ok(candidate)
    }

    pub(super) fn check_scripts(&mut self, candidate: &Candidate) -> Result<(), Rejected> {
        if let Some(violation) = script_policy::violation(&candidate.transaction, &candidate.spent) {
            return Err(Reason::ScriptFailed.because(violation));
        }
        self.scripts
            .verify(&candidate.transaction, &candidate.spent)
            .map_err(|invalid| Reason::ScriptFailed.because(format!("input {}", invalid.input)))
    }

    fn check_before_inputs(&self, transaction: &Transaction) -> Result<(), Rejected> {
        check_form(transaction)?;
        if transaction.is_coinbase() {
            return Err(Reason::Coinbase.into());
        }
        standard::check_transaction(transaction, self.mempool.policy())?;
        standard::check_size(transaction)?;
        if !is_final(transaction, self.ledger.next_block()) {
            return Err(Reason::NonFinal.into());
        }
        match self.mempool.entry(&transaction.compute_txid()) {
            Some(known) if known.wtxid == transaction.compute_wtxid() => Err(Reason::AlreadyInMempool.into()),
            Some(_) => Err(Reason::OtherWitnessInMempool.into()),
            None => Ok(()),
        }
    }

    /// The outputs spent, from the package, the mempool or the chain.
    fn coins(
        &self,
        transaction: &Transaction,
        package_outputs: &BTreeMap<OutPoint, TxOut>,
    ) -> Result<Vec<Coin>, Rejected> {
        let unconfirmed = |output: &TxOut| Coin {
            output: output.clone(),
            height: self.ledger.height() + 1,
            coinbase: false,
        };
        let find = |outpoint: &OutPoint| {
            let in_mempool = || {
                self.mempool
                    .entry(&outpoint.txid)?
                    .transaction
                    .output
                    .get(outpoint.vout as usize)
            };
            let pending = package_outputs.get(outpoint).or_else(in_mempool);
            pending.map(unconfirmed).or_else(|| self.ledger.coin(outpoint).cloned())
        };
        let coins: Option<Vec<Coin>> = transaction
            .input
            .iter()
            .map(|input| find(&input.previous_output))
            .collect();
        coins.ok_or_else(|| {
            let known = self.ledger.has_output_of(transaction);
            if known {
                Reason::AlreadyKnown
            } else {
                Reason::MissingInputs
            }
            .into()
        })
    }

    fn candidate(&self, transaction: &Transaction, sigops: u64, fee: Amount, spent: Vec<TxOut>) -> Candidate {
        let txid = transaction.compute_txid();
        let fee_sat = i64::try_from(fee.to_sat()).expect("an amount is at most 21 million bitcoin");
        let conflicts = transaction
            .input
            .iter()
            .filter_map(|input| self.mempool.spent_by(&input.previous_output))
            .collect();
        Candidate {
            transaction: Arc::new(transaction.clone()),
            txid,
            wtxid: transaction.compute_wtxid(),
            weight: transaction.weight().to_wu().max(sigops * WEIGHT_PER_SIGOP),
            fee,
            modified_fee: fee_sat.saturating_add(self.mempool.priorities.get(&txid).copied().unwrap_or(0)),
            conflicts,
            parents: self.mempool.parents(transaction),
            evicts_sibling: false,
            spent,
        }
    }
}

impl Mempool {
    /// Whether so much fee suffices for so much size, in virtual bytes.
    pub(super) fn check_feerate(&self, vsize: u64, fee: i64) -> Result<(), Rejected> {
        let required = |feerate: bitcoin::FeeRate| feerate.fee_vb(vsize).unwrap_or(Amount::MAX_MONEY).to_sat();
        let too_low = |required: u64| i128::from(fee) < i128::from(required);
        let dynamic = required(self.min_feerate());
        if too_low(dynamic) {
            return Err(Reason::MempoolMinFee.because(format!("{fee} < {dynamic}")));
        }
        let fixed = required(self.policy().min_relay_feerate);
        if too_low(fixed) {
            return Err(Reason::MinRelayFee.because(format!("{fee} < {fixed}")));
        }
        Ok(())
    }
}

fn sigop_cost(transaction: &Transaction, spent: &[TxOut]) -> u64 {
    let by_outpoint: BTreeMap<OutPoint, &TxOut> = transaction
        .input
        .iter()
        .map(|input| input.previous_output)
        .zip(spent)
        .collect();
    transaction.total_sigop_cost(|outpoint| by_outpoint.get(outpoint).map(|output| (*output).clone())) as u64
}
