//! Large crowds of signatures, shared by several cores.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Fewer signatures than that are no work for a thread of their own: some half a millisecond.
const PART_MIN: usize = 16;

/// How many threads share the work on a large crowd, the caller's among them.
#[derive(Debug)]
pub(crate) struct Cores(AtomicUsize);

impl Default for Cores {
    fn default() -> Self {
        Self(AtomicUsize::new(1))
    }
}

impl Cores {
    pub(crate) fn set(&self, count: usize) {
        self.0.store(count.max(1), Ordering::Relaxed);
    }

    /// Does `work` on parts of `items`, each told where it begins. What comes of them, in their order.
    pub(crate) fn share<T: Sync, R: Send>(&self, items: &[T], work: impl Fn(usize, &[T]) -> R + Sync) -> Vec<R> {
        let parts = self.0.load(Ordering::Relaxed).min(items.len() / PART_MIN).max(1);
        let size = items.len().div_ceil(parts);
        if parts == 1 {
            return vec![work(0, items)];
        }
        let work = &work;
        std::thread::scope(|scope| {
            let (own, others) = items.split_at(size);
            let others = (1..).zip(others.chunks(size));
            let threads: Vec<_> = others
                .map(|(place, part)| {
                    let job = move || work(place * size, part);
                    let started = std::thread::Builder::new().spawn_scoped(scope, job);
                    started.map_err(|_| job)
                })
                .collect();
            let mut done = vec![work(0, own)];
            for thread in threads {
                done.push(match thread {
                    Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                    // A system that has no thread to spare.
                    Err(job) => job(),
                });
            }
            done
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_worked_on_once_and_in_its_place() {
        for cores in [0, 1, 2, 3, 8] {
            let shared = Cores::default();
            shared.set(cores);
            for count in [0, 1, 15, 16, 31, 32, 33, 47, 48, 100, 483, 966] {
                let items: Vec<usize> = (0..count).collect();
                let parts = shared.share(&items, |first, part| {
                    assert_eq!(part.first().copied().unwrap_or(0), first);
                    (std::thread::current().id(), part.to_vec())
                });
                let threads: std::collections::HashSet<_> = parts.iter().map(|(thread, _)| *thread).collect();
                assert_eq!(threads.len(), parts.len(), "each part has its thread");
                assert_eq!(
                    parts.len(),
                    cores.min(count / PART_MIN).max(1),
                    "{cores} cores, {count} items"
                );
                let done: Vec<usize> = parts.into_iter().flat_map(|(_, part)| part).collect();
                assert_eq!(done, items);
            }
        }
    }
}
