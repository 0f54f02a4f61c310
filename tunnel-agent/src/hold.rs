//! Hold and complete: the program's own TCP socket waits in `SYN_SENT` on loopback until the far
//! end has accepted, and is then completed by TCP simultaneous open (RFC 9293 section 3.5).
//!
//! A hold listener never answers a SYN: its accept queue is full, and its minimum TTL drops what
//! comes with less than 255. Both are needed. With a full queue alone every dropped SYN counts as an
//! overflow on the host; with the minimum alone a program whose TTL is 255 would be accepted.
//!
//! Sockets that are bound to the loopback device have listeners apart: the kernel gives an unbound socket both
//! addresses of a bound one that is in use (`__inet_check_established` compares the devices), and what one of the two is
//! completed with would reach the other.

mod listener;

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::net::SendFlags;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use underpass_core::destination::canonical;

use crate::ends::cut_on_close;
use crate::facts::Facts;
use crate::service::passed::Passed;
use crate::service::successor::Sockets;
use crate::socket::{connect_without_waiting, local_address, network_of, remote_address};
use crate::{loopback, sys};
use listener::{Listener, TTL, bind};

/// Completion takes microseconds; a socket that takes longer will never be completed.
const COMPLETION: Duration = Duration::from_secs(5);
/// Nor is a test waited for any longer than a launch waits for us, by far.
const TEST: Duration = Duration::from_secs(2);
/// Their names for a successor.
const HOLD: &str = "hold";
const FILLER: &str = "filler";
const HOLD_CONFINED: &str = "hold-confined";
const FILLER_CONFINED: &str = "filler-confined";

/// The hold listeners of one agent.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    free: Listeners,
    /// For sockets that are bound to the loopback device.
    confined: Listeners,
    /// A successor's ports that we do not have.
    successors: Mutex<HashSet<u16>>,
}

#[derive(Debug, Default)]
struct Listeners {
    /// The newest is used first, then older ones, which stay for the sockets that they hold. One port serves about
    /// 28,000 connections, the host's ephemeral ports, and one of each port that programs are bound to.
    v4: Mutex<Vec<Listener>>,
    v6: Mutex<Vec<Listener>>,
}

async fn established(ours: &Socket) -> io::Result<()> {
    if sys::tcp_state(ours)? != sys::ESTABLISHED {
        let watched = sys::watch(ours.as_fd(), Interest::WRITABLE)?;
        let _ready = watched.writable().await?;
    }
    match ours.take_error()? {
        None => Ok(()),
        Some(error) => Err(error),
    }
}

/// A program's socket in `SYN_SENT`, to be completed or failed.
#[derive(Debug)]
pub(crate) struct Held {
    copy: OwnedFd,
    /// Where it is held.
    at: SocketAddr,
    /// The program's end.
    end: SocketAddr,
    /// What completes it, of a socket that is of another network.
    completing: Option<Socket>,
}

impl Holds {
    /// Those of a predecessor: what programs have put into `SYN_SENT` there is completed from there.
    pub(crate) fn inherited(own: &mut Passed) -> io::Result<Self> {
        let holds = Self::default();
        holds.inherit(own)?;
        Ok(holds)
    }

    /// Those that a predecessor has made since.
    pub(crate) fn inherit(&self, own: &mut Passed) -> io::Result<()> {
        for (listeners, hold, filler) in self.named() {
            while let (Some(listening), Some(filler)) = (own.named(hold), own.named(filler)) {
                let listener = Listener::inherited(listening, filler)?;
                let list = if listener.address.is_ipv4() { &listeners.v4 } else { &listeners.v6 };
                list.lock().push(listener);
            }
        }
        Ok(())
    }

    /// For a successor.
    pub(crate) fn sockets(&self) -> io::Result<Sockets> {
        self.given(|_| true)
    }

    /// What has been made since [`Self::sockets`].
    pub(crate) fn later_sockets(&self) -> io::Result<Sockets> {
        self.given(|listener| !listener.is_given)
    }

    fn given(&self, which: impl Fn(&Listener) -> bool) -> io::Result<Sockets> {
        let mut sockets = Sockets::new();
        for (listeners, hold, filler) in self.named() {
            for list in [&listeners.v4, &listeners.v6] {
                for listener in list.lock().iter_mut().filter(|listener| which(listener)) {
                    sockets.push((hold.to_owned(), listener.listening.try_clone()?.into()));
                    sockets.push((filler.to_owned(), listener.filler.try_clone()?.into()));
                    listener.is_given = true;
                }
            }
        }
        Ok(sockets)
    }

    fn named(&self) -> [(&Listeners, &'static str, &'static str); 2] {
        [(&self.free, HOLD, FILLER), (&self.confined, HOLD_CONFINED, FILLER_CONFINED)]
    }

    /// Puts the socket into `SYN_SENT`, without touching a flag of the program's.
    pub(crate) fn hold(&self, copy: OwnedFd, facts: &Facts) -> io::Result<Held> {
        let listeners = if facts.confined { &self.confined } else { &self.free };
        let (list, ip) = if facts.needs_ipv6_hold() {
            (&listeners.v6, IpAddr::V6(Ipv6Addr::LOCALHOST))
        } else {
            (&listeners.v4, IpAddr::V4(Ipv4Addr::LOCALHOST))
        };
        let mut list = list.lock();
        let is_taken =
            |started: &Result<(), Errno>| *started == Err(Errno::ADDRNOTAVAIL) && facts.bound.is_none();
        // A port that the program has chosen can be held once at each; at an older one it may be free again.
        let mut known = list.iter().rev().map(|known| (known.address, start(&copy, &known.address, facts)));
        let (at, started) = match known.find(|(_, started)| !is_taken(started)) {
            Some(found) => found,
            None => {
                let new = Listener::new(ip)?;
                let at = new.address;
                list.push(new);
                (at, start(&copy, &at, facts))
            }
        };
        drop(list);
        started?;
        held(copy, at, || ())
    }

    /// Holds a socket of another network, at the address of one of that network, which completes it.
    pub(crate) fn hold_with(copy: OwnedFd, completing: OwnedFd, facts: &Facts) -> io::Result<Held> {
        let completing = Socket::from(completing);
        let at = completing.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        if !at.ip().is_loopback() {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        completing.set_nonblocking(true)?;
        start(&copy, &at, facts)?;
        Ok(Held { completing: Some(completing), ..held(copy, at, || ())? })
    }

    /// Whether the library may have held a socket at this port: it holds none that is bound to a device.
    pub(crate) fn is_ours(&self, port: u16) -> bool {
        self.free.v4.lock().iter().any(|l| l.address.port() == port) || self.successors.lock().contains(&port)
    }

    /// A successor says that this port is one of its own.
    pub(crate) fn is_successors(&self, port: u16) {
        self.successors.lock().insert(port);
    }

    /// Takes over a socket that the library has put into `SYN_SENT` at one of our ports. If that cannot be, it fails: `note`
    /// runs first.
    pub(crate) fn adopt(copy: OwnedFd, port: u16, note: impl FnOnce()) -> io::Result<Held> {
        held(copy, (Ipv4Addr::LOCALHOST, port).into(), note)
    }

    /// The port on 127.0.0.1 at which the library may hold sockets, or 0.
    pub(crate) fn port(&self) -> u16 {
        self.free.v4.lock().last().map_or(0, |l| l.address.port())
    }

    /// Holds and completes a socket of our own, once at start: a kernel or sandbox may not do it.
    pub(crate) async fn self_test(&self) -> io::Result<()> {
        let program = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        let copy = OwnedFd::from(program.try_clone()?);
        let facts = Facts::read(&copy, network_of(&copy))
            .map_err(|_| io::Error::other("a TCP socket is not known as one"))?;
        let mut held = self.hold(copy, &facts)?;
        if sys::tcp_state(&program)? != sys::SYN_SENT {
            return Err(io::Error::other("a held socket is connected before completion"));
        }
        let ours = held.open(false)?;
        let completed = tokio::time::timeout(TEST, held.complete(ours)).await;
        let _ours = completed.map_err(io::Error::from)?.map_err(|(_, _, error)| error)?;
        match sys::tcp_state(&program)? {
            sys::ESTABLISHED => Ok(()),
            _ => Err(io::Error::other("a completed socket is not connected")),
        }
    }
}

/// A socket that is in `SYN_SENT`, or none: a listener that answers is not ours. `note` runs before a socket fails that the
/// program waits for.
fn held(copy: OwnedFd, at: SocketAddr, note: impl FnOnce()) -> io::Result<Held> {
    let found = || Ok::<_, io::Error>((sys::tcp_state(&copy)?, canonical(local_address(&copy)?)));
    let error = match found() {
        Ok((sys::SYN_SENT, end)) => return Ok(Held { copy, at, end, completing: None }),
        Ok((sys::CLOSE, _)) => return Err(io::Error::other("the program has dissolved it")),
        Ok(_) => io::Error::other("the hold listener answered"),
        Err(error) => error,
    };
    note();
    sys::dissolve(&copy);
    Err(error)
}

/// A connect that does not block, whatever the program's flags are: `MSG_DONTWAIT` is for this call
/// alone. Where TCP Fast Open is switched off, the flag is set for the length of one call.
fn start(copy: &OwnedFd, at: &SocketAddr, facts: &Facts) -> Result<(), Errno> {
    let target = match (at, facts.ipv6) {
        (SocketAddr::V4(v4), true) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        _ => *at,
    };
    let fast_open = SendFlags::from_bits_retain(libc::MSG_FASTOPEN as u32);
    let flags = fast_open | SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    match rustix::net::sendto(copy, &[], flags, &target) {
        Err(Errno::INPROGRESS) => Ok(()),
        Err(Errno::OPNOTSUPP) => match connect_without_waiting(copy, &target) {
            Err(Errno::INPROGRESS) => Ok(()),
            other => other,
        },
        Err(errno) => Err(errno),
        Ok(_) => Ok(()),
    }
}

impl Held {
    /// A copy of the program's socket.
    pub(crate) fn copy(&self) -> &OwnedFd {
        &self.copy
    }

    /// Makes the agent's end and sends its SYN, which on loopback is as good as done when it returns.
    /// `chosen` says that the program has chosen its congestion control.
    pub(crate) fn open(&mut self, chosen: bool) -> io::Result<Socket> {
        let domain = Domain::for_address(self.at);
        let ours = match self.completing.take() {
            Some(completing) => completing,
            None => bind(Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?, self.at)?,
        };
        // Else it would come by the card that has this address (`ip_route_output_key`), where the kernel looks for no socket
        // that is bound to another.
        let confined = || sys::bound_device(&self.copy) == Some(sys::Device::Loopback);
        if self.end.is_ipv4() && !self.end.ip().is_loopback() && confined() {
            ours.bind_device(Some(b"lo"))?;
        }
        // The program may be connected before anything else here is known to have worked.
        cut_on_close(&ours)?;
        ours.set_tcp_nodelay(true)?;
        // A program may ask for a TTL of 255 too (IP_MINTTL).
        match self.at {
            SocketAddr::V4(_) => ours.set_ttl_v4(TTL as u32)?,
            SocketAddr::V6(_) => ours.set_unicast_hops_v6(TTL as u32)?,
        }
        loopback::to_program(&ours, &self.copy, chosen);
        match ours.connect(&self.end.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            _ => Ok(ours),
        }
    }

    /// Waits for what [`Self::open`] began, and lets go of the copy: from here on the program's
    /// socket is connected with the one returned. On an error it may be as well: see [`Self::undo`].
    pub(crate) async fn complete(self, ours: Socket) -> Result<OwnedFd, (Self, Socket, io::Error)> {
        match tokio::time::timeout(COMPLETION, established(&ours)).await {
            Ok(Ok(())) => {
                // Only now: the copy keeps the program's port from being given to another socket.
                drop(self.copy);
                Ok(ours.into())
            }
            Ok(Err(error)) => Err((self, ours, error)),
            Err(_) => Err((self, ours, io::ErrorKind::TimedOut.into())),
        }
    }

    /// Whether the socket still waits here. The program may have dissolved it meanwhile, and connected
    /// it to somewhere else.
    pub(crate) fn is_waiting(&self) -> bool {
        let here =
            || Ok::<_, io::Error>((sys::tcp_state(&self.copy)?, canonical(local_address(&self.copy)?)));
        here().is_ok_and(|found| found == (sys::SYN_SENT, self.end))
    }

    /// Whether the program's socket is connected with our end, though that is not known to have worked.
    fn is_completed(&self) -> bool {
        let here = || {
            let found = (sys::tcp_state(&self.copy)?, canonical(local_address(&self.copy)?));
            Ok::<_, io::Error>((found, canonical(remote_address(&self.copy)?)))
        };
        here().is_ok_and(|found| found == ((sys::ESTABLISHED, self.end), self.at))
    }

    /// Ends an attempt whose completion has failed, wherever that was. As [`Self::fail`].
    pub(crate) fn undo(self, note: impl FnOnce()) {
        if self.is_waiting() || self.is_completed() {
            note();
            sys::dissolve(&self.copy);
        }
    }

    /// Ends the attempt. `note` runs first: whoever sees the socket fail asks for the errno at once.
    pub(crate) fn fail(self, note: impl FnOnce()) {
        if self.is_waiting() {
            note();
            sys::dissolve(&self.copy);
        }
    }
}
