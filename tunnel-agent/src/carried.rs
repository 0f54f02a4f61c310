//! Sockets by cookie: whom each carried one wanted to reach, and why a held one failed.
//!
//! The library keeps nothing per descriptor, so this is where `getpeername`, `SO_ERROR` and a second
//! `connect` learn the truth, in whichever process asks. A cookie is never used twice while the
//! machine runs (socket(7), SO_COOKIE), so an entry can be stale but never wrong.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use parking_lot::Mutex;

use crate::sock_diag;

/// Failures that nobody has asked about yet. A program that never asks loses nothing but the
/// difference between one errno and another.
const MAX_FAILURES: usize = 8192;
/// Entries between two looks at which sockets still exist.
const LEAST_SWEEP: usize = 1024;

/// A socket address in 24 bytes; there is one or two per connection that has been handed off.
#[derive(Clone, Copy)]
struct Compact {
    ip: [u8; 16],
    scope: u32,
    port: u16,
    v4: bool,
}

impl From<SocketAddr> for Compact {
    fn from(address: SocketAddr) -> Self {
        let (ip, scope) = match address {
            SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
            SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
        };
        Self { ip: ip.octets(), scope, port: address.port(), v4: address.is_ipv4() }
    }
}

impl From<Compact> for SocketAddr {
    fn from(compact: Compact) -> Self {
        let ip = Ipv6Addr::from(compact.ip);
        if compact.v4 {
            Self::new(IpAddr::V6(ip).to_canonical(), compact.port)
        } else {
            SocketAddrV6::new(ip, compact.port, 0, compact.scope).into()
        }
    }
}

#[derive(Default)]
struct Tables {
    peers: HashMap<u64, Compact>,
    /// Only for relayed sockets, whose own name shows the loopback leg.
    locals: HashMap<u64, Compact>,
    failures: HashMap<u64, i32>,
    failures_in_order: VecDeque<u64>,
    /// The number of peers at which the next sweep begins.
    sweep_at: usize,
    sweeping: bool,
}

/// The tables of one agent.
#[derive(Default)]
pub(crate) struct Carried(Mutex<Tables>);

impl Carried {
    /// A socket is carried to `peer`; a relayed one leaves the machine from `local`.
    pub(crate) fn begin(&self, cookie: u64, peer: SocketAddr, local: Option<SocketAddr>) {
        let mut tables = self.0.lock();
        tables.peers.insert(cookie, peer.into());
        if let Some(local) = local {
            tables.locals.insert(cookie, local.into());
        }
    }

    /// The attempt has failed.
    pub(crate) fn failed(&self, cookie: u64, errno: i32) {
        let mut tables = self.0.lock();
        tables.forget(cookie);
        if tables.failures.insert(cookie, errno).is_none() {
            tables.failures_in_order.push_back(cookie);
        }
        while tables.failures_in_order.len() > MAX_FAILURES {
            if let Some(oldest) = tables.failures_in_order.pop_front() {
                tables.failures.remove(&oldest);
            }
        }
    }

    /// The socket was not connected after all, and the program has been told.
    pub(crate) fn forget(&self, cookie: u64) {
        self.0.lock().forget(cookie);
    }

    /// Why the socket's attempt failed; told once, as the kernel does with `SO_ERROR`.
    pub(crate) fn take_failure(&self, cookie: u64) -> Option<i32> {
        self.0.lock().failures.remove(&cookie)
    }

    /// Destination and, if known, local address.
    pub(crate) fn peer(&self, cookie: u64) -> Option<(SocketAddr, Option<SocketAddr>)> {
        let tables = self.0.lock();
        let peer = *tables.peers.get(&cookie)?;
        Some((peer.into(), tables.locals.get(&cookie).map(|&local| local.into())))
    }

    /// Whether it is time for [`Self::sweep`]; says yes once until that has run.
    pub(crate) fn wants_sweep(&self) -> bool {
        let mut tables = self.0.lock();
        let due = !tables.sweeping && tables.peers.len() >= tables.sweep_at.max(LEAST_SWEEP);
        tables.sweeping |= due;
        due
    }

    /// Forgets the sockets that no longer exist. It reads the kernel's list of sockets: not for a
    /// thread that others wait for.
    pub(crate) fn sweep(&self) {
        // What is carried after this line is not judged by a list that may be older.
        let before: Vec<u64> = self.0.lock().peers.keys().copied().collect();
        let alive = sock_diag::tcp_cookies();
        let mut tables = self.0.lock();
        if let Ok(alive) = alive {
            for cookie in before {
                if !alive.contains(&cookie) {
                    tables.forget(cookie);
                }
            }
        }
        let Tables { failures, failures_in_order, .. } = &mut *tables;
        failures_in_order.retain(|cookie| failures.contains_key(cookie));
        tables.sweep_at = tables.peers.len() * 2;
        tables.sweeping = false;
        if tables.peers.capacity() > 4 * tables.peers.len().max(LEAST_SWEEP) {
            tables.peers.shrink_to_fit();
            tables.locals.shrink_to_fit();
        }
    }
}

impl Tables {
    fn forget(&mut self, cookie: u64) {
        self.peers.remove(&cookie);
        self.locals.remove(&cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_compaction() {
        for text in ["10.1.2.3:4", "[fd00::1]:5", "[fe80::1%9]:6", "[::ffff:10.1.2.3]:7"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(SocketAddr::from(Compact::from(address)), address);
        }
        assert_eq!(size_of::<Compact>(), 24);
    }

    #[test]
    fn a_failure_is_told_once_and_their_number_is_bounded() {
        let carried = Carried::default();
        carried.begin(1, "10.0.0.1:1".parse().unwrap(), None);
        carried.failed(1, 111);
        assert_eq!(carried.peer(1), None);
        assert_eq!(carried.take_failure(1), Some(111));
        assert_eq!(carried.take_failure(1), None);
        for cookie in 0..2 * MAX_FAILURES as u64 {
            carried.failed(cookie, 113);
        }
        assert_eq!(carried.0.lock().failures.len(), MAX_FAILURES);
        assert_eq!(carried.take_failure(0), None);
    }

    #[test]
    fn a_sweep_forgets_sockets_that_do_not_exist() {
        let carried = Carried::default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let alive: u64 = crate::sys::option(&listener, libc::SOL_SOCKET, libc::SO_COOKIE).unwrap();
        let peer = "10.0.0.1:1".parse().unwrap();
        carried.begin(alive, peer, None);
        carried.begin(u64::MAX - 1, peer, None);
        carried.sweep();
        assert_eq!(carried.peer(alive), Some((peer, None)));
        assert_eq!(carried.peer(u64::MAX - 1), None);
    }
}
