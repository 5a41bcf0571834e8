//! What stands between two nodes that talk: it passes everything on, counts it, and cuts the connection after so many bytes, which may
//! be in the middle of a message.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quittance_town::Outcome;

use crate::world::By;

/// Stands before a node of LDK's. Its threads end with the process.
pub(crate) struct Link {
    /// Where it is called.
    pub(crate) address: SocketAddr,
    traffic: Arc<Mutex<Traffic>>,
}

/// What has passed, and when to cut.
#[derive(Default)]
struct Traffic {
    from_ours: u64,
    from_ldk: u64,
    /// Once this many bytes more have passed from this side, the connection is cut.
    cut: Option<(By, u64)>,
    cuts: u32,
}

impl Link {
    /// Stands before the node at this address.
    pub(crate) fn new(to: SocketAddr) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let link = Self {
            address: listener.local_addr()?,
            traffic: Arc::default(),
        };
        let traffic = Arc::clone(&link.traffic);
        std::thread::spawn(move || {
            for ours in listener.incoming().flatten() {
                // Who finds nobody at the other end calls again.
                let Ok(ldk) = TcpStream::connect(to) else { continue };
                let (Ok(from_ours), Ok(from_ldk)) = (ours.try_clone(), ldk.try_clone()) else {
                    continue;
                };
                let (here, there) = (Arc::clone(&traffic), Arc::clone(&traffic));
                std::thread::spawn(move || pass(from_ours, ldk, By::Ours, &here));
                std::thread::spawn(move || pass(from_ldk, ours, By::Ldk, &there));
            }
        });
        Ok(link)
    }

    /// How many bytes have passed from a side, ever.
    pub(crate) fn passed(&self, from: By) -> u64 {
        *lock(&self.traffic).passed(from)
    }

    /// The connection is cut once so many bytes more have passed from a side.
    pub(crate) fn cut_after(&self, from: By, bytes: u64) {
        lock(&self.traffic).cut = Some((from, bytes));
    }

    /// Does not cut any more; how many cuts there were in all.
    pub(crate) fn cuts(&self) -> u32 {
        let mut traffic = lock(&self.traffic);
        traffic.cut = None;
        traffic.cuts
    }
}

impl Traffic {
    const fn passed(&mut self, from: By) -> &mut u64 {
        match from {
            By::Ours => &mut self.from_ours,
            By::Ldk => &mut self.from_ldk,
        }
    }

    /// How many of so many bytes may pass, and whether the connection is cut after them.
    fn admit(&mut self, from: By, bytes: usize) -> (usize, bool) {
        let mut admitted = bytes;
        let mut is_cut = false;
        if let Some((side, left)) = &mut self.cut
            && *side == from
        {
            admitted = bytes.min(usize::try_from(*left).unwrap_or(bytes));
            *left -= admitted as u64;
            is_cut = *left == 0;
        }
        if is_cut {
            self.cut = None;
            self.cuts += 1;
        }
        *self.passed(from) += admitted as u64;
        (admitted, is_cut)
    }
}

fn lock(traffic: &Mutex<Traffic>) -> MutexGuard<'_, Traffic> {
    traffic.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes on what comes from one side, until either end is gone or the connection is cut; then neither can go on.
fn pass(mut from: TcpStream, mut to: TcpStream, side: By, traffic: &Mutex<Traffic>) {
    let mut buffer = [0; 4_096];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let (admitted, is_cut) = lock(traffic).admit(side, read);
        if to.write_all(&buffer[..admitted]).is_err() || is_cut {
            break;
        }
    }
    // Whatever has ended already needs no end.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_so_many_bytes_pass_before_the_cut() {
        let mut traffic = Traffic {
            cut: Some((By::Ldk, 150)),
            ..Traffic::default()
        };
        assert_eq!(traffic.admit(By::Ours, 1_000), (1_000, false));
        assert_eq!(traffic.admit(By::Ldk, 100), (100, false));
        assert_eq!(traffic.admit(By::Ldk, 100), (50, true));
        assert_eq!(
            traffic.admit(By::Ldk, 100),
            (100, false),
            "the next connection is whole"
        );
        assert_eq!((traffic.from_ours, traffic.from_ldk, traffic.cuts), (1_000, 250, 1));
    }
}
