//! A peer that does what it must not.

use quittance_channel::{Answer, Violation};
use quittance_wire::Message;
use secp256k1::SecretKey;
use secp256k1::ecdsa::Signature;

use super::{Pair, Who};

/// Gives `who` a message that its peer must not send, and expects this violation, this answer, and no change.
pub fn breaks(pair: &mut Pair, who: Who, message: impl Into<Message>, violation: Violation, answer: Answer) {
    let end = pair.end(who);
    let before = end.channel.state().to_checkpoint();
    end.receive(&message.into().encode());
    assert_eq!(end.violations, std::slice::from_ref(&violation));
    assert_eq!(violation.answer(), answer);
    assert_eq!(
        end.channel.state().to_checkpoint(),
        before,
        "nothing of ours has changed"
    );
    assert!(end.sent().is_empty(), "and nothing was answered by the channel itself");
}

pub fn warned(pair: &mut Pair, who: Who, message: impl Into<Message>, violation: Violation) {
    breaks(pair, who, message, violation, Answer::WarnAndDisconnect);
}

pub fn failed(pair: &mut Pair, who: Who, message: impl Into<Message>, violation: Violation) {
    breaks(pair, who, message, violation, Answer::FailChannel);
}

/// The signature with the order of the curve less `s` in the place of `s`: as valid to the curve, and not relayed.
pub fn with_high_s(signature: Signature) -> Signature {
    let mut compact = signature.serialize_compact();
    let s = SecretKey::from_slice(&compact[32..]).expect("a number below the order");
    compact[32..].copy_from_slice(&s.negate().secret_bytes());
    Signature::from_compact(&compact).expect("two numbers below the order")
}
