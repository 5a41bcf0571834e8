//! BOLT 11: invoices.
//!
//! A valid one is read, every stated value is compared, and its terms are written and signed again with the stated key: what is
//! read from that must say the same. An invalid one must be refused for the stated reason.

use bitcoin::hashes::{Hash, sha256};
use quittance_invoice::{Description, Field, Invoice, InvoiceError, RouteHintHop, Terms, UnsignedInvoice};
use quittance_primitives::{BlockCount, UnmetFeature};
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};
use serde_json::Value;

use crate::{Case, Check, Report, load};

pub(crate) const FILES: &[(&str, Check)] = &[("bolt11/invoices-test.json", invoices)];

fn invoices(report: &mut Report) {
    let file = load(report.file);
    let mut previous: Option<Invoice> = None;
    for vector in file["valid"].as_array().into_iter().flatten() {
        report.case(text(&vector["title"]), |case| {
            let invoice = match text(&vector["invoice"]).parse::<Invoice>() {
                Ok(invoice) => invoice,
                Err(error) => return case.holds(&format!("valid, though: {error}"), false),
            };
            compare(case, &invoice, vector, &file);
            if vector["fields"].is_null() {
                // "Same, but": what it is the same as stands before it.
                case.equal("terms", Some(invoice.terms()), previous.as_ref().map(Invoice::terms));
            }
            previous = Some(invoice);
        });
    }
    for vector in file["invalid"].as_array().into_iter().flatten() {
        let title = text(&vector["title"]);
        report.case(title, |case| {
            let refused = text(&vector["invoice"]).parse::<Invoice>().err();
            case.equal("refused for", refused, reason(title));
        });
    }
}

fn reason(title: &str) -> Option<InvoiceError> {
    match title {
        "Same, but adding invalid unknown feature 100" => {
            Some(InvoiceError::UnmetFeature(UnmetFeature::UnknownRequired(100)))
        }
        "Bech32 checksum is invalid." => Some(InvoiceError::Checksum),
        "Malformed bech32 string (no 1)" => Some(InvoiceError::NoSeparator),
        "Malformed bech32 string (mixed case)" => Some(InvoiceError::MixedCase),
        "Signature is not recoverable." => Some(InvoiceError::InvalidSignature),
        "String is too short." => Some(InvoiceError::TooShort),
        "Invalid multiplier" => Some(InvoiceError::InvalidMultiplier),
        "Invalid sub-millisatoshi precision." => Some(InvoiceError::SubMillisatoshi),
        "Missing required `s` field." => Some(InvoiceError::Missing(Field::PaymentSecret)),
        "Non canonical signature (high-S) with 'n' field defined" => Some(InvoiceError::HighS),
        _ => None,
    }
}

fn compare(case: &mut Case, invoice: &Invoice, vector: &Value, file: &Value) {
    let terms = invoice.terms();
    payee(case, invoice, vector, file);
    case.hex(
        "payment_secret",
        terms.payment_secret.0,
        &file["payment_secret_unless_noted"],
    );
    case.equal("text", invoice.to_string(), text(&vector["invoice"]).to_lowercase());
    signature(case, invoice, &vector["signature"]);
    if vector["fields"].is_object() {
        fields(case, invoice, &vector["fields"]);
    }
    let title = text(&vector["title"]);
    let bits = if title.contains("features 8, 14 and 99") || title.starts_with("Same, but") {
        Some(vec![8, 14, 99])
    } else if title.contains("metadata") {
        Some(vec![8, 14, 48])
    } else {
        Some(vec![8, 14])
    };
    case.equal("features", Some(terms.features.bits().collect()), bits);
    written_again(case, invoice, vector, file);
}

fn payee(case: &mut Case, invoice: &Invoice, vector: &Value, file: &Value) {
    if text(&vector["title"]) != "Public-key recovery with high-S signature" {
        return case.hex("payee", invoice.payee().serialize(), &file["node_id"]);
    }
    // S was replaced by its negative and the recovery id was not, so that recovery gives another key than the one that signed;
    // the BOLT states no payee here. What holds is that the stated key has signed, with either S.
    let mut signature = invoice.signature().to_standard();
    let stated = signature;
    signature.normalize_s();
    case.holds("high S", signature != stated);
    let signer = text(&file["node_id"]).parse::<PublicKey>();
    let message = Message::from_digest(*invoice.signed_hash());
    case.holds(
        "signer",
        signer.is_ok_and(|key| SECP256K1.verify_ecdsa(&message, &signature, &key).is_ok()),
    );
}

fn signature(case: &mut Case, invoice: &Invoice, stated: &Value) {
    if stated.is_null() {
        return;
    }
    let (recovery_id, signature) = invoice.signature().serialize_compact();
    case.hex("signature", signature, &stated["signature_hex"]);
    case.equal(
        "recovery flag",
        i64::from(recovery_id.to_i32()),
        stated["recovery_flag"].as_i64().unwrap_or(-1),
    );
    case.hex("signed hash", invoice.signed_hash(), &stated["sha256_of_preimage"]);
    let data = hex::decode(text(&stated["signing_data_hex"])).unwrap_or_default();
    case.equal(
        "hash of the signing data",
        &sha256::Hash::hash(&data).to_byte_array(),
        invoice.signed_hash(),
    );
}

fn fields(case: &mut Case, invoice: &Invoice, stated: &Value) {
    let (terms, written) = (invoice.terms(), invoice.to_string());
    case.equal(
        "timestamp",
        Some(terms.created_at.as_secs()),
        stated["timestamp"].as_u64(),
    );
    let end = written.len() - 6;
    case.equal(
        "signature in letters",
        written.get(end - 104..end),
        stated["signature_bech32"].as_str(),
    );
    case.equal("checksum", written.get(end..), stated["checksum"].as_str());
    if !stated["payment_hash"].is_null() {
        case.hex("payment_hash", terms.payment_hash.0, &stated["payment_hash"]);
    }
    if let Some(description) = stated["description"].as_str() {
        // Quotation marks are stated as the BOLT's Markdown escapes them.
        let description = Description::Text(description.replace("\\\"", "\""));
        case.equal("description", &terms.description, &description);
    }
    if let Some(described) = stated["description_hash_preimage"].as_str() {
        case.equal("description hash", &terms.description, &Description::hash_of(described));
    }
    let metadata = stated["payment_metadata"]
        .as_str()
        .map(|hex| hex.trim_start_matches("0x").to_owned());
    case.equal("metadata", terms.metadata.as_ref().map(hex::encode), metadata);
    let expiry = stated["expiry_seconds"]
        .as_u64()
        .unwrap_or(Terms::DEFAULT_EXPIRY.as_secs());
    case.equal("expiry", terms.expiry.as_secs(), expiry);
    let delta = stated["min_final_cltv_expiry_delta"]
        .as_u64()
        .and_then(|delta| u32::try_from(delta).ok());
    let delta = delta.map_or(Terms::DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA, BlockCount);
    case.equal("min_final_cltv_expiry_delta", terms.min_final_cltv_expiry_delta, delta);
    let fallbacks: Vec<String> = terms.fallbacks.iter().map(ToString::to_string).collect();
    let stated_fallbacks: Vec<String> = stated["fallback_address"]
        .as_str()
        .map(str::to_owned)
        .into_iter()
        .collect();
    case.equal("fallback addresses", fallbacks, stated_fallbacks);
    let hops: Vec<Value> = terms.route_hints.iter().flatten().map(hop).collect();
    let stated_hops = stated["route_hints"].as_array().cloned().unwrap_or_default();
    case.equal(
        "number of route hints",
        terms.route_hints.len(),
        usize::from(!stated_hops.is_empty()),
    );
    case.equal("route hints", hops, stated_hops);
}

fn hop(hop: &RouteHintHop) -> Value {
    serde_json::json!({
        "pubkey": hop.node.to_string(),
        "short_channel_id": hop.short_channel_id.to_string(),
        "fee_base_msat": hop.fee_base_msat,
        "fee_proportional_millionths": hop.fee_proportional_millionths,
        "cltv_expiry_delta": hop.cltv_expiry_delta.0,
    })
}

/// The terms, written and signed by us: prefix and amount as stated, and the same when read.
fn written_again(case: &mut Case, invoice: &Invoice, vector: &Value, file: &Value) {
    let key = hex::decode(text(&file["priv_key"]))
        .ok()
        .and_then(|bytes| SecretKey::from_slice(&bytes).ok());
    let (Some(key), Ok(unsigned)) = (key, UnsignedInvoice::new(invoice.terms().clone())) else {
        return case.holds("written again", false);
    };
    let signature = SECP256K1.sign_ecdsa_recoverable(&Message::from_digest(unsigned.hash()), &key);
    let Ok(again) = unsigned.sign(signature, &key.public_key(SECP256K1)) else {
        return case.holds("signed again", false);
    };
    case.equal("terms, written again", again.terms(), invoice.terms());
    case.hex("payee, written again", again.payee().serialize(), &file["node_id"]);
    if vector["fields"].is_object() {
        let (prefix, amount) = (text(&vector["fields"]["prefix"]), text(&vector["fields"]["amount"]));
        let start = format!("{prefix}{amount}1");
        case.holds("starts with prefix and amount", again.to_string().starts_with(&start));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
