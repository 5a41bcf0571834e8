//! How fast a peer may send what concerns no channel: a bucket of tokens that fills with time.

use std::time::{Duration, Instant};

/// A bucket. Whoever takes more than it holds is told how long to wait.
#[derive(Debug)]
pub(crate) struct Pace {
    per_second: f64,
    burst: f64,
    left: f64,
    at: Instant,
}

impl Pace {
    pub(crate) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        Self {
            per_second: f64::from(per_second.max(1)),
            burst: f64::from(burst.max(1)),
            left: f64::from(burst.max(1)),
            at: now,
        }
    }

    /// Takes `cost` tokens, and says how long to wait before going on.
    pub(crate) fn take(&mut self, cost: u32, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.left = (self.left + passed * self.per_second).min(self.burst) - f64::from(cost);
        if self.left >= 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64(-self.left / self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_what_exceeds_it_waits() {
        let start = Instant::now();
        let mut pace = Pace::new(10, 100, start);
        assert_eq!(pace.take(100, start), Duration::ZERO);
        assert_eq!(pace.take(5, start), Duration::from_millis(500));
        let later = start + Duration::from_secs(1);
        assert_eq!(pace.take(5, later), Duration::ZERO);
        // However long it rests, it holds no more than a burst.
        let much_later = start + Duration::from_hours(1);
        assert_eq!(pace.take(110, much_later), Duration::from_secs(1));
    }
}
