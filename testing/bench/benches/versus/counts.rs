//! What is spent, node by node: processor time, and syncs and bytes on their way to the disk.
//!
//! Syncs and writes are counted where every library must pass: a function that the program itself defines wins over that of libc, so
//! `fsync`, `fdatasync` and the writes below are called by Rust's files and by SQLite alike; they count, and ask the kernel.
//! Who is charged is known by the thread: the one that runs all nodes says for whom it works ([`on_behalf_of`]), and threads that a
//! store has started are its node's ([`charge_new_threads`]).

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::Sub;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use libc::{c_int, c_long, c_void, off_t, size_t, ssize_t};

/// A node that costs are charged to; 0 stands for nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account(pub usize);

/// What was spent on an account.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// Of this thread while it worked for the account, and of the threads that are the account's own.
    pub processor: Duration,
    /// Calls of `fsync` and `fdatasync`.
    pub syncs: u64,
    /// Bytes handed to the kernel for files.
    pub bytes: u64,
}

/// A moment in the life of this process.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    time: Instant,
    processor: Duration,
    accounts: [Spent; ACCOUNTS],
}

/// What happened between two moments.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// On the wall's clock.
    pub time: Duration,
    /// Of all threads of the process.
    pub processor: Duration,
    accounts: [Spent; ACCOUNTS],
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        let mut accounts = [Spent::default(); ACCOUNTS];
        for (spent, counter) in accounts.iter_mut().zip(&COUNTERS) {
            *spent = Spent {
                processor: Duration::from_nanos(counter.nanoseconds.load(Relaxed)),
                syncs: counter.syncs.load(Relaxed),
                bytes: counter.bytes.load(Relaxed),
            };
        }
        for charged in &CHARGED {
            let thread = charged.thread.load(Relaxed);
            if thread != 0 {
                accounts[charged.account.load(Relaxed)].processor += clock(clock_of_thread(thread));
            }
        }
        Self {
            time: Instant::now(),
            processor: clock(libc::CLOCK_PROCESS_CPUTIME_ID),
            accounts,
        }
    }
}

impl Sub for Moment {
    type Output = Cost;

    fn sub(self, earlier: Self) -> Cost {
        let mut accounts = self.accounts;
        for (spent, before) in accounts.iter_mut().zip(earlier.accounts) {
            *spent = Spent {
                processor: spent.processor.saturating_sub(before.processor),
                syncs: spent.syncs - before.syncs,
                bytes: spent.bytes - before.bytes,
            };
        }
        Cost {
            time: self.time - earlier.time,
            processor: self.processor.saturating_sub(earlier.processor),
            accounts,
        }
    }
}

impl Cost {
    /// What was spent on an account.
    pub fn of(&self, account: Account) -> Spent {
        self.accounts[account.0]
    }
}

/// Does some work of a node's on this thread.
pub fn on_behalf_of<T>(account: Account, work: impl FnOnce() -> T) -> T {
    let before = WORKS_FOR.replace(Some(account));
    let begun = clock(libc::CLOCK_THREAD_CPUTIME_ID);
    let done = work();
    charge_time(account, clock(libc::CLOCK_THREAD_CPUTIME_ID).saturating_sub(begun));
    WORKS_FOR.set(before);
    done
}

/// Writes for a node on this thread, whose time is charged otherwise.
pub fn write_for(account: Account, write: &mut dyn FnMut()) {
    let before = WORKS_FOR.replace(Some(account));
    write();
    WORKS_FOR.set(before);
}

/// Charges time that was measured otherwise.
pub fn charge_time(account: Account, time: Duration) {
    let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    COUNTERS[account.0].nanoseconds.fetch_add(nanoseconds, Relaxed);
}

/// Charges to `account` all that the threads do which `work` starts.
pub fn charge_new_threads<T>(account: Account, work: impl FnOnce() -> T) -> T {
    let before = threads();
    let done = work();
    for thread in threads().difference(&before) {
        let free = CHARGED.iter().find(|charged| charged.thread.load(Relaxed) == 0);
        let charged = free.expect("there are few stores");
        charged.account.store(account.0, Relaxed);
        charged.thread.store(*thread, Relaxed);
    }
    done
}

/// Forgets which threads are whose: those that were charged have ended, or will.
pub fn release_threads() {
    for charged in &CHARGED {
        charged.thread.store(0, Relaxed);
    }
}

struct Counter {
    nanoseconds: AtomicU64,
    syncs: AtomicU64,
    bytes: AtomicU64,
}

struct Charged {
    thread: AtomicI32,
    account: AtomicUsize,
}

const ACCOUNTS: usize = 10;
const THREADS: usize = 32;

static COUNTERS: [Counter; ACCOUNTS] = [const {
    Counter {
        nanoseconds: AtomicU64::new(0),
        syncs: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
    }
}; ACCOUNTS];

static CHARGED: [Charged; THREADS] = [const {
    Charged {
        thread: AtomicI32::new(0),
        account: AtomicUsize::new(0),
    }
}; THREADS];

thread_local! {
    static WORKS_FOR: Cell<Option<Account>> = const { Cell::new(None) };
}

/// The counter of whoever this thread works for.
fn counter() -> &'static Counter {
    let account = WORKS_FOR.get().unwrap_or_else(|| {
        let this = thread_id();
        let charged = CHARGED.iter().find(|charged| charged.thread.load(Relaxed) == this);
        Account(charged.map_or(0, |charged| charged.account.load(Relaxed)))
    });
    &COUNTERS[account.0]
}

fn threads() -> BTreeSet<i32> {
    let entries = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// The kernel's number of this thread.
fn thread_id() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() }
}

/// The clock of a thread's processor time: the thread's number, inverted, and three bits that ask for this clock (clock_getres(2)).
const fn clock_of_thread(thread: i32) -> libc::clockid_t {
    (!thread << 3) | 6
}

/// What a clock shows; nothing if its thread has ended.
fn clock(id: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours to be written to.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn count_sync() {
    counter().syncs.fetch_add(1, Relaxed);
}

fn count_bytes(file: c_int, bytes: size_t) {
    // Not what is said to the terminal.
    if file > 2 {
        counter().bytes.fetch_add(bytes as u64, Relaxed);
    }
}

// SAFETY, of all four: they have libc's own signatures and hand their arguments to the kernel as they came.

#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(file: c_int) -> c_int {
    count_sync();
    unsafe { status(libc::syscall(libc::SYS_fsync, file)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(file: c_int) -> c_int {
    count_sync();
    unsafe { status(libc::syscall(libc::SYS_fdatasync, file)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(file: c_int, from: *const c_void, bytes: size_t) -> ssize_t {
    count_bytes(file, bytes);
    unsafe { size(libc::syscall(libc::SYS_write, file, from, bytes)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(file: c_int, from: *const c_void, bytes: size_t, at: off_t) -> ssize_t {
    count_bytes(file, bytes);
    unsafe { size(libc::syscall(libc::SYS_pwrite64, file, from, bytes, at)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(file: c_int, from: *const c_void, bytes: size_t, at: off_t) -> ssize_t {
    count_bytes(file, bytes);
    unsafe { size(libc::syscall(libc::SYS_pwrite64, file, from, bytes, at)) }
}

fn status(result: c_long) -> c_int {
    c_int::try_from(result).unwrap_or(-1)
}

fn size(result: c_long) -> ssize_t {
    ssize_t::try_from(result).unwrap_or(-1)
}
