//! From a text to an [`Invoice`] that can be paid (BOLT 11, requirements on readers).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bitcoin::bech32::primitives::decode::{CharError, CheckedHrpstringError, ChecksumError, UncheckedHrpstringError};
use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::{Address, Network, WitnessProgram};
use lightning_invoice::{
    Bolt11ParseError, Currency, Fallback, MAX_LENGTH, RawBolt11Invoice, SignedRawBolt11Invoice, TaggedField,
};
use quittance_primitives::{
    BlockCount, CltvExpiryDelta, Feature, FeatureContext, Features, MilliSatoshi, PaymentHash, PaymentSecret,
    ShortChannelId, UnmetFeature,
};
use secp256k1::ecdsa::RecoverableSignature;
use secp256k1::{Message, PublicKey, SECP256K1};

use crate::error::{Field, InvoiceError};
use crate::terms::{Description, RouteHintHop, Terms};

/// An invoice whose signature, fields and features are as BOLT 11 wants them. It may have expired.
///
/// Read it from text with [`str::parse`]: upper case and the prefix `lightning:` are taken too. `Display` gives it in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    terms: Terms,
    payee: PublicKey,
    hash: [u8; 32],
    signature: RecoverableSignature,
    text: String,
}

impl Invoice {
    /// What the invoice says.
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Who signed it, and is to be paid.
    pub const fn payee(&self) -> &PublicKey {
        &self.payee
    }

    /// The hash that is signed.
    pub const fn signed_hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The signature as it stands in the invoice.
    pub const fn signature(&self) -> &RecoverableSignature {
        &self.signature
    }
}

impl fmt::Display for Invoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Invoice {
    type Err = InvoiceError;

    fn from_str(text: &str) -> Result<Self, InvoiceError> {
        let text = without_scheme(text.trim());
        if text.len() > MAX_LENGTH {
            return Err(InvoiceError::TooLong { max: MAX_LENGTH });
        }
        let signed: SignedRawBolt11Invoice = text.parse().map_err(refusal)?;
        let text = text.to_lowercase();
        let letters = Letters::of(&text);
        let (hash, signature) = (letters.hash(), signed.signature().0);
        let payee = payee(hash, signature, signed.raw_invoice().payee_pub_key().map(|key| key.0))?;
        check_minimal(letters.fields)?;
        let terms = terms(signed.raw_invoice())?;
        check_features(&terms.features)?;
        Ok(Self {
            terms,
            payee,
            hash,
            signature,
            text,
        })
    }
}

/// BOLT 11: the scheme `lightning:`, in any case, may stand in front.
fn without_scheme(text: &str) -> &str {
    match text.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("lightning") => rest,
        _ => text,
    }
}

fn terms(raw: &RawBolt11Invoice) -> Result<Terms, InvoiceError> {
    let network = match raw.currency() {
        Currency::Bitcoin => Network::Bitcoin,
        Currency::BitcoinTestnet => Network::Testnet,
        Currency::Regtest => Network::Regtest,
        Currency::Signet => Network::Signet,
        Currency::Simnet => return Err(InvoiceError::UnknownNetwork),
    };
    let payment_hash = only(raw, Field::PaymentHash, |field| match field {
        TaggedField::PaymentHash(hash) => Some(PaymentHash(hash.0.to_byte_array())),
        _ => None,
    })?;
    let payment_secret = only(raw, Field::PaymentSecret, |field| match field {
        TaggedField::PaymentSecret(secret) => Some(PaymentSecret(secret.0)),
        _ => None,
    })?;
    let description = only(raw, Field::Description, |field| match field {
        TaggedField::Description(text) => Some(Description::Text(text.as_inner().0.clone())),
        TaggedField::DescriptionHash(hash) => Some(Description::Hash(hash.0.to_byte_array())),
        _ => None,
    })?;
    let min_final_cltv_expiry_delta = match raw.min_final_cltv_expiry_delta() {
        Some(delta) => BlockCount(u32::try_from(delta.0).map_err(|_| InvoiceError::NumberOutOfRange)?),
        None => Terms::DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA,
    };
    Ok(Terms {
        network,
        amount: amount(raw)?,
        created_at: raw.data.timestamp.as_duration_since_epoch(),
        payment_hash,
        payment_secret,
        description,
        expiry: raw
            .expiry_time()
            .map_or(Terms::DEFAULT_EXPIRY, |expiry| Duration::from_secs(expiry.as_seconds())),
        min_final_cltv_expiry_delta,
        route_hints: route_hints(raw),
        features: raw.features().map_or_else(Features::empty, |features| {
            let lowest_last: Vec<u8> = features.le_flags().iter().rev().copied().collect();
            Features::from_be_bytes(&lowest_last)
        }),
        metadata: raw.payment_metadata().cloned(),
        fallbacks: raw
            .fallbacks()
            .into_iter()
            .filter_map(|fallback| address(fallback, network))
            .collect(),
    })
}

/// The one value that `select` finds among the fields.
fn only<T>(raw: &RawBolt11Invoice, field: Field, select: fn(&TaggedField) -> Option<T>) -> Result<T, InvoiceError> {
    let mut found = raw.known_tagged_fields().filter_map(select);
    match (found.next(), found.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(InvoiceError::Missing(field)),
        (Some(_), Some(_)) => Err(InvoiceError::Repeated(field)),
    }
}

fn amount(raw: &RawBolt11Invoice) -> Result<Option<MilliSatoshi>, InvoiceError> {
    let Some(number) = raw.hrp.raw_amount else {
        return Ok(None);
    };
    let unit_pico_btc = raw
        .hrp
        .si_prefix
        .map_or(1_000_000_000_000, |prefix| prefix.multiplier());
    let pico_btc = u128::from(number) * u128::from(unit_pico_btc);
    if pico_btc % 10 != 0 {
        return Err(InvoiceError::SubMillisatoshi);
    }
    match u64::try_from(pico_btc / 10).map(MilliSatoshi) {
        Ok(MilliSatoshi::ZERO) => Err(InvoiceError::ZeroAmount),
        Ok(amount) if amount <= MilliSatoshi::MAX_MONEY => Ok(Some(amount)),
        _ => Err(InvoiceError::NumberOutOfRange),
    }
}

fn route_hints(raw: &RawBolt11Invoice) -> Vec<Vec<RouteHintHop>> {
    let hints = raw.private_routes().into_iter().filter(|hint| !hint.0.is_empty());
    hints
        .map(|hint| {
            let hops = hint.0.iter().map(|hop| RouteHintHop {
                node: hop.src_node_id,
                short_channel_id: ShortChannelId(hop.short_channel_id),
                fee_base_msat: hop.fees.base_msat,
                fee_proportional_millionths: hop.fees.proportional_millionths,
                cltv_expiry_delta: CltvExpiryDelta(hop.cltv_expiry_delta),
            });
            hops.collect()
        })
        .collect()
}

/// `None` for a witness program that cannot be paid to.
fn address(fallback: &Fallback, network: Network) -> Option<Address> {
    match fallback {
        Fallback::PubKeyHash(hash) => Some(Address::p2pkh(*hash, network)),
        Fallback::ScriptHash(hash) => Some(Address::p2sh_from_hash(*hash, network)),
        Fallback::SegWitProgram { version, program } => {
            let program = WitnessProgram::new(*version, program).ok()?;
            Some(Address::from_witness_program(program, network))
        }
    }
}

/// BOLT 11: the key in `n` verifies the signature; without one, the key is recovered from it.
fn payee(hash: [u8; 32], signature: RecoverableSignature, named: Option<PublicKey>) -> Result<PublicKey, InvoiceError> {
    let message = Message::from_digest(hash);
    let Some(payee) = named else {
        let recovered = SECP256K1.recover_ecdsa(&message, &signature);
        return recovered.map_err(|_| InvoiceError::InvalidSignature);
    };
    let signature = signature.to_standard();
    let mut low_s = signature;
    low_s.normalize_s();
    if SECP256K1.verify_ecdsa(&message, &low_s, &payee).is_err() {
        return Err(InvoiceError::InvalidSignature);
    }
    if low_s != signature {
        return Err(InvoiceError::HighS);
    }
    Ok(payee)
}

/// BOLT 9: everything required is known in an invoice, and every dependency is set.
pub(crate) fn check_features(features: &Features) -> Result<(), UnmetFeature> {
    features.check()?;
    let foreign = |bit: &usize| {
        bit.is_multiple_of(2)
            && Feature::of_bit(*bit).is_some_and(|feature| !feature.belongs_in(FeatureContext::Invoice))
    };
    match features.bits().find(foreign) {
        Some(bit) => Err(UnmetFeature::UnknownRequired(bit)),
        None => Ok(()),
    }
}

/// An invoice letter by letter, for what the codec does not keep: it hashes not what came, but what it would have written.
struct Letters<'a> {
    prefix: &'a str,
    /// Timestamp and fields.
    signed: &'a [u8],
    fields: &'a [u8],
}

impl<'a> Letters<'a> {
    /// The parts of a text in lower case that the codec has decoded.
    fn of(text: &'a str) -> Self {
        let (prefix, data) = text.rsplit_once('1').unwrap_or_default();
        let signed_end = data.len().saturating_sub(SIGNATURE_LETTERS + CHECKSUM_LETTERS);
        let signed = data.as_bytes().get(..signed_end).unwrap_or_default();
        let fields = signed.get(TIMESTAMP_LETTERS..).unwrap_or_default();
        Self { prefix, signed, fields }
    }

    /// BOLT 11: the hash of the prefix and of all signed letters, with zero bits behind them up to a whole byte.
    fn hash(&self) -> [u8; 32] {
        let mut engine = sha256::Hash::engine();
        engine.input(self.prefix.as_bytes());
        let (mut bits, mut bit_count) = (0_u32, 0);
        for letter in self.signed {
            bits = bits << 5 | value(*letter);
            bit_count += 5;
            if bit_count >= 8 {
                bit_count -= 8;
                engine.input(&[(bits >> bit_count & 0xff) as u8]);
            }
        }
        if bit_count > 0 {
            engine.input(&[(bits << (8 - bit_count) & 0xff) as u8]);
        }
        sha256::Hash::from_engine(engine).to_byte_array()
    }
}

/// BOLT 11: a `c`, `x` or `9` field that begins with a zero is to be treated as invalid.
fn check_minimal(mut fields: &[u8]) -> Result<(), InvoiceError> {
    while let [tag, high, low, rest @ ..] = fields {
        let length = (value(*high) << 5 | value(*low)) as usize;
        let (content, others) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        let field = match tag {
            b'c' => Some(Field::MinFinalCltvExpiryDelta),
            b'x' => Some(Field::Expiry),
            b'9' => Some(Field::Features),
            _ => None,
        };
        if let Some(field) = field.filter(|_| content.first() == Some(&ZERO_LETTER)) {
            return Err(InvoiceError::NotMinimal(field));
        }
        fields = others;
    }
    Ok(())
}

/// The five bits that a letter stands for.
fn value(letter: u8) -> u32 {
    let letters = BECH32_LETTERS.iter().zip(0_u32..);
    letters
        .into_iter()
        .find(|(other, _)| **other == letter)
        .map_or(0, |(_, value)| value)
}

const BECH32_LETTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const ZERO_LETTER: u8 = b'q';
const TIMESTAMP_LETTERS: usize = 7;
const SIGNATURE_LETTERS: usize = 104;
const CHECKSUM_LETTERS: usize = 6;

fn refusal(error: Bolt11ParseError) -> InvoiceError {
    use Bolt11ParseError as Codec;
    match error {
        Codec::Bech32Error(CheckedHrpstringError::Checksum(ChecksumError::InvalidResidue)) => InvoiceError::Checksum,
        Codec::Bech32Error(CheckedHrpstringError::Parse(UncheckedHrpstringError::Char(error))) => match error {
            CharError::MissingSeparator => InvoiceError::NoSeparator,
            CharError::MixedCase => InvoiceError::MixedCase,
            CharError::NothingAfterSeparator => InvoiceError::TooShort,
            _ => InvoiceError::Malformed(error.to_string()),
        },
        Codec::Bech32Error(CheckedHrpstringError::Parse(UncheckedHrpstringError::Hrp(error))) => {
            InvoiceError::Malformed(error.to_string())
        }
        Codec::Bech32Error(_) | Codec::BadPrefix | Codec::MalformedHRP => InvoiceError::Malformed(error.to_string()),
        Codec::UnknownCurrency => InvoiceError::UnknownNetwork,
        Codec::UnknownSiPrefix => InvoiceError::InvalidMultiplier,
        Codec::ParseAmountError(_) | Codec::IntegerOverflowError => InvoiceError::NumberOutOfRange,
        Codec::TooShortDataPart => InvoiceError::TooShort,
        // Also what the codec says of a key that is no point.
        Codec::MalformedSignature(_) => InvoiceError::InvalidSignature,
        Codec::UnexpectedEndOfTaggedFields
        | Codec::DescriptionDecodeError(_)
        | Codec::PaddingError
        | Codec::InvalidSegWitProgramLength
        | Codec::InvalidPubKeyHashLength
        | Codec::InvalidScriptHashLength
        | Codec::InvalidSliceLength(..)
        | Codec::Skip => InvoiceError::MalformedField(error.to_string()),
    }
}
