//! From terms to a signed [`Invoice`] (BOLT 11, requirements on writers). The key is elsewhere: it signs a hash.

use bitcoin::hashes::{Hash, sha256};
use bitcoin::{Address, Network};
use lightning_invoice::{
    Currency, Description as DescriptionField, ExpiryTime, Fallback, MAX_LENGTH, MinFinalCltvExpiryDelta,
    PaymentSecret, PositiveTimestamp, PrivateRoute, RawBolt11Invoice, RawDataPart, RawHrp, RouteHint,
    RouteHintHop as HopField, RoutingFees, Sha256, SiPrefix, TaggedField,
};
use lightning_types::features::Bolt11InvoiceFeatures;
use quittance_primitives::MilliSatoshi;
use secp256k1::ecdsa::RecoverableSignature;
use secp256k1::{Message, PublicKey, SECP256K1};

use crate::error::{BuildError, SignError};
use crate::parse::{Invoice, check_features};
use crate::terms::{Description, RouteHintHop, Terms};

/// Bytes that a field holds: 1023 letters of 5 bits.
const FIELD_BYTES_MAX: usize = 639;
/// The highest feature bit that a field holds.
const FEATURE_BIT_MAX: usize = 1023 * 5 - 1;
/// Hops that a field holds, of 51 bytes each.
const ROUTE_HINT_HOPS_MAX: usize = 12;
/// The separator, the signature and the checksum.
const LETTERS_BESIDE_FIELDS: usize = 1 + 104 + 6;

/// An invoice that only lacks the payee's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsignedInvoice {
    raw: RawBolt11Invoice,
}

impl UnsignedInvoice {
    /// Writes down `terms`.
    ///
    /// # Errors
    /// [`BuildError`] when an invoice cannot say so, or nobody could pay it.
    pub fn new(terms: Terms) -> Result<Self, BuildError> {
        check_features(&terms.features)?;
        let currency = match terms.network {
            Network::Bitcoin => Currency::Bitcoin,
            Network::Testnet | Network::Testnet4 => Currency::BitcoinTestnet,
            Network::Signet => Currency::Signet,
            Network::Regtest => Currency::Regtest,
        };
        let timestamp = PositiveTimestamp::from_unix_timestamp(terms.created_at.as_secs());
        let timestamp = timestamp.map_err(|_| BuildError::TimeOutOfRange)?;
        let (raw_amount, si_prefix) = match terms.amount {
            Some(amount) => shortest(amount)?,
            None => (None, None),
        };
        let fields = fields(terms)?.into_iter().map(Into::into).collect();
        let raw = RawBolt11Invoice {
            hrp: RawHrp {
                currency,
                raw_amount,
                si_prefix,
            },
            data: RawDataPart {
                timestamp,
                tagged_fields: fields,
            },
        };
        let (prefix, letters) = raw.to_raw();
        if prefix.len() + letters.len() + LETTERS_BESIDE_FIELDS > MAX_LENGTH {
            return Err(BuildError::TooLong { max: MAX_LENGTH });
        }
        Ok(Self { raw })
    }

    /// What the payee is to sign, recoverably.
    pub fn hash(&self) -> [u8; 32] {
        self.raw.signable_hash()
    }

    /// The invoice, with `signature` by `payee`.
    ///
    /// # Errors
    /// [`SignError`] when the signature is not the payee's over [`Self::hash`].
    pub fn sign(self, signature: RecoverableSignature, payee: &PublicKey) -> Result<Invoice, SignError> {
        let message = Message::from_digest(self.hash());
        if SECP256K1.recover_ecdsa(&message, &signature) != Ok(*payee) {
            return Err(SignError);
        }
        let signed = self.raw.sign(|_| Ok::<_, SignError>(signature))?;
        Ok(signed
            .to_string()
            .parse()
            .expect("what was checked and written can be read"))
    }
}

/// BOLT 11: the shortest writing, by the largest multiplier or none.
fn shortest(amount: MilliSatoshi) -> Result<(Option<u64>, Option<SiPrefix>), BuildError> {
    if amount.is_zero() || amount > MilliSatoshi::MAX_MONEY {
        return Err(BuildError::AmountOutOfRange);
    }
    let units_msat = [
        (100_000_000_000, None),
        (100_000_000, Some(SiPrefix::Milli)),
        (100_000, Some(SiPrefix::Micro)),
        (100, Some(SiPrefix::Nano)),
    ];
    let whole = units_msat
        .into_iter()
        .find(|(unit_msat, _)| amount.0.is_multiple_of(*unit_msat));
    match (whole, amount.0.checked_mul(10)) {
        (Some((unit_msat, None)), _) => Ok((Some(amount.0 / unit_msat), None)),
        // The codec counts in pico-bitcoin, tenths of a millisatoshi, and ends at 18.4 million bitcoin.
        (_, None) => Err(BuildError::AmountOutOfRange),
        (Some((unit_msat, prefix)), Some(_)) => Ok((Some(amount.0 / unit_msat), prefix)),
        (None, pico_btc) => Ok((pico_btc, Some(SiPrefix::Pico))),
    }
}

fn fields(terms: Terms) -> Result<Vec<TaggedField>, BuildError> {
    let hash = |bytes| Sha256(sha256::Hash::from_byte_array(bytes));
    let mut fields = vec![
        TaggedField::PaymentHash(hash(terms.payment_hash.0)),
        TaggedField::PaymentSecret(PaymentSecret(terms.payment_secret.0)),
        match terms.description {
            Description::Hash(bytes) => TaggedField::DescriptionHash(hash(bytes)),
            Description::Text(text) => {
                let (length, max) = (text.len(), FIELD_BYTES_MAX);
                let field = DescriptionField::new(text).map_err(|_| BuildError::DescriptionTooLong { length, max })?;
                TaggedField::Description(field)
            }
        },
    ];
    if terms.expiry.as_secs() != Terms::DEFAULT_EXPIRY.as_secs() {
        fields.push(TaggedField::ExpiryTime(ExpiryTime::from_seconds(
            terms.expiry.as_secs(),
        )));
    }
    let delta = u64::from(terms.min_final_cltv_expiry_delta.0);
    fields.push(TaggedField::MinFinalCltvExpiryDelta(MinFinalCltvExpiryDelta(delta)));
    if let Some(metadata) = terms.metadata {
        let (length, max) = (metadata.len(), FIELD_BYTES_MAX);
        if length > max {
            return Err(BuildError::MetadataTooLong { length, max });
        }
        fields.push(TaggedField::PaymentMetadata(metadata));
    }
    for hint in &terms.route_hints {
        fields.push(TaggedField::PrivateRoute(route_hint(hint)?));
    }
    for address in &terms.fallbacks {
        fields.push(TaggedField::Fallback(fallback(address, terms.network)?));
    }
    if !terms.features.is_empty() {
        let highest = terms.features.bits().last().unwrap_or(0);
        if highest > FEATURE_BIT_MAX {
            return Err(BuildError::FeatureBitOutOfRange {
                bit: highest,
                max: FEATURE_BIT_MAX,
            });
        }
        let lowest_first: Vec<u8> = terms.features.to_be_bytes().into_iter().rev().collect();
        fields.push(TaggedField::Features(Bolt11InvoiceFeatures::from_le_bytes(
            lowest_first,
        )));
    }
    Ok(fields)
}

fn route_hint(hint: &[RouteHintHop]) -> Result<PrivateRoute, BuildError> {
    let (hops, max) = (hint.len(), ROUTE_HINT_HOPS_MAX);
    let written = hint.iter().map(|hop| HopField {
        src_node_id: hop.node,
        short_channel_id: hop.short_channel_id.0,
        fees: RoutingFees {
            base_msat: hop.fee_base_msat,
            proportional_millionths: hop.fee_proportional_millionths,
        },
        cltv_expiry_delta: hop.cltv_expiry_delta.0,
        htlc_minimum_msat: None,
        htlc_maximum_msat: None,
    });
    if hops == 0 || hops > max {
        return Err(BuildError::RouteHintLength { hops, max });
    }
    PrivateRoute::new(RouteHint(written.collect())).map_err(|_| BuildError::RouteHintLength { hops, max })
}

fn fallback(address: &Address, network: Network) -> Result<Fallback, BuildError> {
    let unfit = || BuildError::Fallback(address.to_string());
    if !address.as_unchecked().is_valid_for_network(network) {
        return Err(unfit());
    }
    if let Some(program) = address.witness_program() {
        let (version, program) = (program.version(), program.program().as_bytes().to_vec());
        return Ok(Fallback::SegWitProgram { version, program });
    }
    let legacy = address.pubkey_hash().map(Fallback::PubKeyHash);
    legacy
        .or_else(|| address.script_hash().map(Fallback::ScriptHash))
        .ok_or_else(unfit)
}
