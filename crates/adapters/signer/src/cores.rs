//! Large crowds of signatures, shared by several cores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// What a thread takes at a time: signatures for some quarter of a millisecond. Who comes late, or is held up, leaves the rest to the others.
const PIECE: usize = 8;

/// Fewer signatures than that are no work for more than one thread.
const CROWD_MIN: usize = 32;

/// The threads that share the work on a large crowd with the caller's. `None` where the caller does it alone.
#[derive(Debug, Default)]
pub(crate) struct Cores(Mutex<Option<Arc<ThreadPool>>>);

impl Cores {
    /// Keeps a thread for each of so many cores. A system that has no thread to spare leaves the work to the caller.
    pub(crate) fn set(&self, count: usize) {
        let mut kept = self.lock();
        if kept.as_ref().is_some_and(|pool| pool.current_num_threads() == count) {
            return;
        }
        let pool = (count > 1).then(|| {
            ThreadPoolBuilder::new()
                .num_threads(count)
                .thread_name(|place| format!("signer-{place}"))
                .start_handler(stay_on_a_core)
                .build()
        });
        *kept = pool.and_then(Result::ok).map(Arc::new);
    }

    /// Does `work` on pieces of `items`, each told where it begins. What comes of them, in their order.
    pub(crate) fn share<T: Sync, R: Send>(&self, items: &[T], work: impl Fn(usize, &[T]) -> R + Sync) -> Vec<R> {
        let pool = self.lock().clone();
        let Some(pool) = pool.filter(|_| items.len() >= CROWD_MIN) else {
            return vec![work(0, items)];
        };
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let take_pieces = || {
            let mut own = Vec::new();
            let take = || {
                let place = next.fetch_add(1, Ordering::Relaxed);
                Some((place, items.chunks(PIECE).nth(place)?))
            };
            while let Some((place, piece)) = take() {
                own.push((place, work(place * PIECE, piece)));
            }
            done.lock().unwrap_or_else(PoisonError::into_inner).append(&mut own);
        };
        pool.in_place_scope(|scope| {
            for _ in 0..pool.current_num_threads().min(items.len().div_ceil(PIECE)) {
                scope.spawn(|_| take_pieces());
            }
            take_pieces();
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_unstable_by_key(|(place, _)| *place);
        done.into_iter().map(|(_, one)| one).collect()
    }

    // A poisoned lock is taken all the same: what is in there is whole, or not there.
    fn lock(&self) -> MutexGuard<'_, Option<Arc<ThreadPool>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the thread of this place on a core of its own among those that the process may use. Left to the scheduler, it often lies behind
/// the caller on the same core: where other programs want the cores, sharing then took nearly twice as long as not sharing.
#[cfg(target_os = "linux")]
fn stay_on_a_core(place: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
    if let Some(core) = cores.cycle().nth(place) {
        let mut own = CpuSet::new();
        own.set(core);
        // Where that is not allowed the thread goes where it is sent.
        let _ = sched_setaffinity(None, &own);
    }
}

#[cfg(not(target_os = "linux"))]
fn stay_on_a_core(_: usize) {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn each_item_is_worked_on_once_and_in_its_place() {
        for cores in [0, 1, 2, 3, 8] {
            let shared = Cores::default();
            shared.set(cores);
            for count in [0, 1, 15, 16, 31, 32, 33, 47, 48, 100, 483, 966] {
                let items: Vec<usize> = (0..count).collect();
                let pieces = shared.share(&items, |first, piece| {
                    assert_eq!(piece.first().copied().unwrap_or(first), first);
                    piece.to_vec()
                });
                let is_shared = cores > 1 && count >= CROWD_MIN;
                let expected = if is_shared { count.div_ceil(PIECE) } else { 1 };
                assert_eq!(pieces.len(), expected, "{cores} cores, {count} items");
                assert_eq!(pieces.concat(), items);
            }
        }
    }

    /// The first piece is not done until as many threads as there are cores have one.
    #[test]
    fn all_cores_work_on_a_crowd() {
        for cores in [2, 3] {
            let shared = Cores::default();
            shared.set(cores);
            let threads = Mutex::new(HashSet::new());
            let begun = Instant::now();
            shared.share(&[(); 100], |_, _| {
                threads.lock().unwrap().insert(std::thread::current().id());
                while threads.lock().unwrap().len() < cores {
                    assert!(begun.elapsed() < Duration::from_mins(1), "too few threads came");
                    std::thread::yield_now();
                }
            });
        }
    }

    #[test]
    fn a_thread_that_is_held_up_leaves_the_rest_to_the_others() {
        let shared = Cores::default();
        shared.set(2);
        let (count, done) = (966, AtomicUsize::new(0));
        let begun = Instant::now();
        let items = vec![(); count];
        shared.share(&items, |first, piece| {
            // Who has the first piece is held up until all others are done.
            while first == 0 && done.load(Ordering::Relaxed) + piece.len() < count {
                assert!(begun.elapsed() < Duration::from_mins(1), "others wait for this one");
                std::thread::yield_now();
            }
            done.fetch_add(piece.len(), Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), count);
    }

    #[test]
    #[should_panic(expected = "a fault of ours")]
    fn a_panic_is_the_callers() {
        let shared = Cores::default();
        shared.set(2);
        shared.share(&[(); 100], |first, _| assert!(first != 48, "a fault of ours"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn each_thread_stays_on_a_core_of_its_own_as_long_as_there_are_some() {
        use rustix::thread::{CpuSet, sched_getaffinity};
        let cores = || {
            let set = sched_getaffinity(None).expect("it can be asked for");
            (0..CpuSet::MAX_CPU)
                .filter(|core| set.is_set(*core))
                .collect::<Vec<_>>()
        };
        let shared = Cores::default();
        shared.set(2);
        let pool = shared.lock().clone().expect("there are threads");
        let places = pool.broadcast(|_| cores());
        assert!(places.iter().all(|own| own.len() == 1));
        let different: HashSet<_> = places.into_iter().flatten().collect();
        assert_eq!(different.len(), cores().len().min(2));
    }
}
