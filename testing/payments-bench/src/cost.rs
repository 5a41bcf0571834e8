//! What work costs: processor time, bytes written, memory.

use std::ops::Sub;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A moment in the life of this process.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    time: Instant,
    processor: Duration,
    bytes_written: u64,
}

/// What happened between two moments.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// On the wall's clock.
    pub time: Duration,
    /// Of all threads.
    pub processor: Duration,
    /// What the kernel was given to write to disks.
    pub bytes_written: u64,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self {
            time: Instant::now(),
            processor: clock(ClockId::ProcessCPUTime),
            bytes_written: figure_of("/proc/self/io", "write_bytes:"),
        }
    }
}

impl Moment {
    /// How long ago it was.
    pub fn elapsed(&self) -> Duration {
        self.time.elapsed()
    }
}

impl Sub for Moment {
    type Output = Cost;

    fn sub(self, earlier: Self) -> Cost {
        Cost {
            time: self.time - earlier.time,
            processor: self.processor.saturating_sub(earlier.processor),
            bytes_written: self.bytes_written.saturating_sub(earlier.bytes_written),
        }
    }
}

/// The processor time of this thread so far.
pub fn thread_time() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

/// The memory that this process has, in KiB.
pub fn memory_kib() -> u64 {
    figure_of("/proc/self/status", "VmRSS:")
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(
        u64::try_from(time.tv_sec).expect("clocks count up"),
        u32::try_from(time.tv_nsec).expect("below a second"),
    )
}

/// The number behind `name` in a file of the kernel's; zero where there is none.
fn figure_of(path: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
