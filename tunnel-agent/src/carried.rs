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
const LEAST_SWEEP: usize = 4096;

/// A socket address in 22 bytes; there is one or two per connection.
#[derive(Clone, Copy)]
struct Compact {
    ip: [u8; 16],
    /// [`V4`] for an address of IPv4.
    scope: [u8; 4],
    port: u16,
}

/// No interface has this number: the kernel's are positive as `int`.
const V4: [u8; 4] = [0xff; 4];

/// Who has a socket that was handed off, and what had passed on it before: what the kernel counts is more
/// than what is the program's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HandedOff {
    /// 0 if it is of another PID namespace.
    pub(crate) pid: i32,
    /// In seconds of the agent's life.
    pub(crate) at: u32,
    /// See [`crate::course`].
    pub(crate) course: u16,
    /// Bytes of the handshake, and what the kernel counts with them.
    pub(crate) sent: u32,
    pub(crate) received: u32,
}

/// In place of a process.
const RELAYED: i32 = -1;
/// A relayed socket of another network, whose sockets we do not see.
const ELSEWHERE: i32 = -2;
/// A predecessor has handed it off, and knew more of it.
const BEFORE: i32 = -3;

/// A carried socket in 40 bytes: an idle one that was handed off costs the agent nothing else.
#[derive(Clone, Copy)]
struct Peer {
    address: Compact,
    course: u16,
    /// [`RELAYED`], or who has it.
    pid: i32,
    at: u32,
    sent: u32,
    received: u32,
}

impl From<SocketAddr> for Compact {
    fn from(address: SocketAddr) -> Self {
        let (ip, scope) = match address {
            SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), V4),
            SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id().to_ne_bytes()),
        };
        Self { ip: ip.octets(), scope, port: address.port() }
    }
}

impl From<Compact> for SocketAddr {
    fn from(compact: Compact) -> Self {
        let ip = Ipv6Addr::from(compact.ip);
        if compact.scope == V4 {
            Self::new(IpAddr::V6(ip).to_canonical(), compact.port)
        } else {
            SocketAddrV6::new(ip, compact.port, 0, u32::from_ne_bytes(compact.scope)).into()
        }
    }
}

#[derive(Default)]
struct Tables {
    peers: HashMap<u64, Peer>,
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
    /// A socket that is handed off leads to `peer`.
    pub(crate) fn hand_off(&self, cookie: u64, peer: SocketAddr, to: HandedOff) {
        let HandedOff { pid, at, course, sent, received } = to;
        let peer = Peer { address: peer.into(), course, pid, at, sent, received };
        self.0.lock().peers.insert(cookie, peer);
    }

    /// A predecessor has handed off a socket that leads to `peer`.
    pub(crate) fn inherit(&self, cookie: u64, peer: SocketAddr) {
        let peer = Peer { address: peer.into(), course: 0, pid: BEFORE, at: 0, sent: 0, received: 0 };
        self.0.lock().peers.insert(cookie, peer);
    }

    /// Where sockets lead to that were handed off, for a successor: they live on without us.
    pub(crate) fn independent(&self) -> Vec<(u64, SocketAddr)> {
        let tables = self.0.lock();
        let handed_off = tables.peers.iter().filter(|(_, peer)| peer.pid != RELAYED && peer.pid != ELSEWHERE);
        handed_off.map(|(&cookie, peer)| (cookie, peer.address.into())).collect()
    }

    /// A relayed socket is carried to `peer`, and leaves the machine from `local`. One of another network is known until it
    /// is [forgotten](Self::forget).
    pub(crate) fn begin(&self, cookie: u64, peer: SocketAddr, local: Option<SocketAddr>, elsewhere: bool) {
        let mut tables = self.0.lock();
        let pid = if elsewhere { ELSEWHERE } else { RELAYED };
        let peer = Peer { address: peer.into(), course: 0, pid, at: 0, sent: 0, received: 0 };
        tables.peers.insert(cookie, peer);
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
        Some((peer.address.into(), tables.locals.get(&cookie).map(|&local| local.into())))
    }

    /// Destination and owner of a socket, if it was handed off.
    pub(crate) fn handed_off(&self, cookie: u64) -> Option<(SocketAddr, HandedOff)> {
        let peer = *self.0.lock().peers.get(&cookie)?;
        let Peer { address, course, pid, at, sent, received } = peer;
        (![RELAYED, ELSEWHERE, BEFORE].contains(&pid))
            .then(|| (address.into(), HandedOff { pid, at, course, sent, received }))
    }

    /// Whether the socket has failed, and nobody has asked yet.
    pub(crate) fn has_failed(&self, cookie: u64) -> bool {
        self.0.lock().failures.contains_key(&cookie)
    }

    /// The sockets whose failures nobody has asked about yet.
    pub(crate) fn failed_cookies(&self) -> Vec<u64> {
        self.0.lock().failures.keys().copied().collect()
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
        let here = |peer: &Peer| peer.pid != ELSEWHERE;
        let mut before: Vec<u64> =
            self.0.lock().peers.iter().filter(|(_, peer)| here(peer)).map(|(&cookie, _)| cookie).collect();
        before.sort_unstable();
        // Not a set of all that are alive: the machine may have many more than are ours.
        let mut alive = vec![false; before.len()];
        let read = sock_diag::tcp_cookies(|cookie| {
            if let Ok(at) = before.binary_search(&cookie) {
                alive[at] = true;
            }
        });
        let mut tables = self.0.lock();
        if read.is_ok() {
            for (cookie, _) in before.into_iter().zip(alive).filter(|(_, alive)| !alive) {
                tables.forget(cookie);
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
        assert_eq!((size_of::<Compact>(), size_of::<Peer>()), (22, 40));
    }

    #[test]
    fn what_was_handed_off_is_known_as_such() {
        let carried = Carried::default();
        let peer = "198.18.0.1:443".parse().unwrap();
        let to = HandedOff { pid: 7, at: 1, course: 2, sent: 3, received: 4 };
        carried.hand_off(1, peer, to);
        carried.begin(2, peer, None, false);
        assert_eq!(carried.handed_off(1), Some((peer, to)));
        assert_eq!((carried.handed_off(2), carried.handed_off(3)), (None, None));
        assert_eq!(carried.peer(1), Some((peer, None)));
        let next = Carried::default();
        for (cookie, peer) in carried.independent() {
            next.inherit(cookie, peer);
        }
        assert_eq!((next.peer(1), next.peer(2)), (Some((peer, None)), None));
        assert_eq!((next.handed_off(1), next.independent()), (None, vec![(1, peer)]));
    }

    #[test]
    fn a_failure_is_told_once_and_their_number_is_bounded() {
        let carried = Carried::default();
        carried.begin(1, "10.0.0.1:1".parse().unwrap(), None, false);
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
        carried.begin(alive, peer, None, false);
        carried.begin(u64::MAX - 1, peer, None, false);
        carried.begin(u64::MAX - 2, peer, None, true);
        carried.sweep();
        assert_eq!(carried.peer(u64::MAX - 2), Some((peer, None)), "nobody here can see it");
        assert_eq!(carried.handed_off(u64::MAX - 2), None);
        assert_eq!(carried.peer(alive), Some((peer, None)));
        assert_eq!(carried.peer(u64::MAX - 1), None);
    }
}
