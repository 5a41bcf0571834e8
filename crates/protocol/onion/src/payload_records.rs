//! The TLV stream of a payment's payload, before it is judged (BOLT 4, payload format).

use std::collections::BTreeMap;

use quittance_primitives::{CltvExpiry, MilliSatoshi, PaymentPreimage, PaymentSecret, ShortChannelId};
use quittance_wire::{BigSize, Flaw, Reader, TlvError, TlvRecord, TlvStream, TlvValue, TlvWriter, Tu32, Tu64, Wire};
use secp256k1::PublicKey;

use crate::Failure;
use crate::recipient_data::value;

/// The records of a payload. What they must be together is judged by [`crate::judge_payload`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PayloadRecords {
    /// What the next HTLC, or at the last hop this one, shall hold.
    pub amt_to_forward: Option<MilliSatoshi>,
    /// The expiry that the next HTLC, or at the last hop this one, shall have.
    pub outgoing_cltv_value: Option<CltvExpiry>,
    /// The channel to forward along.
    pub short_channel_id: Option<ShortChannelId>,
    /// What the payee recognises the payer by, and the total.
    pub payment_data: Option<PaymentData>,
    /// The instructions for a hop of a blinded path, sealed.
    pub encrypted_recipient_data: Option<Vec<u8>>,
    /// The path key, at the first hop of a blinded path.
    pub current_path_key: Option<PublicKey>,
    /// What the payee put into its invoice to find it again.
    pub payment_metadata: Option<Vec<u8>>,
    /// The total of the payment's parts, at the end of a blinded path.
    pub total_amount: Option<MilliSatoshi>,
    /// The preimage, where the payer chose it (bLIP 3, keysend).
    pub keysend_preimage: Option<PaymentPreimage>,
    /// Every other record.
    pub others: BTreeMap<u64, Vec<u8>>,
}

/// `payment_data`: what makes an HTLC part of the payment of an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaymentData {
    /// The invoice's payment secret.
    pub payment_secret: PaymentSecret,
    /// The total of the payment's parts.
    pub total: MilliSatoshi,
}

/// A payload that was not understood, or is incomplete: the record to name in `invalid_onion_payload`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {record_type} of the payload, at byte {offset}, is invalid, missing, or not allowed here")]
pub struct InvalidPayload {
    /// The record's type; 0 if no single one is at fault.
    pub record_type: u64,
    /// Where it stands in the decrypted bytes, the length in front of the payload included; 0 if it is missing.
    pub offset: u16,
}

/// Types of the records, as BOLT 4 numbers them.
pub(crate) mod record {
    pub(crate) const AMT_TO_FORWARD: u64 = 2;
    pub(crate) const OUTGOING_CLTV_VALUE: u64 = 4;
    pub(crate) const SHORT_CHANNEL_ID: u64 = 6;
    pub(crate) const PAYMENT_DATA: u64 = 8;
    pub(crate) const ENCRYPTED_RECIPIENT_DATA: u64 = 10;
    pub(crate) const CURRENT_PATH_KEY: u64 = 12;
    pub(crate) const PAYMENT_METADATA: u64 = 16;
    pub(crate) const TOTAL_AMOUNT_MSAT: u64 = 18;
    /// bLIP 3.
    pub(crate) const KEYSEND_PREIMAGE: u64 = 5_482_373_484;
    /// The first type that is the applications' own (BOLT 1).
    pub(crate) const CUSTOM: u64 = 65_536;
}

impl PayloadRecords {
    /// The TLV stream, without the length in front.
    ///
    /// # Panics
    /// If [`Self::others`] holds a type that this struct has a field for.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = TlvWriter::new(&mut out);
        for (record_type, value) in &self.by_type() {
            writer.bytes(*record_type, value);
        }
        out
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`InvalidPayload`] when it is no TLV stream, or a record of a known type is malformed.
    pub fn decode(payload: &[u8]) -> Result<Self, InvalidPayload> {
        let mut records = Self::default();
        for record in TlvStream::new(payload) {
            record
                .and_then(|record| records.take(&record))
                .map_err(|error| InvalidPayload::of(error, payload))?;
        }
        Ok(records)
    }

    fn take(&mut self, record: &TlvRecord<'_>) -> Result<(), TlvError> {
        match record.record_type {
            record::AMT_TO_FORWARD => self.amt_to_forward = Some(MilliSatoshi(record.value::<Tu64>()?.0)),
            record::OUTGOING_CLTV_VALUE => self.outgoing_cltv_value = Some(CltvExpiry(record.value::<Tu32>()?.0)),
            record::SHORT_CHANNEL_ID => self.short_channel_id = Some(record.value()?),
            record::PAYMENT_DATA => self.payment_data = Some(record.value()?),
            record::ENCRYPTED_RECIPIENT_DATA => self.encrypted_recipient_data = Some(record.value()?),
            record::CURRENT_PATH_KEY => self.current_path_key = Some(record.value()?),
            record::PAYMENT_METADATA => self.payment_metadata = Some(record.value()?),
            record::TOTAL_AMOUNT_MSAT => self.total_amount = Some(MilliSatoshi(record.value::<Tu64>()?.0)),
            record::KEYSEND_PREIMAGE => self.keysend_preimage = Some(record.value()?),
            other => {
                self.others.insert(other, record.bytes.to_vec());
            }
        }
        Ok(())
    }

    /// All records in order of type.
    fn by_type(&self) -> BTreeMap<u64, Vec<u8>> {
        let known = [
            (
                record::AMT_TO_FORWARD,
                self.amt_to_forward.map(|amount| value(&Tu64(amount.0))),
            ),
            (
                record::OUTGOING_CLTV_VALUE,
                self.outgoing_cltv_value.map(|expiry| value(&Tu32(expiry.0))),
            ),
            (record::SHORT_CHANNEL_ID, self.short_channel_id.as_ref().map(value)),
            (record::PAYMENT_DATA, self.payment_data.as_ref().map(value)),
            (record::ENCRYPTED_RECIPIENT_DATA, self.encrypted_recipient_data.clone()),
            (record::CURRENT_PATH_KEY, self.current_path_key.as_ref().map(value)),
            (record::PAYMENT_METADATA, self.payment_metadata.clone()),
            (
                record::TOTAL_AMOUNT_MSAT,
                self.total_amount.map(|amount| value(&Tu64(amount.0))),
            ),
            (record::KEYSEND_PREIMAGE, self.keysend_preimage.as_ref().map(value)),
        ];
        let mut records = self.others.clone();
        for (record_type, value) in known {
            if let Some(value) = value {
                let twice = records.insert(record_type, value);
                assert!(twice.is_none(), "record {record_type} has a field of its own");
            }
        }
        records
    }

    /// The types of all records.
    pub(crate) fn types(&self) -> impl Iterator<Item = u64> {
        self.by_type().into_keys()
    }
}

impl InvalidPayload {
    /// The fault of one record of `payload`, wherever it stands in it.
    pub(crate) fn at(record_type: u64, payload: &[u8]) -> Self {
        let stands_at = TlvStream::new(payload)
            .map_while(Result::ok)
            .find(|record| record.record_type == record_type)
            .map(|record| record.offset);
        Self {
            record_type,
            offset: stands_at.map_or(0, |offset| decrypted_offset(offset, payload)),
        }
    }

    fn of(error: TlvError, payload: &[u8]) -> Self {
        Self {
            record_type: error.record_type.unwrap_or(0),
            offset: decrypted_offset(error.offset, payload),
        }
    }
}

impl From<InvalidPayload> for Failure {
    fn from(invalid: InvalidPayload) -> Self {
        Self::InvalidOnionPayload {
            record_type: invalid.record_type,
            offset: invalid.offset,
        }
    }
}

impl TlvValue for PaymentData {
    fn write_value(&self, out: &mut Vec<u8>) {
        self.payment_secret.write(out);
        Tu64(self.total.0).write(out);
    }

    fn read_value(bytes: &[u8]) -> Result<Self, Flaw> {
        let mut reader = Reader::new(bytes);
        Ok(Self {
            payment_secret: Wire::read(&mut reader)?,
            total: MilliSatoshi(Tu64::read(&mut reader)?.0),
        })
    }
}

/// An offset in the payload as one in the decrypted bytes, where the payload's length stands in front.
fn decrypted_offset(offset: usize, payload: &[u8]) -> u16 {
    let prefix = BigSize(payload.len() as u64).encoded_len();
    u16::try_from(prefix + offset).unwrap_or(u16::MAX)
}
