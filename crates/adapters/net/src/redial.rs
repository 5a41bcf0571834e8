//! Calling a peer again and again: at growing distances, and never all peers at the same moment.

use std::time::{Duration, Instant};

use quittance_primitives::NodeId;

use crate::address::PeerAddress;
use crate::connection::Sink;
use crate::network::Network;

/// Keeps a connection to `peer`, for ever.
pub(crate) async fn keep<S: Sink>(network: Network<S>, peer: NodeId, addresses: Vec<PeerAddress>) {
    let timing = network.config().timing;
    let mut wait = Duration::ZERO;
    loop {
        tokio::time::sleep(wait).await;
        let began = Instant::now();
        if network.connect(peer, &addresses).await.is_ok() {
            network.lost(&peer).await;
        }
        // A connection that held for a while was a good one: the next call comes soon.
        let growth = if began.elapsed() >= timing.redial_max.min(GOOD_AFTER) {
            timing.redial_first
        } else {
            (wait * 2).clamp(timing.redial_first, timing.redial_max)
        };
        wait = jittered(growth, random_byte());
    }
}

/// A connection that held for so long was a good one.
const GOOD_AFTER: Duration = Duration::from_mins(1);

/// Three quarters to five quarters of `span`: nodes that lost each other together do not all call together.
fn jittered(span: Duration, byte: u8) -> Duration {
    span * (384 + u32::from(byte)) / 512
}

fn random_byte() -> u8 {
    let mut byte = [0];
    // Without randomness the calls come at even distances, which is a nuisance and no danger.
    let _ = getrandom::fill(&mut byte);
    byte[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_a_quarter_to_either_side() {
        let second = Duration::from_secs(1);
        assert_eq!(jittered(second, 0), Duration::from_millis(750));
        assert_eq!(jittered(second, 128), second);
        assert!(jittered(second, 255) < Duration::from_millis(1_250));
    }
}
