//! A peer that does what it must not.

use quittance_channel::{Answer, Violation};
use quittance_wire::Message;

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
