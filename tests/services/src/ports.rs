//! Free ports on the loopback interface.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::SystemTime;

use crate::error::ServiceError;

/// Below what Linux gives to outgoing connections (32,768 and up), so that no connection takes a server's port while it is down.
const FIRST: u16 = 18_000;
const COUNT: u16 = 14_000;

/// Draws ports that are free on all of these addresses, no two alike.
///
/// Within one process a port is drawn once; two processes begin at different places.
pub(crate) fn free_ports<const N: usize>(addresses: &[Ipv4Addr]) -> Result<[u16; N], ServiceError> {
    let mut ports = [0; N];
    for port in &mut ports {
        let mut drawn = (0..COUNT).map(|_| draw());
        *port = drawn.find(|&port| is_free(addresses, port)).ok_or_else(|| {
            ServiceError::InTheWay(format!("no loopback port from {FIRST} to {} is free", FIRST + COUNT - 1))
        })?;
    }
    Ok(ports)
}

fn draw() -> u16 {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let next = NEXT.get_or_init(|| {
        let nanos = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.subsec_nanos());
        let mixed = (nanos ^ std::process::id()).wrapping_mul(0x9E37_79B1) >> 16;
        AtomicU16::new(u16::try_from(mixed % u32::from(COUNT)).unwrap_or(0))
    });
    FIRST + next.fetch_add(1, Ordering::Relaxed) % COUNT
}

fn is_free(addresses: &[Ipv4Addr], port: u16) -> bool {
    addresses.iter().all(|&address| TcpListener::bind((address, port)).is_ok())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::{Ipv4Addr, TcpListener};

    use super::{free_ports, is_free};

    #[test]
    fn ports_that_are_drawn_are_free_and_distinct() {
        let first: [u16; 20] = free_ports(&[Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)]).unwrap();
        let second: [u16; 20] = free_ports(&[Ipv4Addr::LOCALHOST]).unwrap();
        assert_eq!(first.iter().chain(&second).collect::<BTreeSet<_>>().len(), 40);
    }

    #[test]
    fn a_port_with_a_listener_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(&[Ipv4Addr::LOCALHOST], listener.local_addr().unwrap().port()));
    }
}
