//! Who is let in: how many from one address, and how many that have not said who they are.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The doorkeeper's book.
#[derive(Debug)]
pub(crate) struct Admission {
    book: Mutex<Book>,
    per_address_max: usize,
    half_open_max: usize,
}

#[derive(Debug, Default)]
struct Book {
    by_address: BTreeMap<IpAddr, usize>,
    /// Oldest first.
    half_open: VecDeque<(u64, Arc<Notify>)>,
    next: u64,
}

/// A connection that was let in; it leaves the book when it is dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    address: IpAddr,
    number: u64,
    /// Told when the connection has to make room.
    pub(crate) evicted: Arc<Notify>,
}

impl Admission {
    pub(crate) fn new(per_address_max: usize, half_open_max: usize) -> Self {
        Self {
            book: Mutex::default(),
            per_address_max,
            half_open_max: half_open_max.max(1),
        }
    }

    /// Lets a connection in as half open, unless its address has too many.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admitted> {
        let mut book = self.lock();
        let count = book.by_address.entry(address).or_insert(0);
        if *count >= self.per_address_max && !address.is_loopback() {
            return None;
        }
        *count += 1;
        if book.half_open.len() >= self.half_open_max
            && let Some((_, oldest)) = book.half_open.pop_front()
        {
            oldest.notify_one();
        }
        let (number, evicted) = (book.next, Arc::new(Notify::new()));
        book.next += 1;
        book.half_open.push_back((number, Arc::clone(&evicted)));
        Some(Admitted {
            admission: Arc::clone(self),
            address,
            number,
            evicted,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// It has said who it is, and cannot be evicted any more.
    pub(crate) fn is_known(&self) {
        let mut book = self.admission.lock();
        book.half_open.retain(|(number, _)| *number != self.number);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.is_known();
        let mut book = self.admission.lock();
        if let Some(count) = book.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                book.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn an_address_has_so_many_connections_and_no_more() {
        let admission = Arc::new(Admission::new(2, 10));
        let first = admission.admit(ONE).unwrap();
        let second = admission.admit(ONE).unwrap();
        first.is_known();
        assert!(admission.admit(ONE).is_none(), "finished connections count as well");
        assert!(admission.admit(OTHER).is_some());
        drop(second);
        assert!(admission.admit(ONE).is_some());
    }

    #[tokio::test]
    async fn the_oldest_that_has_not_said_who_it_is_makes_room() {
        let admission = Arc::new(Admission::new(10, 2));
        let known = admission.admit(ONE).unwrap();
        known.is_known();
        let oldest = admission.admit(ONE).unwrap();
        let _younger = admission.admit(ONE).unwrap();
        let _youngest = admission.admit(ONE).unwrap();
        oldest.evicted.notified().await;
        assert_eq!(admission.lock().half_open.len(), 2);
    }
}
