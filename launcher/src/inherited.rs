//! Internet sockets that we were started with. What the program sends on one that is connected passes by the
//! library: it was connected elsewhere, and nobody is asked any more.
//!
//! Most have them for a reason (inetd, socket activation, a shell that is carried itself), so they are kept
//! unless something else was asked for.

use std::fs;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use rustix::io::FdFlags;
use rustix::net::{AddressFamily, SocketType, sockopt};
use underpass_core::config::inherited::Inherited;
use underpass_core::destination::{canonical, is_local};

use crate::exec::inherited_descriptor;
use crate::messages::{Failure, Verbosity, note, reason};

/// Does what was asked for, before anything of ours is opened.
pub(crate) fn judge(wanted: Inherited, verbosity: Verbosity) -> Result<(), Failure> {
    if wanted == Inherited::Keep && verbosity < Verbosity::Verbose {
        return Ok(());
    }
    let sockets = match sockets() {
        Ok(sockets) => sockets,
        Err(_) if wanted == Inherited::Keep => return Ok(()),
        Err(error) => return Err(Failure::setup(format_args!("/proc/self/fd: {}", reason(&error)))),
    };
    for (number, what) in sockets {
        let about = format!("descriptor {number} is {what}, inherited");
        match wanted {
            Inherited::Keep => note(format_args!("{about}: what uses it as it is is not carried")),
            Inherited::Refuse => {
                return Err(Failure::setup(about).hint("--inherited keep lets the program have it"));
            }
            Inherited::Close if number <= 2 => {
                return Err(Failure::setup(format_args!("{about}: a standard descriptor is not closed"))
                    .hint("--inherited keep lets the program have it"));
            }
            Inherited::Close => {
                // The program begins without it.
                let closed = inherited_descriptor(number)
                    .map(|socket| rustix::io::fcntl_setfd(socket, FdFlags::CLOEXEC));
                if let Some(Err(error)) = closed {
                    return Err(Failure::setup(format_args!("{about}: {}", reason(&error.into()))));
                }
                if verbosity >= Verbosity::Verbose {
                    note(format_args!("{about}: closed"));
                }
            }
        }
    }
    Ok(())
}

/// Of a program that is sealed: no socket of the system goes in. Those that other processes have made are closed, whatever
/// they are, but for standard descriptors: a Unix socket is as good as a pipe there, and with any other it is not started.
pub(crate) fn seal(wanted: Inherited, verbosity: Verbosity) -> Result<(), Failure> {
    let unreadable =
        |error: &std::io::Error| Failure::setup(format_args!("/proc/self/fd: {}", reason(error)));
    for number in numbers().map_err(|error| unreadable(&error))? {
        let Some(socket) = inherited_descriptor(number) else { continue };
        let Ok(family) = sockopt::socket_domain(socket) else { continue };
        if number <= 2 && family == AddressFamily::UNIX {
            continue;
        }
        let what = described(socket).unwrap_or_else(|| "a socket".to_owned());
        let about = format!("descriptor {number} is {what}, inherited");
        if number <= 2 || (wanted == Inherited::Refuse && family != AddressFamily::UNIX) {
            return Err(Failure::setup(format_args!("{about}: tier sealed hands none in"))
                .hint("give the program a pipe in its place, or take --tier guard"));
        }
        rustix::io::fcntl_setfd(socket, FdFlags::CLOEXEC)
            .map_err(|error| Failure::setup(format_args!("{about}: {}", reason(&error.into()))))?;
        if verbosity >= Verbosity::Verbose {
            note(format_args!("{about}: closed"));
        }
    }
    Ok(())
}

/// The descriptors by which something can leave, in order, and what each is.
fn sockets() -> std::io::Result<Vec<(i32, String)>> {
    let described = |number| Some((number, described(inherited_descriptor(number)?)?));
    Ok(numbers()?.into_iter().filter_map(described).collect())
}

/// The descriptors that are open, in order.
fn numbers() -> std::io::Result<Vec<i32>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// What the descriptor is; nothing if it is no internet socket, listens, or is connected within this machine, as those
/// are that the agent has connected.
fn described(fd: BorrowedFd<'_>) -> Option<String> {
    let family = sockopt::socket_domain(fd).ok()?;
    if family == AddressFamily::PACKET {
        return Some("a packet socket".to_owned());
    }
    if ![AddressFamily::INET, AddressFamily::INET6].contains(&family)
        || sockopt::socket_acceptconn(fd) == Ok(true)
    {
        return None;
    }
    let what = match sockopt::socket_type(fd).ok()? {
        SocketType::STREAM => "a TCP socket",
        SocketType::DGRAM => "a datagram socket",
        _ => "a raw socket",
    };
    let peer = rustix::net::getpeername(fd).ok().flatten();
    match peer.and_then(|peer| SocketAddr::try_from(peer).ok()).map(canonical) {
        Some(peer) if is_local(peer.ip()) => None,
        Some(peer) => Some(format!("{what} connected to {peer}")),
        None => Some(what.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_can_leave_is_told_from_what_cannot() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (unix, _other) = UnixStream::pair().unwrap();
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(described(listener.as_fd()), None);
        assert_eq!(described(connected.as_fd()), None);
        assert_eq!(described(unix.as_fd()), None);
        assert_eq!(described(datagrams.as_fd()).as_deref(), Some("a datagram socket"));
    }
}
