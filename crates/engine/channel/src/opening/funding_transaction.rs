//! A funding transaction that we made, for one channel or for several at once, and when it may be broadcast.
//!
//! Invariant: it leaves only after every channel that it funds has its first step in a log. Before that, an output of it
//! would be locked by two keys with no commitment to get it back.

use bitcoin::{OutPoint, Transaction, TxOut};
use quittance_primitives::ChannelId;
use quittance_records::record;

use crate::{AbandonedFunding, Channel, ChannelState, Decision, Phase, Step};

/// A signed funding transaction, and the channels that it funds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FundingTransaction {
    /// The whole transaction, with its witnesses.
    transaction: Transaction,
    /// Every channel that it funds, in the order in which they were asked for.
    channels: Vec<ChannelId>,
}

record!(FundingTransaction { transaction, channels });

/// A transaction does not do as funding transaction. Whoever made it, in our own wallet, is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are the values compared, and the text says how")]
pub enum UnfitFunding {
    #[error("no output pays {} sat to {script_pubkey:x}", .value.to_sat())]
    OutputMissing {
        script_pubkey: bitcoin::ScriptBuf,
        value: bitcoin::Amount,
    },
    #[error("output {0} pays to the same script as another")]
    OutputTwice(usize),
    #[error("the funding output is number {0}, and 65535 is the last that can be named")]
    IndexTooLarge(usize),
    #[error("input {0} has no witness: it is unsigned, or its transaction id can change")]
    WitnessMissing(usize),
    #[error("the transaction was made for other channels")]
    OtherChannels,
}

impl FundingTransaction {
    /// A signed transaction that funds a channel by each of `outputs`, as the wallet was asked for.
    ///
    /// # Errors
    /// [`UnfitFunding`] when one of them is not in it exactly once, or when its id could still change.
    pub fn new(transaction: Transaction, outputs: &[TxOut]) -> Result<Self, UnfitFunding> {
        // BOLT 2, funding_created: the transaction must not be malleable, so every input is a segwit one, and signed.
        if let Some(unsigned) = transaction.input.iter().position(|input| input.witness.is_empty()) {
            return Err(UnfitFunding::WitnessMissing(unsigned));
        }
        let txid = transaction.compute_txid();
        let channels = outputs
            .iter()
            .map(|output| {
                let vout = u32::from(index_of(&transaction, output)?);
                Ok(ChannelId::v1(OutPoint { txid, vout }))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { transaction, channels })
    }

    /// The transaction.
    pub const fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Every channel that it funds.
    pub fn channels(&self) -> &[ChannelId] {
        &self.channels
    }

    /// Whether it funds several channels, so that its broadcast waits for all of them.
    pub fn is_batch(&self) -> bool {
        self.channels.len() > 1
    }

    /// The output that funds one of its channels.
    pub(super) fn outpoint_of(&self, output: &TxOut) -> Result<(OutPoint, u16), UnfitFunding> {
        let index = index_of(&self.transaction, output)?;
        let outpoint = OutPoint {
            txid: self.transaction.compute_txid(),
            vout: u32::from(index),
        };
        if !self.channels.contains(&ChannelId::v1(outpoint)) {
            return Err(UnfitFunding::OtherChannels);
        }
        Ok((outpoint, index))
    }
}

impl ChannelState {
    /// The funding transaction that we have to broadcast, now or once more, until it confirms. `is_durable` says whether the
    /// first step of a channel is: as long as one that it funds is missing, there is nothing to broadcast.
    pub fn funding_to_broadcast(&self, is_durable: impl Fn(&ChannelId) -> bool) -> Option<&Transaction> {
        let is_wanted = self.funding.is_none() && !matches!(self.phase, Phase::Abandoned(_));
        let funding = self.facts.funding_transaction.as_ref().filter(|_| is_wanted)?;
        funding.channels.iter().all(is_durable).then_some(&funding.transaction)
    }
}

impl Channel {
    /// Gives up a channel of a batch that will not be broadcast, since another channel of it did not open. `None` for a channel
    /// that has its funding transaction for itself, which leaves as soon as the channel is durable.
    pub fn decide_batch_failed(&self) -> Option<Decision> {
        let state = self.state();
        let shares = state
            .facts
            .funding_transaction
            .as_ref()
            .is_some_and(FundingTransaction::is_batch);
        let waits = matches!(state.phase, Phase::AwaitingReady(_) | Phase::ShuttingDown(_)) && state.funding.is_none();
        (shares && waits).then(|| Decision::step(Step::FundingAbandoned(AbandonedFunding::NeverBroadcast)))
    }
}

/// Where `output` is in the transaction, and nowhere else.
fn index_of(transaction: &Transaction, output: &TxOut) -> Result<u16, UnfitFunding> {
    let mut same_script = (0..)
        .zip(&transaction.output)
        .filter(|(_, other)| other.script_pubkey == output.script_pubkey);
    let missing = || UnfitFunding::OutputMissing {
        script_pubkey: output.script_pubkey.clone(),
        value: output.value,
    };
    let (index, found) = same_script.next().ok_or_else(missing)?;
    if found.value != output.value {
        return Err(missing());
    }
    if let Some((second, _)) = same_script.next() {
        return Err(UnfitFunding::OutputTwice(second));
    }
    u16::try_from(index).map_err(|_| UnfitFunding::IndexTooLarge(index))
}
