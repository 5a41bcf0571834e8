//! A follower on a thread of its own: it polls, reports in order, waits while the receiver is busy, and never gives up.

use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use crate::source::ChainSource;
use crate::{ChainError, ChainUpdate, Follower, Tip};

/// How often the source is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between two looks at a chain that has nothing newer.
    pub poll: Duration,
    /// After a first failure; doubled with each further one.
    pub retry_min: Duration,
    /// The longest time between two attempts.
    pub retry_max: Duration,
}

/// What the thread has to tell.
#[derive(Debug)]
pub enum Report {
    /// The chain changed.
    Update(ChainUpdate),
    /// All changes were told. Once after each burst of updates, at the start, and when the source is back.
    AtTip(Tip),
    /// The source cannot be asked or believed. Once for each failed attempt.
    Failing {
        /// When that began.
        since: SystemTime,
        /// What happened this time.
        error: ChainError,
    },
}

/// A running thread. It ends, after the call that it is in, when this is dropped.
#[derive(Debug)]
pub struct Watch {
    /// A message means to look now; a closed channel, to stop.
    wake: Sender<()>,
    thread: JoinHandle<()>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(2),
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_secs(30),
        }
    }
}

impl Watch {
    /// Follows the chain until this is dropped or `report` says stop. The next block is read when `report` has returned: a bounded
    /// queue behind it bounds everything.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn spawn<S: ChainSource + Send + 'static>(
        mut follower: Follower<S>,
        pace: Pace,
        mut report: impl FnMut(Report) -> ControlFlow<()> + Send + 'static,
    ) -> io::Result<Self> {
        let (wake, woken) = channel();
        let thread = thread::Builder::new().name("chain".to_owned());
        let thread = thread.spawn(move || {
            // Whoever stops it knows why.
            let _ = run(&mut follower, pace, &woken, &mut report);
        })?;
        Ok(Self { wake, thread })
    }

    /// Looks for new blocks now, instead of when the time has come.
    pub fn look_now(&self) {
        // A thread that has ended has nothing to look for.
        let _ = self.wake.send(());
    }

    /// Stops, and waits for the call that is under way.
    pub fn stop(self) {
        drop(self.wake);
        // A panic of the thread has been printed by then.
        let _ = self.thread.join();
    }
}

fn run<S: ChainSource>(
    follower: &mut Follower<S>,
    pace: Pace,
    woken: &Receiver<()>,
    report: &mut impl FnMut(Report) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut is_told = false;
    let mut failing_since = None;
    let mut retry = pace.retry_min;
    loop {
        let pause = match follower.next() {
            Ok(update) => {
                is_told &= failing_since.take().is_none();
                retry = pace.retry_min;
                if let Some(update) = update {
                    is_told = false;
                    report(Report::Update(update))?;
                    Duration::ZERO
                } else {
                    if !is_told {
                        report(Report::AtTip(follower.tip()))?;
                        is_told = true;
                    }
                    pace.poll
                }
            }
            Err(error) => {
                let since = *failing_since.get_or_insert_with(SystemTime::now);
                report(Report::Failing { since, error })?;
                let pause = retry;
                retry = retry.saturating_mul(2).min(pace.retry_max);
                pause
            }
        };
        match woken.recv_timeout(pause) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return ControlFlow::Break(()),
        }
    }
}
