//! The protocol layer side by side with LDK (its public API) and with the bare cryptography that the work cannot do without.
//!
//! `cargo xtask bench` runs all benches and rewrites the table in `docs/BENCHMARKS.md`. In each group, `quittance`, `ldk` and
//! `bare` are given the same work, in one run; only their ratios mean something. Here: the clock and the keys that all of them use.

use std::time::Duration;

use criterion::Criterion;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use rustix::time::{ClockId, clock_gettime};
use secp256k1::{PublicKey, SECP256K1, SecretKey};

/// The processor time of the thread: what a busy machine leaves alone, where the time on the wall grows with its load.
pub struct ProcessorTime;

/// A bench's runner, on processor time.
pub type Bench = Criterion<ProcessorTime>;

/// The runner of all benches.
pub fn runner() -> Bench {
    Criterion::default().with_measurement(ProcessorTime)
}

impl ProcessorTime {
    fn now() -> Duration {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
        Duration::new(seconds.unwrap_or_default(), nanoseconds.unwrap_or_default())
    }
}

impl Measurement for ProcessorTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        Self::now()
    }

    fn end(&self, start: Duration) -> Duration {
        Self::now().saturating_sub(start)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, time: &Duration) -> f64 {
        WallTime.to_f64(time)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// Our side of a group.
pub const OURS: &str = "quittance";
/// LDK's.
pub const LDK: &str = "ldk";
/// The curve operations, ciphers and hashes alone.
pub const BARE: &str = "bare";

/// A private key made of one byte, which must not be 0.
///
/// # Panics
/// If it is 0.
pub fn key(byte: u8) -> SecretKey {
    SecretKey::from_slice(&[byte; 32]).expect("the byte is not 0")
}

/// Its public key.
///
/// # Panics
/// If the byte is 0.
pub fn point(byte: u8) -> PublicKey {
    key(byte).public_key(SECP256K1)
}
