//! `socketpair()` of a sealed program, for datagrams: a pair that keeps their boundaries and can name nobody.
//!
//! Each datagram of a Unix socket may name another socket, behind a pointer, which nobody could judge. What is sent by a
//! `SOCK_SEQPACKET` goes to the other end, whatever it names (unix(7)), and is else carried as a datagram is.

use std::fs;
use std::os::fd::OwnedFd;

use libc::{SOCK_CLOEXEC, SOCK_NONBLOCK};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::Pid;

use super::listener::Listener;
use super::memory;
use super::notification::{Answer, Notification};
use super::numbers::in_proc;

/// The filter has let through pairs of Unix datagram sockets alone.
pub(crate) fn answer(listener: &Listener, call: &Notification) -> Answer {
    match made(listener, call) {
        Ok(true) => Answer::Done,
        Ok(false) => Answer::Later,
        Err(errno) => Answer::Fail(errno.raw_os_error()),
    }
}

/// Whether the program still waits for it.
fn made(listener: &Listener, call: &Notification) -> Result<bool, Errno> {
    // unix(7) has no others.
    if ![0, libc::AF_UNIX].contains(&call.int(2)) {
        return Err(Errno::PROTONOSUPPORT);
    }
    let (kind, numbers) = (call.int(1), call.pointer(3));
    let mut flags = SocketFlags::CLOEXEC;
    if kind & SOCK_NONBLOCK != 0 {
        flags |= SocketFlags::NONBLOCK;
    }
    if kind & !(0xf | SOCK_NONBLOCK | SOCK_CLOEXEC) != 0 {
        return Err(Errno::INVAL);
    }
    let (one, other): (OwnedFd, OwnedFd) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    // First whether there is room: what the program has been given is not to be taken back.
    let has_numbers = has_two_numbers(call.thread);
    if !listener.waits(call.id) {
        return Ok(false);
    }
    if !has_numbers {
        return Err(Errno::MFILE);
    }
    memory::write_pair(call, numbers, [-1, -1])?;
    let close_on_exec = kind & SOCK_CLOEXEC != 0;
    let given = [listener.put(call.id, &one, close_on_exec)?, listener.put(call.id, &other, close_on_exec)?];
    memory::write_pair(call, numbers, given).map(|()| true)
}

/// Whether two numbers below its limit are free; so it is where nobody says. Another thread may still take one: then the second
/// descriptor is refused, and the first stays.
fn has_two_numbers(thread: Pid) -> bool {
    let place = in_proc(thread);
    let limits = fs::read_to_string(place.clone() + "/limits").unwrap_or_default();
    let limit = limits.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        words.by_ref().take(3).eq(["Max", "open", "files"]).then(|| words.next())?
    });
    let Some(limit) = limit.and_then(|limit| limit.parse::<usize>().ok()) else { return true };
    let Ok(numbers) = fs::read_dir(place + "/fd") else { return true };
    let numbers = numbers.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<usize>().ok());
    numbers.filter(|&number| number < limit).count() + 2 <= limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_have_two_numbers() {
        assert!(has_two_numbers(rustix::process::getpid()));
    }
}
