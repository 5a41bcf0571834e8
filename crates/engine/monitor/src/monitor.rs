//! One channel's monitor: blocks in; claims, facts and balances out.

use std::sync::Arc;

use bitcoin::{Amount, BlockHash, OutPoint, ScriptBuf, Transaction, Txid};
use quittance_channel::ChannelState;
use quittance_journal::ColdId;
use quittance_primitives::{BlockCount, BlockHeight, CommitmentNumber};
use quittance_records::{BadRecord, Record, record};
use quittance_transactions::ObscuringFactor;

use crate::balances::balances;
use crate::broadcasts::broadcasts;
use crate::claims::claims;
use crate::closing::OnChainCommitment;
use crate::depths::{FORGET_DEPTH, OUTCOME_DEPTH};
use crate::facts::{facts, of_nothing};
use crate::outputs::{Purpose, outputs};
use crate::recognition::{Recognition, Remembered};
use crate::{
    Attempts, Broadcast, ChainView, Claim, ClaimableBalance, Closing, Fact, FeeContext, RevokedHtlcs, SeenClosing,
    Spend, Tip,
};

/// The newest version of the record format of monitors.
pub const MONITOR_VERSION: u16 = 1;

/// Enforces one channel on chain. It holds what it saw of the chain and what it tried; the channel's state is passed in, by
/// whoever folds the log: the node itself or a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelMonitor {
    view: ChainView,
    attempts: Attempts,
    told: bool,
    recognised: Remembered,
}

record!(ChannelMonitor {
    view,
    attempts,
    told,
    recognised
});

/// A block, as it is connected.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Its height.
    pub height: BlockHeight,
    /// Its hash.
    pub hash: BlockHash,
    /// The hash of the block before it.
    pub previous: BlockHash,
    /// Its transactions, in order; those that spend no watched output may be left out.
    pub transactions: &'a [&'a Transaction],
}

/// Whether a block had anything to do with the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what was noted must be written"]
pub enum Noted {
    /// It had: the monitor's record must be written.
    Something,
    /// It had not: the record may be written at leisure. Until then a restart reads the block again.
    Nothing,
}

/// A block does not follow on the last one that the monitor read: the caller must feed it from [`ChannelMonitor::tip`] on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a block at {got} does not follow on the monitor's tip at {}", tip.height)]
pub struct NotNext {
    /// Where the monitor stands.
    pub tip: Tip,
    /// What was fed to it.
    pub got: BlockHeight,
}

impl ChannelMonitor {
    /// A monitor that has read the chain up to `tip`, before which nothing can have spent the funding output.
    pub const fn new(tip: Tip) -> Self {
        Self {
            view: ChainView::new(tip),
            attempts: Attempts::new(),
            told: false,
            recognised: Remembered::NOTHING,
        }
    }

    /// The monitor's record.
    pub fn to_body(&self) -> Vec<u8> {
        self.to_bytes()
    }

    /// Reads the monitor's record.
    ///
    /// # Errors
    /// [`BadRecord`] when the bytes are no such record.
    pub fn from_body(body: &[u8]) -> Result<Self, BadRecord> {
        Self::from_bytes(body)
    }

    /// The last block that it read: where it goes on after a restart.
    pub const fn tip(&self) -> Tip {
        self.view.tip
    }

    /// What it knows of the chain.
    pub const fn view(&self) -> &ChainView {
        &self.view
    }

    /// Reads the next block. The last one again changes nothing.
    ///
    /// # Errors
    /// [`NotNext`], with nothing changed, when the block does not build on the monitor's tip.
    pub fn connect(&mut self, state: &ChannelState, block: &Block<'_>) -> Result<Noted, NotNext> {
        if block.hash == self.view.tip.hash {
            return Ok(Noted::Nothing);
        }
        if block.previous != self.view.tip.hash {
            return Err(self.not_next(block.height));
        }
        let mut noted = Noted::Nothing;
        let mut delayed: Option<ScriptBuf> = None;
        // Once for the block: it is held against every input in it.
        let txid_of = |closing: &SeenClosing| closing.transaction.compute_txid();
        let mut closing = self.view.closing.as_ref().map(txid_of);
        for transaction in block.transactions {
            if conflicts(state, transaction) {
                self.view.conflict = Some(block.height);
                noted = Noted::Something;
            }
            for (index, input) in (0..).zip(&transaction.input) {
                let outpoint = input.previous_output;
                if outpoint == state.facts.funding {
                    self.view.closing = Some(SeenClosing {
                        height: block.height,
                        transaction: (*transaction).clone(),
                    });
                    closing = self.view.closing.as_ref().map(txid_of);
                    delayed = None;
                    noted = Noted::Something;
                } else if closing.is_some_and(|closing| self.watches_output(closing, &outpoint)) {
                    let script = delayed.get_or_insert_with(|| self.delayed_script(state).unwrap_or_default());
                    let spend = Spend::by(transaction, transaction.compute_txid(), index, block.height, script);
                    self.view.spends.insert(outpoint, spend);
                    noted = Noted::Something;
                }
            }
        }
        self.view.tip = Tip {
            height: block.height,
            hash: block.hash,
        };
        self.recognise(state);
        Ok(noted)
    }

    /// Takes back the last block; `previous` is the hash of the one before it.
    ///
    /// # Errors
    /// [`NotNext`], with nothing changed, when the block is not the monitor's tip.
    pub fn disconnect(&mut self, hash: BlockHash, previous: BlockHash) -> Result<Noted, NotNext> {
        let height = self.view.tip.height;
        if hash != self.view.tip.hash {
            return Err(self.not_next(height));
        }
        Ok(self.rewind(Tip {
            height: height.saturating_sub(BlockCount(1)),
            hash: previous,
        }))
    }

    /// Takes back every block above `fork`, the last one that the monitor's chain and the active one have in common. A monitor that stands
    /// below it changes nothing.
    pub fn rewind(&mut self, fork: Tip) -> Noted {
        if self.view.tip.height <= fork.height {
            return Noted::Nothing;
        }
        let before = (self.view.closing.is_some(), self.view.spends.len());
        self.view.cut(fork.height.saturating_add(BlockCount(1)));
        self.view.tip = fork;
        if before == (self.view.closing.is_some(), self.view.spends.len()) {
            Noted::Nothing
        } else {
            Noted::Something
        }
    }

    /// Whether our funding transaction can never confirm: another one that spends its coins is buried.
    pub fn is_double_spent(&self) -> bool {
        let depth = self.view.conflict.map(|height| height.depth_at(self.view.tip.height));
        depth.is_some_and(|depth| depth >= OUTCOME_DEPTH)
    }

    /// Notes that the user is told of the channel's end. Whether it was not before.
    pub fn tell(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }

    /// The outputs whose spending must be told to [`Self::connect`].
    pub fn watches(&self, state: &ChannelState) -> Vec<OutPoint> {
        let mut watches = vec![state.facts.funding];
        if let Some(closing) = &self.view.closing {
            let txid = closing.transaction.compute_txid();
            let outputs = (0..).zip(&closing.transaction.output);
            watches.extend(outputs.map(|(vout, _)| OutPoint { txid, vout }));
            let second_stages = self.view.spends.values().filter(|spend| spend.second_stage.is_some());
            watches.extend(second_stages.map(Spend::successor));
        }
        watches
    }

    /// What closed the channel, if anything has.
    pub fn closing(&self, state: &ChannelState) -> Option<Closing> {
        Some(self.recognised(state)?.closing)
    }

    /// The cold record that the monitor needs: the HTLCs of the revoked commitment that it saw. What is there, or that there is
    /// none, is to be told to [`Self::loaded`].
    pub fn needs(&self, state: &ChannelState) -> Option<ColdId> {
        let closing = self.view.closing.as_ref()?;
        let number = ObscuringFactor::of(&state.facts.terms()).number_of(&closing.transaction)?;
        // Most closings are told apart by their number alone.
        state.commitments.remote_secrets.secret(number)?;
        match self.closing(state)? {
            Closing::Revoked(number) if self.revoked_number() != Some(number) => {
                Some(ColdId::RevokedCommitment(number))
            }
            Closing::Revoked(_)
            | Closing::Mutual
            | Closing::Ours(_)
            | Closing::Peers(..)
            | Closing::StateLost(_)
            | Closing::Unknown => None,
        }
    }

    /// Takes the cold record of a revoked commitment; `None` when there is none, since it had no HTLC with an output.
    pub fn loaded(&mut self, number: CommitmentNumber, revoked: Option<RevokedHtlcs>) {
        let nothing = || RevokedHtlcs {
            number,
            htlcs: Vec::new(),
        };
        self.view.revoked = Some(revoked.unwrap_or_else(nothing));
    }

    /// Every output that is ours and not yet spent, whether it can be taken already or not.
    pub fn claims(&self, state: &ChannelState) -> Vec<Claim> {
        self.commitment(state)
            .map(|commitment| claims(state, &self.view, &commitment))
            .unwrap_or_default()
    }

    /// What the chain decided and the channel's log does not have yet, in the order in which it is to be written.
    pub fn facts(&self, state: &ChannelState) -> Vec<Fact> {
        if self.is_double_spent() && state.funding.is_none() {
            return of_nothing(state);
        }
        self.commitment(state)
            .map(|commitment| facts(state, &self.view, &commitment))
            .unwrap_or_default()
    }

    /// Everything that should be in the mempool now. To be asked after every block; what is unchanged comes again, so that it
    /// is broadcast again. The record changes with it: it must be written before anything is broadcast.
    pub fn broadcasts(&mut self, state: &ChannelState, fees: &mut FeeContext<'_>) -> Vec<Broadcast> {
        let claims = self.claims(state);
        broadcasts(state, &self.view, claims, &mut self.attempts, fees)
    }

    /// What the user may expect from the channel.
    pub fn balances(&self, state: &ChannelState) -> Vec<ClaimableBalance> {
        balances(state, &self.view, self.commitment(state).as_deref())
    }

    /// Whether nothing about the channel can change any more: everything of ours is taken, and everything is
    /// [`FORGET_DEPTH`] deep. The channel may become a cold record once its outcomes are released.
    pub fn is_finished(&self, state: &ChannelState) -> bool {
        let Some(closing) = &self.view.closing else {
            return false;
        };
        let is_cold = |height: BlockHeight| height.depth_at(self.view.tip.height) >= FORGET_DEPTH;
        if !is_cold(closing.height) || self.needs(state).is_some() {
            return false;
        }
        let Some(commitment) = self.commitment(state) else {
            return true;
        };
        let outputs = outputs(&self.view, &commitment, closing.height);
        let is_over = |purpose: &Purpose| match purpose {
            Purpose::Anchor(_) => true,
            Purpose::Delayed | Purpose::AtOnce | Purpose::Htlc(_) | Purpose::SecondStage(_) => false,
        };
        let claims = claims(state, &self.view, &commitment);
        let open = outputs.iter().filter(|output| !is_over(&output.purpose));
        open.into_iter().all(|output| match &output.spend {
            Some(spend) => is_cold(spend.height),
            None => match output.purpose {
                Purpose::Htlc(htlc) => {
                    is_cold(BlockHeight(htlc.cltv_expiry.0)) && !is_claimed(&claims, output.outpoint)
                }
                Purpose::Delayed | Purpose::AtOnce | Purpose::SecondStage(_) | Purpose::Anchor(_) => {
                    !is_claimed(&claims, output.outpoint)
                }
            },
        })
    }

    fn commitment(&self, state: &ChannelState) -> Option<Arc<OnChainCommitment>> {
        self.recognised(state)?.commitment
    }

    fn delayed_script(&self, state: &ChannelState) -> Option<ScriptBuf> {
        self.commitment(state)?.delayed_script()
    }

    /// What the closing transaction was recognised as: remembered, or worked out anew when something that it follows from has changed.
    fn recognised(&self, state: &ChannelState) -> Option<Recognition> {
        let closing = self.view.closing.as_ref()?;
        let revoked = self.view.revoked.as_ref();
        Some(self.recognised.get_or_make(state, &closing.transaction, revoked))
    }

    /// Remembers what the closing transaction is: rebuilding a commitment costs a few milliseconds.
    fn recognise(&mut self, state: &ChannelState) {
        if let Some(recognition) = self.recognised(state) {
            self.recognised = Remembered::new(recognition);
        }
    }

    /// Whether an output is one of the transaction `closing`, which spent the funding output, or of a second stage on it.
    fn watches_output(&self, closing: Txid, outpoint: &OutPoint) -> bool {
        let is_successor = |spend: &Spend| spend.second_stage.is_some() && spend.successor() == *outpoint;
        closing == outpoint.txid || self.view.spends.values().any(is_successor)
    }

    fn revoked_number(&self) -> Option<CommitmentNumber> {
        self.view.revoked.as_ref().map(|revoked| revoked.number)
    }

    const fn not_next(&self, got: BlockHeight) -> NotNext {
        NotNext {
            tip: self.view.tip,
            got,
        }
    }
}

/// Whether a transaction spends what our unconfirmed funding transaction spends.
fn conflicts(state: &ChannelState, transaction: &Transaction) -> bool {
    let Some(funding) = state
        .facts
        .funding_transaction
        .as_ref()
        .filter(|_| state.funding.is_none())
    else {
        return false;
    };
    let spent = |outpoint: &OutPoint| transaction.input.iter().any(|input| input.previous_output == *outpoint);
    let inputs = &funding.transaction().input;
    inputs.iter().any(|input| spent(&input.previous_output)) && transaction.compute_txid() != state.facts.funding.txid
}

fn is_claimed(claims: &[Claim], outpoint: OutPoint) -> bool {
    claims.iter().any(|claim| claim.input.outpoint == outpoint)
}

/// What all claims bring, before fees.
pub(crate) fn total<'a>(claims: impl IntoIterator<Item = &'a Claim>) -> Amount {
    claims.into_iter().map(|claim| claim.input.output.value).sum()
}
