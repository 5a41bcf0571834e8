//! What the maker of a blinded path tells one hop of it, sealed for that hop alone (BOLT 4, inside encrypted_recipient_data).

use std::collections::BTreeMap;

use chacha20poly1305::aead::Aead;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use quittance_primitives::{CltvExpiry, CltvExpiryDelta, Features, MilliSatoshi, ShortChannelId};
use quittance_wire::{BigSize, Flaw, Reader, TlvError, TlvStream, TlvValue, TlvWriter, Tu32, Tu64, Wire};
use secp256k1::PublicKey;

use crate::secret::{KeyType, SharedSecret};

/// `encrypted_data_tlv`: the instructions for one hop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecipientData {
    /// Bytes of padding, which carry nothing, so that all hops' data have one length.
    pub padding: Option<u16>,
    /// The channel to forward along.
    pub short_channel_id: Option<ShortChannelId>,
    /// The node to forward to.
    pub next_node_id: Option<PublicKey>,
    /// What the recipient recognises its own path by. For its eyes only.
    pub path_id: Option<Vec<u8>>,
    /// The path key to hand on, where another path begins.
    pub next_path_key_override: Option<PublicKey>,
    /// What to take for forwarding a payment.
    pub payment_relay: Option<PaymentRelay>,
    /// Which payments may use the path.
    pub payment_constraints: Option<PaymentConstraints>,
    /// Features that may be used. Missing stands for none.
    pub allowed_features: Option<Features>,
    /// Records that we do not define, all of odd type.
    pub others: BTreeMap<u64, Vec<u8>>,
}

/// What a hop inside a blinded path takes for forwarding a payment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PaymentRelay {
    /// Blocks between the incoming and the outgoing expiry.
    pub cltv_expiry_delta: CltvExpiryDelta,
    /// Fee in millionths of the amount that is forwarded.
    pub fee_proportional_millionths: u32,
    /// Fee for each HTLC, in msat.
    pub fee_base_msat: u32,
}

/// Which payments may use a blinded path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PaymentConstraints {
    /// The greatest expiry of an incoming HTLC.
    pub max_cltv_expiry: CltvExpiry,
    /// The smallest amount of an incoming HTLC.
    pub htlc_minimum: MilliSatoshi,
}

/// Why a hop cannot use the data that came for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipientDataError {
    /// It was not sealed for us under this path key, or it was altered.
    #[error("the recipient data does not decrypt")]
    NotForUs,
    /// It is no TLV stream of this kind, or holds an unknown even record.
    #[error("the recipient data: {0}")]
    Malformed(#[from] TlvError),
}

/// Bytes that sealing adds.
const TAG: usize = 16;
/// BOLT 4: the key is used once only, so the nonce is zero.
const NONCE: [u8; 12] = [0; 12];

impl RecipientData {
    /// Seals the data for the hop with which `secret` is shared.
    pub fn seal(&self, secret: &SharedSecret) -> Vec<u8> {
        cipher(secret)
            .encrypt(&NONCE.into(), self.encode().as_slice())
            .expect("the cipher takes 256 GiB")
    }

    /// Opens the data at a hop.
    ///
    /// # Errors
    /// [`RecipientDataError`].
    pub fn open(sealed: &[u8], secret: &SharedSecret) -> Result<Self, RecipientDataError> {
        let plain = cipher(secret)
            .decrypt(&NONCE.into(), sealed)
            .map_err(|_| RecipientDataError::NotForUs)?;
        Ok(Self::decode(&plain)?)
    }

    /// The TLV stream.
    ///
    /// # Panics
    /// If [`Self::others`] holds a type that this struct has a field for.
    pub fn encode(&self) -> Vec<u8> {
        let mut records: BTreeMap<u64, Vec<u8>> = self.others.clone();
        let mut add = |record_type, value: Option<Vec<u8>>| {
            if let Some(value) = value {
                let twice = records.insert(record_type, value);
                assert!(twice.is_none(), "record {record_type} has a field of its own");
            }
        };
        add(1, self.padding.map(|length| vec![0; usize::from(length)]));
        add(2, self.short_channel_id.as_ref().map(value));
        add(4, self.next_node_id.as_ref().map(value));
        add(6, self.path_id.clone());
        add(8, self.next_path_key_override.as_ref().map(value));
        add(10, self.payment_relay.as_ref().map(value));
        add(12, self.payment_constraints.as_ref().map(value));
        add(14, self.allowed_features.as_ref().map(value));
        let mut out = Vec::new();
        let mut writer = TlvWriter::new(&mut out);
        for (record_type, value) in &records {
            writer.bytes(*record_type, value);
        }
        out
    }

    /// Reads the TLV stream.
    ///
    /// # Errors
    /// [`TlvError`], also for an unknown even record: the hop must refuse what it does not understand.
    pub fn decode(bytes: &[u8]) -> Result<Self, TlvError> {
        let mut data = Self::default();
        for record in TlvStream::new(bytes) {
            let record = record?;
            match record.record_type {
                1 => data.padding = Some(u16::try_from(record.bytes.len()).unwrap_or(u16::MAX)),
                2 => data.short_channel_id = Some(record.value()?),
                4 => data.next_node_id = Some(record.value()?),
                6 => data.path_id = Some(record.value()?),
                8 => data.next_path_key_override = Some(record.value()?),
                10 => data.payment_relay = Some(record.value()?),
                12 => data.payment_constraints = Some(record.value()?),
                14 => data.allowed_features = Some(record.value()?),
                other => {
                    record.ignore()?;
                    data.others.insert(other, record.bytes.to_vec());
                }
            }
        }
        Ok(data)
    }

    /// Gives all of `data` paddings that make their encodings equally long, so that nobody tells the last from the others.
    pub fn pad_to_one_length<'a>(data: impl IntoIterator<Item = &'a mut Self>) {
        let mut data: Vec<_> = data.into_iter().collect();
        for data in &mut data {
            data.padding = None;
        }
        let lengths: Vec<_> = data.iter().map(|data| data.encode().len()).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        // No record takes 1, 255 or 256 bytes: each length rules out three common ones, so the search ends.
        let common = (longest..=longest + 3 * lengths.len())
            .find(|common| lengths.iter().all(|length| can_be_filled(common - length)))
            .expect("more lengths are tried than are ruled out");
        for (data, length) in data.iter_mut().zip(lengths) {
            data.padding = padding_of(common - length);
        }
    }

    /// The length of the sealed data.
    pub fn sealed_len(&self) -> usize {
        self.encode().len() + TAG
    }

    /// Whether the hop may use the path at all: no feature bit is set, since none is defined (BOLT 4: an unknown bit is refused even if
    /// it is odd).
    pub(crate) fn features_are_known(&self) -> bool {
        self.allowed_features.as_ref().is_none_or(Features::is_empty)
    }
}

impl PaymentRelay {
    /// The amount to forward when `incoming` came, or `None` if the fee exceeds it (BOLT 4, payload format).
    pub fn amount_to_forward(&self, incoming: MilliSatoshi) -> Option<MilliSatoshi> {
        let without_base = u128::from(incoming.0.checked_sub(u64::from(self.fee_base_msat))?);
        let divisor = 1_000_000 + u128::from(self.fee_proportional_millionths);
        let amount = (without_base * 1_000_000).div_ceil(divisor);
        u64::try_from(amount).ok().map(MilliSatoshi)
    }

    /// The outgoing expiry when `incoming` is the HTLC's, or `None` if there is none.
    pub fn outgoing_expiry(&self, incoming: CltvExpiry) -> Option<CltvExpiry> {
        incoming
            .0
            .checked_sub(u32::from(self.cltv_expiry_delta.0))
            .map(CltvExpiry)
    }
}

impl PaymentConstraints {
    /// Whether a payment may use the path.
    pub fn allow(&self, amount: MilliSatoshi, expiry: CltvExpiry) -> bool {
        expiry <= self.max_cltv_expiry && amount >= self.htlc_minimum
    }
}

impl TlvValue for PaymentRelay {
    fn write_value(&self, out: &mut Vec<u8>) {
        self.cltv_expiry_delta.write(out);
        self.fee_proportional_millionths.write(out);
        Tu32(self.fee_base_msat).write(out);
    }

    fn read_value(bytes: &[u8]) -> Result<Self, Flaw> {
        let mut reader = Reader::new(bytes);
        Ok(Self {
            cltv_expiry_delta: Wire::read(&mut reader)?,
            fee_proportional_millionths: Wire::read(&mut reader)?,
            fee_base_msat: Tu32::read(&mut reader)?.0,
        })
    }
}

impl TlvValue for PaymentConstraints {
    fn write_value(&self, out: &mut Vec<u8>) {
        self.max_cltv_expiry.write(out);
        Tu64(self.htlc_minimum.0).write(out);
    }

    fn read_value(bytes: &[u8]) -> Result<Self, Flaw> {
        let mut reader = Reader::new(bytes);
        Ok(Self {
            max_cltv_expiry: Wire::read(&mut reader)?,
            htlc_minimum: MilliSatoshi(Tu64::read(&mut reader)?.0),
        })
    }
}

/// Whether there is a padding, or none, that takes `bytes`.
fn can_be_filled(bytes: usize) -> bool {
    bytes == 0 || padding_of(bytes).is_some()
}

/// The length in the padding record that takes `bytes`, its type and length included.
fn padding_of(bytes: usize) -> Option<u16> {
    [2, 4].into_iter().find_map(|overhead| {
        let length = u16::try_from(bytes.checked_sub(overhead)?).ok()?;
        let fits = 1 + BigSize(u64::from(length)).encoded_len() == overhead;
        fits.then_some(length)
    })
}

pub(crate) fn value(of: &impl TlvValue) -> Vec<u8> {
    let mut out = Vec::new();
    of.write_value(&mut out);
    out
}

fn cipher(secret: &SharedSecret) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new((&*secret.key(KeyType::Rho)).into())
}
