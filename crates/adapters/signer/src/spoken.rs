//! Words signed with a node's key, in the form that users of Lightning know: zbase32 of a recoverable signature over the double SHA-256 of
//! `Lightning Signed Message:` and the words. From words and signature follows who signed them; nothing else is needed to check it.

use bitcoin::hashes::{Hash, sha256d};
use quittance_primitives::NodeId;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, SECP256K1};

use crate::LocalSigner;

/// What stands before the words, so that no signature is one over a transaction or an invoice.
const PREFIX: &[u8] = b"Lightning Signed Message:";
/// What the number of the key is counted from: 27, and 4 for a compressed key.
const HEADER: u8 = 31;
/// One byte for the key's number, and the signature.
const BYTES: usize = 65;
/// Zooko's letters, by their values.
const LETTERS: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";

impl LocalSigner {
    /// Signs words with the node's key.
    pub fn sign_words(&self, words: &[u8]) -> String {
        let signature = SECP256K1.sign_ecdsa_recoverable(&digest(words), &self.transport_key());
        let (number, compact) = signature.serialize_compact();
        // A recovery number is 0, 1, 2 or 3.
        let number = u8::try_from(number.to_i32()).unwrap_or_default();
        let mut bytes = vec![HEADER + number];
        bytes.extend(compact);
        encode(&bytes)
    }
}

/// Who signed these words; nothing when the signature is none. Whether it is whom one expects is for the caller to compare.
pub fn who_signed(words: &[u8], signature: &str) -> Option<NodeId> {
    let bytes: [u8; BYTES] = decode(signature.trim())?.try_into().ok()?;
    let (header, compact) = bytes.split_first()?;
    let number = RecoveryId::from_i32(i32::from(header.checked_sub(HEADER)?)).ok()?;
    let signature = RecoverableSignature::from_compact(compact, number).ok()?;
    let key = SECP256K1.recover_ecdsa(&digest(words), &signature).ok()?;
    Some(NodeId::from(key))
}

fn digest(words: &[u8]) -> Message {
    let bytes = [PREFIX, words].concat();
    Message::from_digest(sha256d::Hash::hash(&bytes).to_byte_array())
}

fn encode(bytes: &[u8]) -> String {
    let letter = |at: usize| {
        let bits = (0..5).map(|offset| bit(bytes, 5 * at + offset));
        let value = bits.fold(0, |value, bit| 2 * value + usize::from(bit));
        char::from(LETTERS[value])
    };
    (0..(8 * bytes.len()).div_ceil(5)).map(letter).collect()
}

/// The bit at a place, the highest of each byte first; behind the end there are zeros.
fn bit(bytes: &[u8], place: usize) -> u8 {
    bytes.get(place / 8).map_or(0, |byte| (byte >> (7 - place % 8)) & 1)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut held, mut count) = (0_u32, 0);
    for letter in text.bytes() {
        let value = LETTERS.iter().position(|known| *known == letter)?;
        held = (held << 5) | u32::try_from(value).ok()?;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((held >> count) & 0xff).ok()?);
        }
        held &= (1 << count) - 1;
    }
    // Bits that stand for no byte must be zeros: one signature has one text.
    (held == 0 && count < 5).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by another node, and known among them as the proof that their forms agree.
    #[test]
    fn what_others_signed_is_recovered() {
        let signature =
            "rbgfioj114mh48d8egqx8o9qxqw4fmhe8jbeeabdioxnjk8z3t1ma1hu1fiswpakgucwwzwo6ofycffbsqusqdimugbh41n1g698hr9t";
        let signer = who_signed(b"is this compatible?", signature).map(|node| node.to_string());
        assert_eq!(
            signer.as_deref(),
            Some("02b80cabdf82638aac86948e4c06e82064f547768dcef977677b9ea931ea75bab5")
        );
    }

    #[test]
    fn words_are_signed_by_the_node_that_is_recovered() {
        let signer = LocalSigner::new([7; 32]);
        let signature = signer.sign_words(b"hello");
        assert_eq!(signature.len(), 104);
        assert_eq!(who_signed(b"hello", &signature), Some(signer.node_id()));
        assert_eq!(who_signed(b"hello", &format!(" {signature}\n")), Some(signer.node_id()));
        assert_ne!(who_signed(b"hullo", &signature), Some(signer.node_id()));
        for wrong in [
            "",
            "y",
            &signature[1..],
            &signature.replace(&signature[..1], "l"),
            &format!("{signature}y"),
        ] {
            assert_eq!(who_signed(b"hello", wrong), None, "{wrong}");
        }
    }

    #[test]
    fn bytes_survive_their_letters_and_loose_bits_are_refused() {
        for length in 0..20_u8 {
            let bytes: Vec<u8> = (0..length).map(|number| number.wrapping_mul(37) ^ 0xa5).collect();
            assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
        assert_eq!(encode(&[0xff]), "9h");
        assert_eq!(decode("99"), None, "two loose bits are set");
    }
}
