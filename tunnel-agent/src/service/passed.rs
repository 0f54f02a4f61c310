//! Sockets that somebody else has opened for us: a service manager (sd_listen_fds(3)), by names that it gives them.

use std::env;
use std::io;
use std::os::fd::OwnedFd;

use listenfd::ListenFd;
use rustix::net::SocketType;
use underpass_core::config::listen::Place;

use crate::socket::local_address;

/// What listens already, and nobody has taken yet.
#[derive(Debug, Default)]
pub(crate) struct Passed(Vec<Named>);

/// One of them.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) socket: OwnedFd,
}

impl Named {
    /// Where it listens; `None` for what has no address that could be written down.
    pub(crate) fn place(&self) -> Option<Place> {
        if let Ok(address) = local_address(&self.socket) {
            return Some(Place::Address(address));
        }
        let name = rustix::net::getsockname(&self.socket).ok()?;
        let unix = rustix::net::SocketAddrUnix::try_from(name).ok()?;
        let path = unix.path()?.to_str().ok()?.to_owned();
        Some(Place::Path(path.into()))
    }
}

impl Passed {
    /// The sockets of `LISTEN_FDS`, if they are meant for this process, with their names of `LISTEN_FDNAMES`. Streams
    /// of TCP and of Unix sockets, and datagrams of UDP; an error for any other.
    pub(crate) fn from_env() -> io::Result<Self> {
        let mut passed = ListenFd::from_env();
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').map(str::to_owned);
        let mut sockets = Vec::new();
        for number in 0..passed.len() {
            let name = names.next().unwrap_or_default();
            let tcp = passed.take_tcp_listener(number).map(|taken| taken.map(OwnedFd::from));
            let mut unix = || passed.take_unix_listener(number).map(|taken| taken.map(OwnedFd::from));
            let taken = tcp.or_else(|_| unix());
            let taken =
                taken.or_else(|_| passed.take_udp_socket(number).map(|taken| taken.map(OwnedFd::from)));
            let taken = taken.map_err(|error| {
                io::Error::other(format!("the socket {name:?} that was passed is of no use: {error}"))
            })?;
            if let Some(socket) = taken {
                rustix::io::ioctl_fionbio(&socket, true)?;
                sockets.push(Named { name, socket });
            }
        }
        Ok(Self(sockets))
    }

    pub(crate) fn add(&mut self, named: Named) {
        self.0.push(named);
    }

    /// The first of this name.
    pub(crate) fn named(&mut self, name: &str) -> Option<OwnedFd> {
        let found = self.0.iter().position(|one| one.name == name)?;
        Some(self.0.remove(found).socket)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One that listens there already, for connections or for datagrams.
    pub(crate) fn at(&mut self, wanted: &Place, connections: bool) -> Option<Named> {
        let is_it = |one: &Named| {
            let kind = rustix::net::sockopt::socket_type(&one.socket);
            let fits = kind.is_ok_and(|kind| (kind == SocketType::STREAM) == connections);
            fits && one.place().is_some_and(|place| is_same(&place, wanted))
        };
        let found = self.0.iter().position(is_it)?;
        Some(self.0.remove(found))
    }

    /// All that nobody has taken.
    pub(crate) fn rest(&mut self) -> Vec<Named> {
        std::mem::take(&mut self.0)
    }
}

/// Where nothing said which port, no port is the same.
fn is_same(place: &Place, wanted: &Place) -> bool {
    let port = |place: &Place| if let Place::Address(address) = place { address.port() } else { 1 };
    place == wanted && port(wanted) != 0
}
