//! Any text as an invoice; and any fields, with a checksum and a signature that hold.
#![no_main]

use bitcoin::bech32::primitives::iter::Fe32IterExt;
use bitcoin::bech32::{Bech32, ByteIterExt, Fe32, Hrp};
use bitcoin::hashes::{Hash, HashEngine, sha256};
use libfuzzer_sys::fuzz_target;
use quittance_fuzz::{choice, key, public};
use quittance_invoice::{Invoice, UnsignedInvoice};
use secp256k1::{Message, SECP256K1};

const PREFIXES: [&str; 8] = [
    "lnbc",
    "lntb",
    "lntbs",
    "lnbcrt",
    "lnbc1",
    "lnbc2500u",
    "lnbc10p",
    "lnbc21000000",
];

/// An invoice of the letters that `data` gives, signed by key 1.
fn signed(prefix: &str, data: &[u8]) -> String {
    let letters: Vec<Fe32> = data
        .iter()
        .map(|byte| Fe32::try_from(byte & 31).expect("five bits"))
        .collect();
    let mut engine = sha256::Hash::engine();
    engine.input(prefix.as_bytes());
    let bits: Vec<bool> = letters
        .iter()
        .flat_map(|letter| (0..5).rev().map(|bit| letter.to_u8() >> bit & 1 == 1))
        .collect();
    for byte in bits.chunks(8) {
        let value = byte
            .iter()
            .enumerate()
            .fold(0, |value, (place, bit)| value | u8::from(*bit) << (7 - place));
        engine.input(&[value]);
    }
    let hash = sha256::Hash::from_engine(engine).to_byte_array();
    let signature = SECP256K1.sign_ecdsa_recoverable(&Message::from_digest(hash), &key(1));
    let (recovery_id, compact) = signature.serialize_compact();
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

fn check(invoice: &Invoice) {
    assert_eq!(invoice.to_string().parse::<Invoice>().as_ref(), Ok(invoice));
    if let Ok(unsigned) = UnsignedInvoice::new(invoice.terms().clone()) {
        let signature = SECP256K1.sign_ecdsa_recoverable(&Message::from_digest(unsigned.hash()), &key(1));
        let again = unsigned.sign(signature, &public(1)).expect("signed by its payee");
        assert_eq!(again.terms(), invoice.terms());
    }
}

fuzz_target!(|data: &[u8]| {
    if let Some(invoice) = std::str::from_utf8(data)
        .ok()
        .and_then(|text| text.parse::<Invoice>().ok())
    {
        check(&invoice);
    }
    let Some((prefix, fields)) = choice(data) else {
        return;
    };
    if let Ok(invoice) = signed(PREFIXES[usize::from(prefix) % PREFIXES.len()], fields).parse::<Invoice>() {
        assert_eq!(*invoice.payee(), public(1));
        check(&invoice);
    }
});
