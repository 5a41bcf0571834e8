//! 10,000 invoices of ours and 10,000 of LDK's, read by both; and the invoices that only one of them takes.
//!
//! Our codec rests on LDK's; what is compared here is everything that is ours: the choice of fields, amounts and features, the
//! hash, the rules.

use std::time::Duration;

use bitcoin::bech32::{Bech32, ByteIterExt, Fe32, Fe32IterExt, Hrp};
use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::{Address, CompressedPublicKey, Network};
use lightning_invoice::{
    Bolt11Invoice, Bolt11InvoiceDescriptionRef, Bolt11ParseError, Bolt11SemanticError, Currency, InvoiceBuilder,
    ParseOrSemanticError, RouteHint, RouteHintHop as LdkHop, RoutingFees,
};
use lightning_types::payment as ldk;
use quittance_differential::Random;
use quittance_invoice::{Description, Field, Invoice, InvoiceError, RouteHintHop, Terms, UnsignedInvoice};
use quittance_primitives::{
    BlockCount, CltvExpiryDelta, Feature, MilliSatoshi, PaymentHash, PaymentSecret, ShortChannelId, UnmetFeature,
};
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};

fn key(random: &mut Random) -> SecretKey {
    let mut bytes: [u8; 32] = random.array();
    bytes[0] = 1;
    SecretKey::from_slice(&bytes).expect("below the curve's order")
}

fn public(random: &mut Random) -> PublicKey {
    key(random).public_key(SECP256K1)
}

fn number(random: &mut Random) -> u32 {
    u32::from_be_bytes(random.array())
}

fn hop(random: &mut Random) -> RouteHintHop {
    RouteHintHop {
        node: public(random),
        short_channel_id: ShortChannelId(random.number()),
        fee_base_msat: number(random),
        fee_proportional_millionths: number(random),
        cltv_expiry_delta: CltvExpiryDelta(u16::from_be_bytes(random.array())),
    }
}

fn random_terms(random: &mut Random) -> Terms {
    let network = [Network::Bitcoin, Network::Testnet, Network::Signet, Network::Regtest][random.below(4)];
    let description = if random.below(2) == 0 {
        let length = random.below(30);
        let letters = random
            .bytes(length)
            .into_iter()
            .map(|byte| char::from_u32(u32::from(byte) * 37 + 32));
        Description::Text(letters.map(|letter| letter.unwrap_or('?')).collect())
    } else {
        Description::Hash(random.array())
    };
    let created_at = Duration::from_secs(random.number() >> 29);
    let mut terms = Terms::new(
        network,
        created_at,
        PaymentHash(random.array()),
        PaymentSecret(random.array()),
        description,
    );
    if random.below(4) != 0 {
        terms.amount = Some(MilliSatoshi(
            1 + random.number() % [1_000, 1_000_000_000, u64::MAX / 10][random.below(3)],
        ));
    }
    if random.below(2) == 0 {
        terms.expiry = Duration::from_secs(random.number() >> random.below(64));
    }
    terms.min_final_cltv_expiry_delta = BlockCount(number(random) >> random.below(32));
    let hints = random.below(3);
    terms.route_hints = (0..hints)
        .map(|_| {
            let hops = 1 + random.below(3);
            (0..hops).map(|_| hop(random)).collect()
        })
        .collect();
    if random.below(2) == 0 {
        terms.features = terms.features.offering(Feature::BasicMpp);
    }
    if random.below(3) == 0 {
        let length = random.below(40);
        terms.metadata = Some(random.bytes(length));
        terms.features = terms.features.offering(Feature::PaymentMetadata);
    }
    if random.below(3) == 0 {
        let key = CompressedPublicKey(public(random));
        let address = match random.below(3) {
            0 => Address::p2wpkh(&key, network),
            1 => Address::p2pkh(bitcoin::PublicKey::from(key), network),
            _ => Address::p2shwpkh(&key, network),
        };
        terms.fallbacks.push(address);
    }
    terms
}

/// What LDK reads, in our terms.
fn terms_of_ldk(invoice: &Bolt11Invoice) -> Terms {
    let description = match invoice.description() {
        Bolt11InvoiceDescriptionRef::Direct(text) => Description::Text(text.as_inner().0.clone()),
        Bolt11InvoiceDescriptionRef::Hash(hash) => Description::Hash(hash.0.to_byte_array()),
    };
    let mut terms = Terms::new(
        invoice.network(),
        invoice.duration_since_epoch(),
        PaymentHash(invoice.payment_hash().to_byte_array()),
        PaymentSecret(invoice.payment_secret().0),
        description,
    );
    terms.amount = invoice.amount_milli_satoshis().map(MilliSatoshi);
    terms.expiry = invoice.expiry_time();
    let delta = invoice.min_final_cltv_expiry_delta();
    terms.min_final_cltv_expiry_delta = BlockCount(u32::try_from(delta).expect("as many blocks as we wrote"));
    let our_hop = |hop: &LdkHop| RouteHintHop {
        node: hop.src_node_id,
        short_channel_id: ShortChannelId(hop.short_channel_id),
        fee_base_msat: hop.fees.base_msat,
        fee_proportional_millionths: hop.fees.proportional_millionths,
        cltv_expiry_delta: CltvExpiryDelta(hop.cltv_expiry_delta),
    };
    terms.route_hints = invoice
        .route_hints()
        .iter()
        .map(|hint| hint.0.iter().map(our_hop).collect())
        .collect();
    let lowest_last: Vec<u8> = invoice
        .features()
        .into_iter()
        .flat_map(|features| features.le_flags().iter().rev().copied())
        .collect();
    terms.features = quittance_primitives::Features::from_be_bytes(&lowest_last);
    terms.metadata = invoice.payment_metadata().cloned();
    terms.fallbacks = invoice.fallback_addresses();
    terms
}

#[test]
fn ten_thousand_invoices_of_ours_are_read_the_same() {
    let mut random = Random::new(31);
    for case in 0..10_000 {
        let (terms, key) = (random_terms(&mut random), key(&mut random));
        let unsigned = UnsignedInvoice::new(terms.clone()).expect("terms that an invoice can state");
        let signature = SECP256K1.sign_ecdsa_recoverable(&Message::from_digest(unsigned.hash()), &key);
        let ours = unsigned
            .sign(signature, &key.public_key(SECP256K1))
            .expect("signed by its payee");
        assert_eq!(*ours.terms(), terms, "case {case}");
        let theirs: Bolt11Invoice = ours.to_string().parse().expect("LDK reads it");
        assert_eq!(terms_of_ldk(&theirs), terms, "case {case}");
        assert_eq!(theirs.get_payee_pub_key(), *ours.payee());
        assert_eq!(theirs.signable_hash(), *ours.signed_hash());
        assert_eq!(theirs.to_string(), ours.to_string());
    }
}

#[test]
fn ten_thousand_invoices_of_ldks_are_read_the_same() {
    let mut random = Random::new(32);
    for case in 0..10_000 {
        let (terms, key) = (random_terms(&mut random), key(&mut random));
        let theirs = built_by_ldk(&terms, &key, random.below(2) == 0);
        let ours: Invoice = theirs.to_string().parse().expect("we read it");
        assert_eq!(*ours.terms(), terms_of_ldk(&theirs), "case {case}");
        assert_eq!(ours.terms().amount, terms.amount);
        assert_eq!(*ours.payee(), key.public_key(SECP256K1));
        assert_eq!(*ours.signed_hash(), theirs.signable_hash());
    }
}

fn built_by_ldk(terms: &Terms, key: &SecretKey, names_payee: bool) -> Bolt11Invoice {
    let description = match &terms.description {
        Description::Text(text) => lightning_invoice::Bolt11InvoiceDescription::Direct(
            lightning_invoice::Description::new(text.clone()).expect("a short one"),
        ),
        Description::Hash(hash) => lightning_invoice::Bolt11InvoiceDescription::Hash(lightning_invoice::Sha256(
            sha256::Hash::from_byte_array(*hash),
        )),
    };
    let mut builder = InvoiceBuilder::new(Currency::from(terms.network))
        .invoice_description(description)
        .payment_hash(sha256::Hash::from_byte_array(terms.payment_hash.0))
        .payment_secret(ldk::PaymentSecret(terms.payment_secret.0))
        .duration_since_epoch(terms.created_at)
        .min_final_cltv_expiry_delta(u64::from(terms.min_final_cltv_expiry_delta.0))
        .expiry_time(terms.expiry)
        .basic_mpp();
    if let Some(amount) = terms.amount {
        builder = builder.amount_milli_satoshis(amount.0);
    }
    if names_payee {
        builder = builder.payee_pub_key(key.public_key(SECP256K1));
    }
    for hint in &terms.route_hints {
        let hops = hint.iter().map(|hop| LdkHop {
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
        builder = builder.private_route(RouteHint(hops.collect()));
    }
    let built = builder.build_signed(|hash| SECP256K1.sign_ecdsa_recoverable(hash, key));
    built.expect("LDK builds it")
}

/// The text of an invoice, letter by letter: a prefix, a timestamp, `fields`, and a signature that holds.
fn signed(prefix: &str, fields: &str, key: &SecretKey) -> String {
    let letters: Vec<Fe32> = format!("pvjluez{fields}")
        .chars()
        .map(|c| Fe32::from_char(c).expect("a letter"))
        .collect();
    let mut engine = sha256::Hash::engine();
    engine.input(prefix.as_bytes());
    let bit = |letter: &Fe32, place: u32| letter.to_u8() >> place & 1;
    let bits: Vec<u8> = letters
        .iter()
        .flat_map(|letter| (0..5).rev().map(move |place| bit(letter, place)))
        .collect();
    for byte in bits.chunks(8) {
        engine.input(&[byte.iter().fold(0, |value, bit| value << 1 | bit) << (8 - byte.len())]);
    }
    let hash = Message::from_digest(sha256::Hash::from_engine(engine).to_byte_array());
    let (recovery_id, compact) = SECP256K1.sign_ecdsa_recoverable(&hash, key).serialize_compact();
    let recovery_id = u8::try_from(recovery_id.to_i32()).expect("0 to 3");
    let signature = compact.into_iter().chain([recovery_id]).bytes_to_fes();
    let prefix = Hrp::parse(prefix).expect("a prefix");
    letters
        .into_iter()
        .chain(signature)
        .with_checksum::<Bech32>(&prefix)
        .chars()
        .collect()
}

/// `p`, `s` and `d`; the features are up to the test.
const FIELDS: &str = "pp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypq\
    sp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygsdq5xysxxatsyp3k7enxv4js";
/// Features 8 and 14, both required.
const FEATURES: &str = "9qrsgq";

fn read(
    prefix: &str,
    fields: &str,
) -> (
    Result<Invoice, InvoiceError>,
    Result<Bolt11Invoice, ParseOrSemanticError>,
) {
    let text = signed(prefix, fields, &SecretKey::from_slice(&[7; 32]).expect("a key"));
    (text.parse(), text.parse())
}

fn payee() -> PublicKey {
    SecretKey::from_slice(&[7; 32]).expect("a key").public_key(SECP256K1)
}

#[test]
fn an_invoice_made_by_hand_is_read_by_both() {
    let (ours, theirs) = read("lnbc1m", &format!("{FIELDS}{FEATURES}"));
    assert_eq!(ours.expect("we read it").payee(), &payee());
    assert_eq!(theirs.expect("LDK reads it").get_payee_pub_key(), payee());
}

/// BOLT 9: `payment_secret` is assumed; nobody has to set it.
#[test]
fn an_invoice_without_features_is_read_by_us_alone() {
    let (ours, theirs) = read("lnbc1m", FIELDS);
    assert!(ours.expect("we read it").terms().features.is_empty());
    assert_eq!(
        theirs.err(),
        Some(ParseOrSemanticError::SemanticError(
            Bolt11SemanticError::InvalidFeatures
        ))
    );
}

/// BOLT 11 hashes the letters that came. LDK hashes what it would have written, and takes another node for the payee.
#[test]
fn an_amount_with_a_zero_in_front_leads_ldk_to_another_payee() {
    let (ours, theirs) = read("lnbc01m", &format!("{FIELDS}{FEATURES}"));
    assert_eq!(ours.expect("we read it").payee(), &payee());
    assert_ne!(theirs.expect("LDK reads it").get_payee_pub_key(), payee());
}

/// 21 million and one bitcoin: for LDK the sum overflows, and the invoice asks for any amount.
#[test]
fn an_amount_that_overflows_is_no_amount_to_ldk() {
    let (ours, theirs) = read("lnbc21000001", &format!("{FIELDS}{FEATURES}"));
    assert_eq!(ours, Err(InvoiceError::NumberOutOfRange));
    assert_eq!(theirs.expect("LDK reads it").amount_milli_satoshis(), None);
}

/// BOLT 11: an amount is positive.
#[test]
fn an_amount_of_zero_is_refused_by_us_alone() {
    let (ours, theirs) = read("lnbc0m", &format!("{FIELDS}{FEATURES}"));
    assert_eq!(ours, Err(InvoiceError::ZeroAmount));
    assert_eq!(theirs.expect("LDK reads it").amount_milli_satoshis(), Some(0));
}

/// BOLT 11: such a field should be treated as invalid. LDK drops the zero, and with it the payee.
#[test]
fn an_expiry_with_a_zero_in_front_is_refused_by_us_alone() {
    let (ours, theirs) = read("lnbc1m", &format!("{FIELDS}{FEATURES}xqzqp"));
    assert_eq!(ours, Err(InvoiceError::NotMinimal(Field::Expiry)));
    assert_ne!(theirs.expect("LDK reads it").get_payee_pub_key(), payee());
}

/// Required features of channels, and unknown ones, are refused by both; LDK does not say which it was.
#[test]
fn a_required_feature_that_is_unknown_is_refused_by_both() {
    // Feature 8, 14 and 22, the last one a matter between channel peers.
    let (ours, theirs) = read("lnbc1m", &format!("{FIELDS}9q9yqsgq"));
    assert_eq!(ours, Err(InvoiceError::UnmetFeature(UnmetFeature::UnknownRequired(22))));
    assert_eq!(
        theirs.err(),
        Some(ParseOrSemanticError::SemanticError(
            Bolt11SemanticError::InvalidFeatures
        ))
    );
}

#[test]
fn an_unknown_chain_is_refused_by_both_and_simnet_by_us() {
    let (ours, theirs) = read("lnxy1m", FIELDS);
    assert_eq!(ours, Err(InvoiceError::UnknownNetwork));
    assert_eq!(
        theirs.err(),
        Some(ParseOrSemanticError::ParseError(Bolt11ParseError::UnknownCurrency))
    );
    let (ours, theirs) = read("lnsb1m", &format!("{FIELDS}{FEATURES}"));
    assert_eq!(ours, Err(InvoiceError::UnknownNetwork));
    assert_eq!(theirs.expect("LDK reads it").currency(), Currency::Simnet);
}
