//! Addresses for processes that are killed and come back to where they listened.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that systems give to whoever calls somebody.
const FIRST_PORT: u16 = 10_000;
const LAST_PORT: u16 = 32_000;

static NEXT_PORT: AtomicU16 = AtomicU16::new(FIRST_PORT);

/// An address on this machine that nobody listens at.
///
/// Where all of 127.0.0.0/8 is this machine, as with Linux, each process that asks has a host of its own there: while whoever listens at
/// the address is away, neither a call of somebody nor a test that runs beside takes its place. Elsewhere that may happen.
///
/// # Errors
/// When there is none.
pub fn free_address() -> io::Result<SocketAddr> {
    let [_, high, middle, low] = process::id().to_be_bytes();
    let own = Ipv4Addr::new(127, 1 + high % 254, middle, low.clamp(1, 254));
    while let Some(port) = next_port() {
        match TcpListener::bind((own, port)) {
            Ok(listener) => return listener.local_addr(),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            // Not a host of this machine.
            Err(_) => break,
        }
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn next_port() -> Option<u16> {
    let next = |port| (port < LAST_PORT).then_some(port + 1);
    NEXT_PORT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()
}

#[cfg(test)]
mod tests {
    use super::free_address;

    #[test]
    fn no_address_is_given_twice_and_none_is_taken() {
        let first = free_address().expect("there is one");
        let second = free_address().expect("there is another");
        assert!(first.ip().is_loopback() && second.ip().is_loopback());
        assert_ne!(first, second);
        let _listener = std::net::TcpListener::bind(first).expect("it is free");
    }
}
