//! A payload judged: what the sender, or the maker of a blinded path, wants from this hop (BOLT 4, payload format, the reader).
//!
//! [`judge_payload`] holds every check that needs no more than the onion and its HTLC. What needs a channel, an invoice or the
//! height of the chain (fees, deltas, known hashes, `min_final_cltv_expiry_delta`) is the engine's. So is the keysend preimage: it must
//! answer the payment hash.

use std::collections::BTreeMap;

use quittance_primitives::{CltvExpiry, MilliSatoshi, PaymentPreimage, ShortChannelId};
use secp256k1::PublicKey;

use crate::blinded_path::next_path_key;
use crate::payload_records::record;
use crate::{Failure, InvalidPayload, OnionPacket, PayloadRecords, PaymentData, Peeled, RecipientData, SharedSecret};

/// What this hop is to do with an HTLC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Pass it on, as the sender says.
    Forward(Forward),
    /// Pass it on, as the maker of a blinded path says.
    BlindedForward(BlindedForward),
    /// It is for us.
    Receive(Receive),
    /// It is for us, by a blinded path of ours.
    BlindedReceive(BlindedReceive),
}

/// An HTLC to pass on, as the sender says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The channel to use, or any other with the same peer (BOLT 4, non-strict forwarding).
    pub short_channel_id: ShortChannelId,
    /// The outgoing HTLC's amount.
    pub amount: MilliSatoshi,
    /// The outgoing HTLC's expiry.
    pub expiry: CltvExpiry,
    /// The outgoing HTLC's onion.
    pub next: OnionPacket,
}

/// An HTLC to pass on inside a blinded path. Amount and expiry follow from the incoming HTLC and the path's relay terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlindedForward {
    /// Where to.
    pub next_hop: NextHop,
    /// The outgoing HTLC's amount.
    pub amount: MilliSatoshi,
    /// The outgoing HTLC's expiry.
    pub expiry: CltvExpiry,
    /// The outgoing HTLC's path key.
    pub next_path_key: PublicKey,
    /// The outgoing HTLC's onion.
    pub next: OnionPacket,
}

/// The next hop inside a blinded path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// The peer at the other end of this channel.
    Channel(ShortChannelId),
    /// This peer.
    Node(PublicKey),
}

/// An HTLC for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receive {
    /// What the sender meant this HTLC to hold; it may hold more.
    pub amount: MilliSatoshi,
    /// The expiry that the sender meant it to have; it may be later.
    pub expiry: CltvExpiry,
    /// What the payee recognises the payer by, and the total. Without it, the total is the amount.
    pub payment_data: Option<PaymentData>,
    /// What the payee put into its invoice to find it again.
    pub payment_metadata: Option<Vec<u8>>,
    /// The preimage, where the payer chose it (bLIP 3). It is not checked against the payment hash here.
    pub keysend_preimage: Option<PaymentPreimage>,
    /// The applications' own records (types from 65,536). One of even type that no application knows must be refused:
    /// [`Receive::refuse_custom_record`].
    pub custom_records: BTreeMap<u64, Vec<u8>>,
}

/// An HTLC for us by a blinded path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlindedReceive {
    /// What the sender meant this HTLC to hold; it may hold more.
    pub amount: MilliSatoshi,
    /// The expiry that the sender meant it to have; it may be later.
    pub expiry: CltvExpiry,
    /// The total of the payment's parts.
    pub total: MilliSatoshi,
    /// What we put into the path to recognise it. The payment is ours only if it is right.
    pub path_id: Option<Vec<u8>>,
    /// The path key that the path ended with.
    pub path_key: PublicKey,
}

/// What a payload is judged against: the HTLC that carried it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncomingHtlc {
    /// `amount_msat` of `update_add_htlc`.
    pub amount: MilliSatoshi,
    /// `cltv_expiry` of `update_add_htlc`.
    pub expiry: CltvExpiry,
    /// `path_key` of `update_add_htlc`.
    pub path_key: Option<PublicKey>,
}

/// A path key with the secret that it stands for at this hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blinding {
    /// The path key, from the HTLC or from the payload.
    pub path_key: PublicKey,
    /// The ECDH of the node's key with it.
    pub secret: SharedSecret,
}

impl PayloadRecords {
    /// The path key that this payload's recipient data is opened with, if it has any. `payload` is what the records were decoded from.
    ///
    /// # Errors
    /// [`InvalidPayload`] when the HTLC and the payload both have one, or either has one that it must not have.
    pub fn path_key(&self, payload: &[u8], htlc: &IncomingHtlc) -> Result<Option<PublicKey>, InvalidPayload> {
        let at = |record_type| Err(InvalidPayload::at(record_type, payload));
        match (&self.encrypted_recipient_data, htlc.path_key, self.current_path_key) {
            (None, None, None) => Ok(None),
            (Some(_), Some(path_key), None) | (Some(_), None, Some(path_key)) => Ok(Some(path_key)),
            (_, Some(_), Some(_)) | (None, None, Some(_)) | (Some(_), None, None) => at(record::CURRENT_PATH_KEY),
            (None, Some(_), None) => at(record::ENCRYPTED_RECIPIENT_DATA),
        }
    }
}

/// Judges what was peeled off an onion. `records` are its decoded payload, `blinding` belongs to [`PayloadRecords::path_key`].
///
/// # Panics
/// If `blinding` is for another path key than [`PayloadRecords::path_key`] yields.
///
/// # Errors
/// The [`Failure`] that BOLT 4 demands of a hop outside a blinded path; what it becomes inside one says [`crate::PathRole`].
pub fn judge_payload(
    peeled: Peeled,
    records: PayloadRecords,
    htlc: &IncomingHtlc,
    blinding: Option<&Blinding>,
) -> Result<Payload, Failure> {
    let judge = Judge {
        payload: &peeled.payload,
        htlc,
    };
    let path_key = records.path_key(&peeled.payload, htlc)?;
    assert_eq!(
        path_key,
        blinding.map(|blinding| blinding.path_key),
        "a payload is judged with the path key that belongs to it"
    );
    match (blinding, peeled.next) {
        (None, Some(next)) => judge.forward(&records, next).map(Payload::Forward),
        (None, None) => judge.receive(records).map(Payload::Receive),
        (Some(blinding), Some(next)) => judge
            .blinded_forward(&records, blinding, next)
            .map(Payload::BlindedForward),
        (Some(blinding), None) => judge.blinded_receive(&records, blinding).map(Payload::BlindedReceive),
    }
}

struct Judge<'a> {
    payload: &'a [u8],
    htlc: &'a IncomingHtlc,
}

impl Judge<'_> {
    fn forward(&self, records: &PayloadRecords, next: OnionPacket) -> Result<Forward, Failure> {
        self.refuse_unknown_required(records, u64::MAX)?;
        Ok(Forward {
            amount: self.require(records.amt_to_forward, record::AMT_TO_FORWARD)?,
            expiry: self.require(records.outgoing_cltv_value, record::OUTGOING_CLTV_VALUE)?,
            short_channel_id: self.require(records.short_channel_id, record::SHORT_CHANNEL_ID)?,
            next,
        })
    }

    fn receive(&self, mut records: PayloadRecords) -> Result<Receive, Failure> {
        self.refuse_unknown_required(&records, record::CUSTOM)?;
        let (amount, expiry) = self.final_amount_and_expiry(&records)?;
        Ok(Receive {
            amount,
            expiry,
            payment_data: records.payment_data,
            payment_metadata: records.payment_metadata,
            keysend_preimage: records.keysend_preimage,
            custom_records: records.others.split_off(&record::CUSTOM),
        })
    }

    /// Opens the instructions of the path's maker and holds the HTLC against what they demand of every hop.
    fn recipient_data(&self, records: &PayloadRecords, blinding: &Blinding) -> Result<RecipientData, Failure> {
        let sealed = records.encrypted_recipient_data.as_deref();
        let data = RecipientData::open(
            self.require(sealed, record::ENCRYPTED_RECIPIENT_DATA)?,
            &blinding.secret,
        )
        .map_err(|_| self.fault(record::ENCRYPTED_RECIPIENT_DATA))?;
        let allowed = data
            .payment_constraints
            .is_none_or(|constraints| constraints.allow(self.htlc.amount, self.htlc.expiry));
        let one_way = data.short_channel_id.is_none() || data.next_node_id.is_none();
        if allowed && one_way && data.features_are_known() {
            Ok(data)
        } else {
            Err(self.fault(record::ENCRYPTED_RECIPIENT_DATA))
        }
    }

    fn blinded_forward(
        &self,
        records: &PayloadRecords,
        blinding: &Blinding,
        next: OnionPacket,
    ) -> Result<BlindedForward, Failure> {
        let data = self.recipient_data(records, blinding)?;
        self.allow_only(records, &[record::ENCRYPTED_RECIPIENT_DATA, record::CURRENT_PATH_KEY])?;
        let fault = || self.fault(record::ENCRYPTED_RECIPIENT_DATA);
        let next_hop = match (data.short_channel_id, data.next_node_id) {
            (Some(channel), _) => NextHop::Channel(channel),
            (None, Some(node)) => NextHop::Node(node),
            (None, None) => return Err(fault()),
        };
        let relay = data.payment_relay.ok_or_else(fault)?;
        Ok(BlindedForward {
            next_hop,
            amount: relay.amount_to_forward(self.htlc.amount).ok_or_else(fault)?,
            expiry: relay.outgoing_expiry(self.htlc.expiry).ok_or_else(fault)?,
            next_path_key: next_path_key(&data, &blinding.path_key, &blinding.secret).map_err(|_| fault())?,
            next,
        })
    }

    fn blinded_receive(&self, records: &PayloadRecords, blinding: &Blinding) -> Result<BlindedReceive, Failure> {
        let data = self.recipient_data(records, blinding)?;
        self.allow_only(
            records,
            &[
                record::ENCRYPTED_RECIPIENT_DATA,
                record::CURRENT_PATH_KEY,
                record::AMT_TO_FORWARD,
                record::OUTGOING_CLTV_VALUE,
                record::TOTAL_AMOUNT_MSAT,
            ],
        )?;
        let total = self.require(records.total_amount, record::TOTAL_AMOUNT_MSAT)?;
        let (amount, expiry) = self.final_amount_and_expiry(records)?;
        Ok(BlindedReceive {
            amount,
            expiry,
            total,
            path_id: data.path_id,
            path_key: blinding.path_key,
        })
    }

    /// What the last hop was promised; the HTLC must hold at least as much, for at least as long.
    fn final_amount_and_expiry(&self, records: &PayloadRecords) -> Result<(MilliSatoshi, CltvExpiry), Failure> {
        let amount = self.require(records.amt_to_forward, record::AMT_TO_FORWARD)?;
        let expiry = self.require(records.outgoing_cltv_value, record::OUTGOING_CLTV_VALUE)?;
        if self.htlc.expiry < expiry {
            return Err(Failure::FinalIncorrectCltvExpiry(self.htlc.expiry));
        }
        if self.htlc.amount < amount {
            return Err(Failure::FinalIncorrectHtlcAmount(self.htlc.amount));
        }
        Ok((amount, expiry))
    }

    fn require<T>(&self, value: Option<T>, record_type: u64) -> Result<T, Failure> {
        value.ok_or_else(|| self.fault(record_type))
    }

    /// BOLT 1: an unknown record of even type, below `custom`, must not be ignored.
    fn refuse_unknown_required(&self, records: &PayloadRecords, custom: u64) -> Result<(), Failure> {
        let unknown = records
            .others
            .range(..custom)
            .find(|(record_type, _)| *record_type % 2 == 0);
        unknown.map_or(Ok(()), |(record_type, _)| Err(self.fault(*record_type)))
    }

    /// BOLT 4: inside a blinded path no record is allowed that the path does not need, even of odd type.
    fn allow_only(&self, records: &PayloadRecords, allowed: &[u64]) -> Result<(), Failure> {
        let foreign = records.types().find(|record_type| !allowed.contains(record_type));
        foreign.map_or(Ok(()), |record_type| Err(self.fault(record_type)))
    }

    fn fault(&self, record_type: u64) -> Failure {
        InvalidPayload::at(record_type, self.payload).into()
    }
}

impl Receive {
    /// The total of the payment's parts (BOLT 4: the amount where no total is stated).
    pub fn total(&self) -> MilliSatoshi {
        self.payment_data.map_or(self.amount, |data| data.total)
    }

    /// The failure for a custom record of even type that no application knows, if there is one. `known` are the types that one
    /// does.
    pub fn refuse_custom_record(&self, known: &[u64]) -> Option<Failure> {
        let unknown = |record_type: &&u64| record_type.is_multiple_of(2) && !known.contains(record_type);
        let record_type = *self.custom_records.keys().find(unknown)?;
        Some(Failure::InvalidOnionPayload { record_type, offset: 0 })
    }
}
