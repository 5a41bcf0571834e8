//! Cutting the link after any message, with any restart.

use super::{Kept, Pair, Who};

/// What happens to the two when the link is cut.
pub const RESTARTS: [&[(Who, Kept)]; 9] = [
    &[],
    &[(Who::Alice, Kept::Everything)],
    &[(Who::Alice, Kept::OnlySynced)],
    &[(Who::Bob, Kept::Everything)],
    &[(Who::Bob, Kept::OnlySynced)],
    &[(Who::Alice, Kept::Everything), (Who::Bob, Kept::Everything)],
    &[(Who::Alice, Kept::OnlySynced), (Who::Bob, Kept::OnlySynced)],
    &[(Who::Alice, Kept::Everything), (Who::Bob, Kept::OnlySynced)],
    &[(Who::Alice, Kept::OnlySynced), (Who::Bob, Kept::Everything)],
];

/// Delivers up to `limit` messages, in turns. How many there were.
pub fn deliver_up_to(pair: &mut Pair, limit: usize) -> usize {
    let mut delivered = 0;
    while delivered < limit {
        let before = delivered;
        for who in [Who::Alice, Who::Bob] {
            if delivered < limit && pair.deliver(who) {
                delivered += 1;
            }
        }
        if delivered == before {
            break;
        }
    }
    delivered
}
