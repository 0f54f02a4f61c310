//! `bind()` of what may be a socket of IPv6. To an address of a link (fe80::/10) the kernel binds it to the device that the
//! address names, whatever device it was bound to, and leaves it so where it fails thereafter (`__inet6_bind`). So it is done
//! here, on a copy, with an address that nobody can change any more. What is no internet socket is left to the kernel: for that a
//! path is one of the program's own files.

use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::OwnedFd;

use libc::{AF_INET, AF_INET6, EACCES, EADDRNOTAVAIL, SO_DOMAIN, SOL_SOCKET, c_int};
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use super::datagram::LOOPBACK;
use super::link::Session;
use super::memory::{self, Given};
use super::notification::{Answer, Notification};
use super::numbers::in_proc;
use super::sockets::Sockets;
use crate::kernel;

/// `struct sockaddr_in6`.
const V6: c_int = 28;
const PORT: Range<usize> = 2..4;
const SCOPE: Range<usize> = 24..28;
/// socket(7); by number.
const SO_BINDTOIFINDEX: c_int = 62;
/// The right to ports that are not for everybody.
const RIGHT: CapabilitySet = CapabilitySet::NET_BIND_SERVICE;

pub(crate) fn answer(
    session: &Session,
    sockets: &mut Sockets,
    call: &Notification,
    still_waits: impl Fn() -> bool,
) -> Answer {
    let copy = match sockets.take_unbound(call) {
        Ok(Some(copy)) => copy,
        // Nobody can say what it is: another thread may still change the address.
        Ok(None) if leaves_loopback(&read(call).unwrap_or_default()) => return Answer::Fail(EADDRNOTAVAIL),
        Ok(None) => return Answer::Continue,
        // A program that does not let itself be looked at (prctl(2), PR_SET_DUMPABLE). Unix sockets have other lengths.
        Err(Answer::Fail(EACCES)) if call.int(2) != V6 => return Answer::Continue,
        Err(answer) => return answer,
    };
    let answer = done(session, call, &copy, still_waits);
    let answer = answer.unwrap_or_else(|error| Answer::Fail(error.raw_os_error()));
    if matches!(answer, Answer::Fail(_) | Answer::Later) {
        sockets.ended(copy, &answer);
    }
    answer
}

/// Judges in the order in which the kernel does.
fn done(
    session: &Session,
    call: &Notification,
    copy: &OwnedFd,
    still_waits: impl Fn() -> bool,
) -> Result<Answer, Errno> {
    if ![AF_INET, AF_INET6].contains(&kernel::option::<c_int>(copy, SOL_SOCKET, SO_DOMAIN)?) {
        return Ok(Answer::Continue);
    }
    let mut address = read(call)?;
    let is_held = || kernel::option::<c_int>(copy, SOL_SOCKET, SO_BINDTOIFINDEX) == Ok(LOOPBACK as c_int);
    if leaves_loopback(&address) && session.is_here(copy).unwrap_or(true) && is_held() {
        // Loopback has no such address, as a rule: the kernel says so, unless something else is wrong.
        address[SCOPE].copy_from_slice(&LOOPBACK.to_ne_bytes());
    }
    let ours = capabilities(None)?;
    let has_port = address.get(PORT).is_some_and(|port| port != [0, 0]);
    let is_allowed = !has_port || !ours.effective.contains(RIGHT) || is_allowed(call.thread);
    if !still_waits() {
        return Ok(Answer::Later);
    }
    if is_allowed {
        kernel::bind(copy, &address)?;
    } else {
        set_capabilities(None, CapabilitySets { effective: ours.effective - RIGHT, ..ours })?;
        let bound = kernel::bind(copy, &address);
        // What is permitted can be had back.
        let _ = set_capabilities(None, ours);
        bound?;
    }
    Ok(Answer::Done)
}

fn read(call: &Notification) -> Result<Box<[u8]>, Errno> {
    memory::address_bytes(call, call.pointer(1), call.int(2)).map_err(|error| match error {
        Errno::PERM => Errno::ACCESS,
        other => other,
    })
}

/// Whether the kernel would bind a socket to another device than loopback for it.
fn leaves_loopback(address: &[u8]) -> bool {
    match memory::parse(address) {
        // A shorter one has no scope for the kernel.
        Given::Inet(SocketAddr::V6(v6)) if address.len() >= SCOPE.end => {
            v6.ip().is_unicast_link_local() && ![0, LOOPBACK].contains(&v6.scope_id())
        }
        _ => false,
    }
}

/// Whether the program has that right in our network: it may have become another user, or have rights in a namespace of its own alone.
fn is_allowed(thread: Pid) -> bool {
    let place = in_proc(thread);
    let namespace =
        |of: &str| rustix::fs::stat(format!("{of}/ns/user")).map(|stat| (stat.st_dev, stat.st_ino));
    let status = std::fs::read_to_string(place.clone() + "/status").unwrap_or_default();
    let rights = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let rights = rights.and_then(|rights| u64::from_str_radix(rights.trim(), 16).ok()).unwrap_or(0);
    rights & RIGHT.bits() != 0 && namespace(&place).is_ok_and(|theirs| namespace("/proc/self") == Ok(theirs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_links_but_loopbacks_leave_it() {
        let address = |ip: &str, scope: u32| {
            let ip: std::net::Ipv6Addr = ip.parse().unwrap();
            let family = (AF_INET6 as u16).to_ne_bytes();
            [&family[..], &[0; 6], &ip.octets(), &scope.to_ne_bytes()].concat()
        };
        for (ip, scope, leaves) in [
            ("fe80::1", 2, true),
            ("febf::1", 9, true),
            ("fe80::1", LOOPBACK, false),
            ("fe80::1", 0, false),
            ("fec0::1", 2, false),
            ("::1", 2, false),
            ("::ffff:169.254.1.1", 2, false),
        ] {
            assert_eq!(leaves_loopback(&address(ip, scope)), leaves, "{ip}%{scope}");
        }
        assert!(!leaves_loopback(&address("fe80::1", 2)[..27]) && !leaves_loopback(&[]));
    }

    #[test]
    fn we_have_the_rights_that_we_have() {
        let ours = capabilities(None).unwrap().effective.contains(RIGHT);
        assert_eq!(is_allowed(rustix::process::getpid()), ours);
    }
}
