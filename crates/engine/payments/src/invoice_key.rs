//! Invoices without rows: what an invoice promised is in its payment secret, and its preimage follows from it.
//!
//! The payment secret is 16 bytes of entropy or proof, then 16 bytes of terms: amount, expiry, `min_final_cltv_expiry_delta`.
//! For an invoice of our own the preimage is the HMAC of the secret under the node's invoice key, so only the HTLC that carries
//! the untouched secret hashes to the invoice's hash. For a hold invoice the user brings the hash, and the first half of the secret
//! is the HMAC of terms and hash. Either way an HTLC is judged without looking anything up (G9).

use bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, sha256};
use quittance_primitives::{BlockCount, MilliSatoshi, PaymentHash, PaymentPreimage, PaymentSecret};

/// The key of a node's invoices. It is not shown by `Debug`.
#[derive(Clone)]
pub struct InvoiceKey([u8; 32]);

/// What an invoice promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvoiceTerms {
    /// The least that pays it, in msat; nothing leaves it to the payer.
    pub amount: Option<MilliSatoshi>,
    /// Until when it may be paid, in seconds since 1970.
    pub expires_at_s: u32,
    /// The least distance between the tip and an HTLC's expiry, in blocks.
    pub min_final_cltv_expiry_delta: u16,
}

/// A new invoice's secret parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewInvoice {
    /// To lock the payment with.
    pub payment_hash: PaymentHash,
    /// To be put into the invoice.
    pub payment_secret: PaymentSecret,
}

/// An HTLC's payment secret, recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// What the invoice promised.
    pub terms: InvoiceTerms,
    /// What claims it; `None` for a hold invoice, whose preimage the user has.
    pub preimage: Option<PaymentPreimage>,
}

/// Kinds of invoices, in the two highest bits of the terms.
const OWN: u8 = 0b01;
const HOLD: u8 = 0b10;
/// The amount has 62 bits: more msat than there will ever be.
const AMOUNT_BITS: u32 = 62;

impl InvoiceKey {
    /// The key, from 32 unguessable bytes that never change for a node.
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// An invoice whose preimage follows from it. `entropy` must be fresh.
    pub fn own_invoice(&self, terms: InvoiceTerms, entropy: [u8; 16]) -> NewInvoice {
        let secret = join(entropy, encode(OWN, terms));
        NewInvoice {
            payment_hash: self.preimage(&secret).hash(),
            payment_secret: PaymentSecret(secret),
        }
    }

    /// An invoice for a hash whose preimage the user has.
    pub fn hold_invoice(&self, terms: InvoiceTerms, payment_hash: PaymentHash) -> NewInvoice {
        let terms = encode(HOLD, terms);
        NewInvoice {
            payment_hash,
            payment_secret: PaymentSecret(join(self.proof(&terms, &payment_hash), terms)),
        }
    }

    /// What an HTLC's payment secret says, if it is one of ours for this hash.
    pub fn recognise(&self, secret: &PaymentSecret, payment_hash: &PaymentHash) -> Option<Recognised> {
        let (head, tail) = secret.0.split_first_chunk::<16>()?;
        let encoded: [u8; 16] = tail.try_into().ok()?;
        let (kind, terms) = decode(&encoded);
        match kind {
            OWN => {
                let preimage = self.preimage(&secret.0);
                let preimage = payment_hash.is_paid_by(&preimage).then_some(preimage)?;
                Some(Recognised {
                    terms,
                    preimage: Some(preimage),
                })
            }
            HOLD => {
                let expected = PaymentSecret(join(self.proof(&encoded, payment_hash), encoded));
                (PaymentSecret(join(*head, encoded)) == expected).then_some(Recognised { terms, preimage: None })
            }
            _ => None,
        }
    }

    fn preimage(&self, secret: &[u8; 32]) -> PaymentPreimage {
        PaymentPreimage(self.hmac(b"preimage", &[secret]))
    }

    fn proof(&self, terms: &[u8; 16], payment_hash: &PaymentHash) -> [u8; 16] {
        let [proof, _] = halves(self.hmac(b"hold", &[terms, &payment_hash.0]));
        proof
    }

    fn hmac(&self, purpose: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let mut engine = HmacEngine::<sha256::Hash>::new(&self.0);
        engine.input(purpose);
        for part in parts {
            engine.input(part);
        }
        Hmac::from_engine(engine).to_byte_array()
    }
}

impl InvoiceTerms {
    /// The distance that an HTLC must keep to the tip, in blocks.
    pub fn min_final(&self) -> BlockCount {
        BlockCount(u32::from(self.min_final_cltv_expiry_delta))
    }
}

impl std::fmt::Debug for InvoiceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InvoiceKey(..)")
    }
}

fn encode(kind: u8, terms: InvoiceTerms) -> [u8; 16] {
    let amount = terms.amount.unwrap_or(MilliSatoshi::ZERO).0 & ((1 << AMOUNT_BITS) - 1);
    let first = u64::from(kind) << AMOUNT_BITS | amount;
    let mut encoded = [0; 16];
    encoded[..8].copy_from_slice(&first.to_be_bytes());
    encoded[8..12].copy_from_slice(&terms.expires_at_s.to_be_bytes());
    encoded[12..14].copy_from_slice(&terms.min_final_cltv_expiry_delta.to_be_bytes());
    encoded
}

fn decode(encoded: &[u8; 16]) -> (u8, InvoiceTerms) {
    let [e0, e1, e2, e3, e4, e5, e6, e7, t0, t1, t2, t3, d0, d1, ..] = *encoded;
    let first = u64::from_be_bytes([e0, e1, e2, e3, e4, e5, e6, e7]);
    let amount = MilliSatoshi(first & ((1 << AMOUNT_BITS) - 1));
    let terms = InvoiceTerms {
        amount: (!amount.is_zero()).then_some(amount),
        expires_at_s: u32::from_be_bytes([t0, t1, t2, t3]),
        min_final_cltv_expiry_delta: u16::from_be_bytes([d0, d1]),
    };
    ((first >> AMOUNT_BITS) as u8, terms)
}

fn join(head: [u8; 16], tail: [u8; 16]) -> [u8; 32] {
    let mut joined = [0; 32];
    joined[..16].copy_from_slice(&head);
    joined[16..].copy_from_slice(&tail);
    joined
}

fn halves(bytes: [u8; 32]) -> [[u8; 16]; 2] {
    let mut halves = [[0; 16]; 2];
    halves[0].copy_from_slice(&bytes[..16]);
    halves[1].copy_from_slice(&bytes[16..]);
    halves
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: InvoiceTerms = InvoiceTerms {
        amount: Some(MilliSatoshi(50_000)),
        expires_at_s: 1_700_003_600,
        min_final_cltv_expiry_delta: 18,
    };

    #[test]
    fn an_own_invoice_is_recognised_with_its_preimage() {
        let key = InvoiceKey::new([1; 32]);
        let invoice = key.own_invoice(TERMS, [9; 16]);
        let recognised = key.recognise(&invoice.payment_secret, &invoice.payment_hash).unwrap();
        assert_eq!(recognised.terms, TERMS);
        assert!(invoice.payment_hash.is_paid_by(&recognised.preimage.unwrap()));
    }

    #[test]
    fn a_hold_invoice_is_recognised_without_preimage() {
        let key = InvoiceKey::new([1; 32]);
        let hash = PaymentPreimage([5; 32]).hash();
        let invoice = key.hold_invoice(TERMS, hash);
        let recognised = key.recognise(&invoice.payment_secret, &hash);
        assert_eq!(
            recognised,
            Some(Recognised {
                terms: TERMS,
                preimage: None
            })
        );
    }

    #[test]
    fn a_changed_secret_another_hash_or_another_key_is_not_recognised() {
        let key = InvoiceKey::new([1; 32]);
        let hash = PaymentPreimage([5; 32]).hash();
        for invoice in [key.own_invoice(TERMS, [9; 16]), key.hold_invoice(TERMS, hash)] {
            for byte in 0..30 {
                let mut secret = invoice.payment_secret;
                secret.0[byte] ^= 1;
                assert_eq!(key.recognise(&secret, &invoice.payment_hash), None, "byte {byte}");
            }
            assert_eq!(key.recognise(&invoice.payment_secret, &PaymentHash([0; 32])), None);
            assert_eq!(
                InvoiceKey::new([2; 32]).recognise(&invoice.payment_secret, &invoice.payment_hash),
                None
            );
        }
    }
}
