//! Invoices as they are written and read, and those that must not be paid.

use std::time::Duration;

use bitcoin::bech32::Fe32;
use bitcoin::{Address, Network};
use lightning_invoice::{RawBolt11Invoice, RawTaggedField, SiPrefix, SignedRawBolt11Invoice, TaggedField};
use lightning_types::features::Bolt11InvoiceFeatures;
use proptest::prelude::*;
use quittance_invoice::{
    BuildError, Description, Field, Invoice, InvoiceError, RouteHintHop, SignError, Terms, UnsignedInvoice,
};
use quittance_primitives::{
    BlockCount, CltvExpiryDelta, Feature, Features, MilliSatoshi, PaymentHash, PaymentSecret, ShortChannelId,
    UnmetFeature,
};
use secp256k1::ecdsa::RecoverableSignature;
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};

fn key(byte: u8) -> SecretKey {
    SecretKey::from_slice(&[byte; 32]).expect("a valid key")
}

fn public(byte: u8) -> PublicKey {
    key(byte).public_key(SECP256K1)
}

fn signature(hash: [u8; 32], byte: u8) -> RecoverableSignature {
    SECP256K1.sign_ecdsa_recoverable(&Message::from_digest(hash), &key(byte))
}

fn coffee() -> Terms {
    Terms::new(
        Network::Bitcoin,
        Duration::from_secs(1_496_314_658),
        PaymentHash([1; 32]),
        PaymentSecret([2; 32]),
        Description::Text("1 cup coffee".to_owned()),
    )
}

fn written(terms: Terms) -> Invoice {
    let unsigned = UnsignedInvoice::new(terms).expect("terms that an invoice can state");
    let signature = signature(unsigned.hash(), 7);
    unsigned.sign(signature, &public(7)).expect("signed by its payee")
}

/// Coffee, changed by `change` in a way that [`UnsignedInvoice`] does not allow, and signed.
fn tampered(change: impl FnOnce(&mut RawBolt11Invoice)) -> Result<Invoice, InvoiceError> {
    let text = written(coffee()).to_string();
    let signed: SignedRawBolt11Invoice = text.parse().expect("an invoice");
    let (mut raw, ..) = signed.into_parts();
    change(&mut raw);
    let signature = signature(raw.signable_hash(), 7);
    let signed = raw.sign(|_| Ok::<_, SignError>(signature)).expect("signed");
    signed.to_string().parse()
}

fn push(field: TaggedField) -> impl FnOnce(&mut RawBolt11Invoice) {
    move |raw| raw.data.tagged_fields.push(field.into())
}

/// A field letter by letter: its tag, and its data behind the length.
fn letters(tag: char, data: &str) -> RawTaggedField {
    let letter = |letter| Fe32::from_char(letter).expect("a letter of bech32");
    let digit = |value: usize| Fe32::try_from(u8::try_from(value).expect("below 32")).expect("below 32");
    let head = [letter(tag), digit(data.len() / 32), digit(data.len() % 32)];
    RawTaggedField::UnknownSemantics(head.into_iter().chain(data.chars().map(letter)).collect())
}

#[test]
fn an_invoice_says_what_was_written() {
    let mut terms = coffee();
    terms.amount = Some(MilliSatoshi(250_000_000));
    terms.expiry = Duration::from_mins(1);
    let invoice = written(terms.clone());
    assert!(invoice.to_string().starts_with("lnbc2500u1pvjluez"));
    assert_eq!((invoice.terms(), invoice.payee()), (&terms, &public(7)));
    assert!(!terms.is_expired_at(Duration::from_secs(1_496_314_718)));
    assert!(terms.is_expired_at(Duration::from_secs(1_496_314_719)));
}

#[test]
fn case_spaces_and_scheme_do_not_matter() {
    let invoice = written(coffee());
    for text in [
        format!("LIGHTNING:{invoice}").to_uppercase(),
        format!(" lightning:{invoice}\n"),
    ] {
        assert_eq!(text.parse(), Ok(invoice.clone()));
    }
}

#[test]
fn amounts_are_written_the_shortest_way() {
    for (msat, prefix) in [
        (1, "lnbc10p1"),
        (100, "lnbc1n1"),
        (250_000_000, "lnbc2500u1"),
        (2_000_000_000, "lnbc20m1"),
        (100_000_000_000, "lnbc11"),
        (MilliSatoshi::MAX_MONEY.0, "lnbc210000001"),
    ] {
        let mut terms = coffee();
        terms.amount = Some(MilliSatoshi(msat));
        let text = written(terms).to_string();
        assert!(text.starts_with(&format!("{prefix}pvjluez")), "{msat} msat: {text}");
    }
}

#[test]
fn an_amount_that_cannot_be_meant_is_refused() {
    let amount = |number, prefix| {
        tampered(|raw| {
            raw.hrp.raw_amount = Some(number);
            raw.hrp.si_prefix = prefix;
        })
    };
    // Without a multiplier the codec loses it, and would let the payer choose.
    assert_eq!(amount(21_000_001, None), Err(InvoiceError::NumberOutOfRange));
    assert_eq!(amount(u64::MAX, None), Err(InvoiceError::NumberOutOfRange));
    assert_eq!(
        amount(u64::MAX, Some(SiPrefix::Milli)),
        Err(InvoiceError::NumberOutOfRange)
    );
    assert_eq!(amount(0, Some(SiPrefix::Milli)), Err(InvoiceError::ZeroAmount));
    assert_eq!(amount(11, Some(SiPrefix::Pico)), Err(InvoiceError::SubMillisatoshi));
    assert_eq!(
        amount(1, Some(SiPrefix::Milli)).unwrap().terms().amount,
        Some(MilliSatoshi(100_000_000))
    );
}

#[test]
fn features_may_be_missing_and_the_payment_secret_is_assumed() {
    let mut terms = coffee();
    terms.features = Features::empty();
    assert_eq!(written(terms.clone()).terms(), &terms);
    terms.features = Features::empty().offering(Feature::BasicMpp);
    assert_eq!(written(terms.clone()).terms(), &terms);
}

#[test]
fn features_that_cannot_be_met_are_refused_by_bit() {
    let with_bit = |bit: usize| {
        tampered(|raw| {
            let mut flags = vec![0; bit / 8 + 1];
            flags[bit / 8] = 1 << (bit % 8);
            let is_features =
                |field: &RawTaggedField| matches!(field, RawTaggedField::KnownSemantics(TaggedField::Features(_)));
            raw.data.tagged_fields.retain(|field| !is_features(field));
            raw.data
                .tagged_fields
                .push(TaggedField::Features(Bolt11InvoiceFeatures::from_le_bytes(flags)).into());
        })
        .map(|invoice| invoice.terms().features.bits().collect::<Vec<_>>())
    };
    assert_eq!(with_bit(99), Ok(vec![99]));
    assert_eq!(with_bit(100), Err(UnmetFeature::UnknownRequired(100).into()));
    // Anchors are a matter between channel peers; offered, they are ignored.
    assert_eq!(with_bit(22), Err(UnmetFeature::UnknownRequired(22).into()));
    assert_eq!(with_bit(23), Ok(vec![23]));
    assert_eq!(with_bit(16), Ok(vec![16]));
}

#[test]
fn a_field_that_every_invoice_has_is_missed() {
    let without = |tag: char| {
        tampered(|raw| {
            raw.data.tagged_fields.retain(|field| match field {
                RawTaggedField::KnownSemantics(field) => field.tag().to_char() != tag,
                RawTaggedField::UnknownSemantics(_) => true,
            });
        })
    };
    assert_eq!(without('p'), Err(InvoiceError::Missing(Field::PaymentHash)));
    assert_eq!(without('s'), Err(InvoiceError::Missing(Field::PaymentSecret)));
    assert_eq!(without('d'), Err(InvoiceError::Missing(Field::Description)));
    let c = without('c').map(|invoice| invoice.terms().min_final_cltv_expiry_delta);
    assert_eq!(c, Ok(BlockCount(18)));
}

#[test]
fn a_second_description_is_refused() {
    let hash = lightning_invoice::Sha256(bitcoin::hashes::Hash::all_zeros());
    let refused = tampered(push(TaggedField::DescriptionHash(hash)));
    assert_eq!(refused, Err(InvoiceError::Repeated(Field::Description)));
}

#[test]
fn a_number_with_zeros_in_front_is_refused() {
    let with = |field| tampered(|raw| raw.data.tagged_fields.push(field)).map(|_| ());
    assert_eq!(with(letters('x', "q8")), Err(InvoiceError::NotMinimal(Field::Expiry)));
    assert_eq!(
        with(letters('c', "qp")),
        Err(InvoiceError::NotMinimal(Field::MinFinalCltvExpiryDelta))
    );
    assert_eq!(with(letters('9', "qs")), Err(InvoiceError::NotMinimal(Field::Features)));
    assert_eq!(with(letters('x', "8q")), Ok(()));
    assert_eq!(with(letters('2', "qq")), Ok(()));
}

#[test]
fn a_number_that_does_not_fit_is_refused() {
    let with = |field| tampered(|raw| raw.data.tagged_fields.insert(0, field)).map(|_| ());
    assert_eq!(with(letters('x', &"l".repeat(13))), Err(InvoiceError::NumberOutOfRange));
    assert_eq!(with(letters('c', "yqqqqqq")), Err(InvoiceError::NumberOutOfRange));
}

/// The codec alone hashes such an invoice as if the last bits of `m` were zero, and names
/// another payee.
#[test]
fn the_signature_is_over_the_letters_that_came() {
    let invoice = tampered(|raw| raw.data.tagged_fields.push(letters('m', "ql")));
    let invoice = invoice.expect("the padding of a field is not for readers to judge");
    assert_eq!(
        (invoice.payee(), &invoice.terms().metadata),
        (&public(7), &Some(vec![7]))
    );
    let by_codec: SignedRawBolt11Invoice = invoice.to_string().parse().unwrap();
    assert_ne!(by_codec.recover_payee_pub_key().unwrap().0, public(7));
}

#[test]
fn the_named_payee_must_have_signed() {
    let named = |byte| tampered(push(TaggedField::PayeePubKey(public(byte).into())));
    assert_eq!(named(7).map(|invoice| *invoice.payee()), Ok(public(7)));
    assert_eq!(named(8), Err(InvoiceError::InvalidSignature));
}

#[test]
fn a_signature_by_another_key_makes_no_invoice() {
    let unsigned = UnsignedInvoice::new(coffee()).unwrap();
    let by_another = signature(unsigned.hash(), 8);
    assert_eq!(unsigned.clone().sign(by_another, &public(7)), Err(SignError));
    let over_another = signature([0; 32], 7);
    assert_eq!(unsigned.sign(over_another, &public(7)), Err(SignError));
}

#[test]
fn terms_that_no_invoice_can_state_are_refused() {
    let refused = |change: fn(&mut Terms)| {
        let mut terms = coffee();
        change(&mut terms);
        UnsignedInvoice::new(terms).map(|_| ())
    };
    let too_long = BuildError::DescriptionTooLong { length: 640, max: 639 };
    assert_eq!(
        refused(|terms| terms.description = Description::Text("x".repeat(639))),
        Ok(())
    );
    assert_eq!(
        refused(|terms| terms.description = Description::Text("x".repeat(640))),
        Err(too_long)
    );
    let too_long = BuildError::MetadataTooLong { length: 640, max: 639 };
    assert_eq!(refused(|terms| terms.metadata = Some(vec![1; 640])), Err(too_long));
    assert_eq!(
        refused(|terms| terms.amount = Some(MilliSatoshi::ZERO)),
        Err(BuildError::AmountOutOfRange)
    );
    assert_eq!(
        refused(|terms| terms.created_at = Duration::from_secs(1 << 35)),
        Err(BuildError::TimeOutOfRange)
    );
    let length = BuildError::RouteHintLength { hops: 13, max: 12 };
    assert_eq!(refused(|terms| terms.route_hints = vec![vec![hop(1); 13]]), Err(length));
    let length = BuildError::RouteHintLength { hops: 0, max: 12 };
    assert_eq!(refused(|terms| terms.route_hints = vec![vec![]]), Err(length));
    assert_eq!(
        refused(|terms| terms.route_hints = vec![vec![hop(1); 12]; 8]),
        Err(BuildError::TooLong { max: 7_089 })
    );
    assert_eq!(
        refused(|terms| terms.features.set_bit(100)),
        Err(UnmetFeature::UnknownRequired(100).into())
    );
    let beyond = BuildError::FeatureBitOutOfRange { bit: 5_115, max: 5_114 };
    assert_eq!(refused(|terms| terms.features.set_bit(5_115)), Err(beyond));
    assert_eq!(refused(|terms| terms.features.set_bit(5_113)), Ok(()));
    let foreign = refused(|terms| {
        terms.fallbacks = vec![Address::p2pkh(
            bitcoin::PubkeyHash::from_raw_hash(bitcoin::hashes::Hash::all_zeros()),
            Network::Testnet,
        )];
    });
    assert_eq!(
        foreign,
        Err(BuildError::Fallback("mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8".to_owned()))
    );
}

#[test]
fn any_wrong_letter_is_noticed() {
    let text = written(coffee()).to_string();
    let separator = text.rfind('1').unwrap();
    for place in separator + 1..text.len() {
        let wrong = if text.as_bytes()[place] == b'q' { "p" } else { "q" };
        let damaged = format!("{}{wrong}{}", &text[..place], &text[place + 1..]);
        assert_eq!(
            damaged.parse::<Invoice>(),
            Err(InvoiceError::Checksum),
            "letter {place}"
        );
    }
}

#[test]
fn a_refusal_says_what_to_do() {
    let missing = InvoiceError::Missing(Field::PaymentSecret).to_string();
    assert_eq!(
        missing,
        "the invoice has no payment secret; ask the payee for a new invoice"
    );
    let unknown = "lnxy1pvjluez".parse::<Invoice>().unwrap_err().to_string();
    assert!(unknown.starts_with("the invoice was damaged"), "{unknown}");
    let address = "bitcoin".parse::<Invoice>().unwrap_err().to_string();
    assert!(address.starts_with("this is not a BOLT 11 invoice"), "{address}");
}

fn hop(byte: u8) -> RouteHintHop {
    RouteHintHop {
        node: public(byte),
        short_channel_id: ShortChannelId(u64::from(byte) << 40 | 5),
        fee_base_msat: 1_000,
        fee_proportional_millionths: u32::from(byte),
        cltv_expiry_delta: CltvExpiryDelta(40),
    }
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let description = prop_oneof![
        "\\PC{0,150}".prop_map(Description::Text),
        any::<[u8; 32]>().prop_map(Description::Hash),
    ];
    let what = (
        prop::sample::select(vec![
            Network::Bitcoin,
            Network::Testnet,
            Network::Signet,
            Network::Regtest,
        ]),
        0..1_u64 << 35,
        any::<[u8; 32]>(),
        any::<[u8; 32]>(),
        description,
        prop::option::of(1..=u64::MAX / 10),
    );
    let how = (
        any::<u64>(),
        any::<u32>(),
        prop::collection::vec(prop::collection::vec(1_u8..200, 1..5), 0..4),
        prop::collection::vec(0_usize..400, 0..4),
        prop::option::of(prop::collection::vec(any::<u8>(), 0..200)),
        prop::collection::vec(1_u8..200, 0..4),
    );
    (what, how).prop_map(|((network, created_at, hash, secret, description, amount), how)| {
        let (expiry, delta, hints, bits, metadata, fallbacks) = how;
        let created_at = Duration::from_secs(created_at);
        let mut terms = Terms::new(
            network,
            created_at,
            PaymentHash(hash),
            PaymentSecret(secret),
            description,
        );
        terms.amount = amount.map(MilliSatoshi);
        terms.expiry = Duration::from_secs(expiry);
        terms.min_final_cltv_expiry_delta = BlockCount(delta);
        terms.route_hints = hints
            .into_iter()
            .map(|hops| hops.into_iter().map(hop).collect())
            .collect();
        // Odd ones may always be set, those of dependent features aside.
        bits.into_iter()
            .map(|bit| bit | 1)
            .filter(|bit| ![51, 61].contains(bit))
            .for_each(|bit| terms.features.set_bit(bit));
        terms.metadata = metadata;
        terms.fallbacks = fallbacks
            .into_iter()
            .map(|byte| {
                let key = bitcoin::CompressedPublicKey(public(byte));
                match byte % 3 {
                    0 => Address::p2wpkh(&key, network),
                    1 => Address::p2pkh(bitcoin::PublicKey::from(key), network),
                    _ => Address::p2tr(SECP256K1, public(byte).x_only_public_key().0, None, network),
                }
            })
            .collect();
        terms
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn whatever_is_written_is_read(terms in any_terms()) {
        let invoice = written(terms.clone());
        prop_assert_eq!(invoice.terms(), &terms);
        prop_assert_eq!(invoice.to_string().parse::<Invoice>(), Ok(invoice));
    }

    #[test]
    fn arbitrary_fields_are_read_or_refused(tag in 0_u8..32, data in prop::collection::vec(0_u8..32, 0..120)) {
        let read = tampered(|raw| {
            let length = u8::try_from(data.len()).unwrap();
            let letters = [tag, length / 32, length % 32].into_iter().chain(data);
            let letters = letters.map(|letter| Fe32::try_from(letter).unwrap()).collect();
            raw.data.tagged_fields.push(RawTaggedField::UnknownSemantics(letters));
        });
        if let Ok(invoice) = read {
            prop_assert_eq!(invoice.payee(), &public(7));
        }
    }

    #[test]
    fn arbitrary_text_is_refused(text in "\\PC{0,200}|ln(bc|tb)[0-9]{0,30}[munp]?1[a-z0-9]{0,300}") {
        prop_assert!(text.parse::<Invoice>().is_err());
    }
}
