//! What is kept of a commitment that the peer revoked: its HTLCs with outputs, as a cold record of at most 48 bytes for each.
//!
//! With the secret, which the channel's secret store yields for every number, that is all it takes to punish its broadcast: the
//! scripts follow from the secret, the balances can be read off the transaction. A commitment without HTLC outputs has no
//! record. The record is written in the batch of the revocation, and read only when the commitment is seen in the chain.

use quittance_channel::{ChannelMonitorUpdate, ChannelState, Step, View};
use quittance_journal::{ColdId, Key};
use quittance_primitives::{CltvExpiry, CommitmentNumber, HtlcId, MilliSatoshi, PaymentHash};
use quittance_records::{BadRecord, Listed, Record};
use quittance_transactions::fees::is_trimmed;
use quittance_transactions::{Htlc, HtlcDirection};

/// The newest version of the record format of [`RevokedHtlcs`].
pub const REVOKED_VERSION: u16 = 1;

/// The HTLCs with outputs of a commitment that the peer revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedHtlcs {
    /// Which commitment of the peer's.
    pub number: CommitmentNumber,
    /// Its HTLCs with outputs, in no order that matters.
    pub htlcs: Vec<RevokedHtlc>,
}

/// An HTLC of a revoked commitment, seen from the peer who could broadcast it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokedHtlc(pub Htlc);

impl RevokedHtlcs {
    /// What must be kept of the peer's commitment that its next revocation revokes. To be asked before the revocation is
    /// folded. `None` when no revocation is awaited, or when the commitment has no HTLC with an output.
    pub fn about_to_be_revoked(state: &ChannelState) -> Option<Self> {
        let contents = state.commitments.contents(&state.facts, View::RemotePrevious)?;
        let format = state.facts.format;
        let dust_limit = state.facts.sides.remote.dust_limit;
        let htlcs = contents.htlcs.iter();
        let untrimmed =
            htlcs.filter(|htlc| !is_trimmed(format, htlc.direction, contents.feerate, dust_limit, htlc.amount));
        let htlcs: Vec<_> = untrimmed.map(|htlc| RevokedHtlc(*htlc)).collect();
        #[cfg(feature = "mutants")]
        if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::RevokedHtlcsNotKept) {
            return None;
        }
        (!htlcs.is_empty()).then_some(Self {
            number: contents.number,
            htlcs,
        })
    }

    /// What must be kept when `update` is written, if it revokes a commitment: a record for the same batch. `state` is what the
    /// log folds to before the update.
    ///
    /// # Panics
    /// When the update is not the next one of the log.
    pub fn revoked_by(state: &ChannelState, update: &ChannelMonitorUpdate) -> Option<Self> {
        let is_revocation = |step: &Step| matches!(step, Step::RevocationReceived { .. });
        let place = update.steps.iter().position(is_revocation)?;
        if place == 0 {
            return Self::about_to_be_revoked(state);
        }
        let mut before = state.clone();
        for step in &update.steps[..place] {
            before.apply(step);
        }
        Self::about_to_be_revoked(&before)
    }

    /// Where the record stands.
    pub const fn key(&self, state: &ChannelState) -> Key {
        Key::Cold(state.facts.channel_id, ColdId::RevokedCommitment(self.number))
    }

    /// The record's body; the commitment's number is in the key.
    pub fn to_body(&self) -> Vec<u8> {
        self.htlcs.to_bytes()
    }

    /// Reads the body of the record of commitment `number`.
    ///
    /// # Errors
    /// [`BadRecord`] when the bytes are no such record.
    pub fn from_body(number: CommitmentNumber, body: &[u8]) -> Result<Self, BadRecord> {
        Ok(Self {
            number,
            htlcs: Vec::from_bytes(body)?,
        })
    }

    pub(crate) fn htlcs(&self) -> Vec<Htlc> {
        self.htlcs.iter().map(|htlc| htlc.0).collect()
    }
}

impl Record for RevokedHtlcs {
    fn write(&self, out: &mut Vec<u8>) {
        self.number.write(out);
        self.htlcs.write(out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        Ok(Self {
            number: CommitmentNumber::read(input)?,
            htlcs: Vec::read(input)?,
        })
    }
}

/// Hash (32 bytes), then varints: amount in msat (6 bytes up to 43 bitcoin), expiry and direction in one (4), id (6 up to 2^42).
impl Record for RevokedHtlc {
    fn write(&self, out: &mut Vec<u8>) {
        let Htlc {
            direction,
            id,
            amount,
            payment_hash,
            cltv_expiry,
        } = self.0;
        let direction = match direction {
            HtlcDirection::Offered => 0,
            HtlcDirection::Received => 1,
        };
        payment_hash.write(out);
        amount.write(out);
        (u64::from(cltv_expiry.0) << 1 | direction).write(out);
        id.write(out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        let payment_hash = PaymentHash::read(input)?;
        let amount = MilliSatoshi::read(input)?;
        let expiry_and_direction = u64::read(input)?;
        let expiry = u32::try_from(expiry_and_direction >> 1).map_err(|_| BadRecord::Invalid("CltvExpiry"))?;
        Ok(Self(Htlc {
            direction: if expiry_and_direction & 1 == 0 {
                HtlcDirection::Offered
            } else {
                HtlcDirection::Received
            },
            id: HtlcId::read(input)?,
            amount,
            payment_hash,
            cltv_expiry: CltvExpiry(expiry),
        }))
    }
}

impl Listed for RevokedHtlc {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_htlc_that_can_be_is_kept_in_48_bytes_and_comes_back() {
        let largest = RevokedHtlc(Htlc {
            direction: HtlcDirection::Received,
            id: HtlcId((1 << 35) - 1),
            amount: MilliSatoshi(4_300_000_000_000),
            payment_hash: PaymentHash([7; 32]),
            cltv_expiry: CltvExpiry((1 << 27) - 1),
        });
        let bytes = largest.to_bytes();
        assert_eq!(bytes.len(), 32 + 7 - 1 + 4 + 5 + 1 - 1);
        assert_eq!(RevokedHtlc::from_bytes(&bytes), Ok(largest));
        assert!(bytes.len() <= 48);
    }
}
