//! The process that is in the namespace. It makes sockets for who holds the other end of its descriptor 0, and ends with
//! that.
//!
//! It is a copy of this process, which may have threads: it allocates nothing and takes no lock, and all its calls are
//! raw ones. It has the supervisor's signals: all are blocked.

use std::ffi::CStr;
use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libc::c_int;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType,
};
use rustix::process::{DumpableBehavior, Pid, WaitId, WaitIdOptions};

use super::system::{self, Copy};
use crate::kernel;

/// What a namespace is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// Sockets, of programs that are elsewhere.
    Sockets,
    /// Programs that enter. The helper waits until its users are mapped.
    Programs,
}

/// In place of a socket's domain: the process of this number, in a user namespace below, gets the users that are here.
pub(super) const MAP: c_int = -1;

/// Starts it, with its end of a pair of sockets.
pub(super) fn start(namespaces: c_int, control: &OwnedFd, wanted: For) -> io::Result<Pid> {
    #[allow(unsafe_code, reason = "the promise is kept in this file")]
    // SAFETY: `serve` and what it calls allocate nothing, and take no lock.
    match unsafe { system::copy(namespaces) }? {
        Copy::Made(pid) => Ok(pid),
        Copy::This => {
            let _ = serve(control.as_fd(), wanted);
            kernel::leave(0)
        }
    }
}

/// Forgets it, once it has ended.
pub(super) fn reap(process: &OwnedFd) {
    /// linux/wait.h: a child of which nobody is told.
    const WCLONE: u32 = 0x8000_0000;
    let options = WaitIdOptions::EXITED | WaitIdOptions::from_bits_retain(WCLONE);
    let _ = rustix::process::waitid(WaitId::PidFd(process.as_fd()), options);
}

fn serve(control: BorrowedFd<'_>, wanted: For) -> Result<(), Errno> {
    // Nothing of the parent's is kept open, least of all what the program's calls wait for.
    if control.as_raw_fd() != 0 {
        rustix::stdio::dup2_stdin(control)?;
    }
    let control = rustix::stdio::stdin();
    if !system::close_from(1) {
        return Err(Errno::NOSYS);
    }
    if wanted == For::Programs {
        rustix::net::recv(control, &mut [0; 1], RecvFlags::empty())?;
        // A program that is root is so in a user namespace below, which has no say here.
        set(c"/proc/sys/net/ipv4/ip_unprivileged_port_start", b"0");
    }
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let _ = rustix::process::chdir(c"/");
    // A program may bind the addresses that this machine has outside.
    for file in [c"/proc/sys/net/ipv4/ip_nonlocal_bind", c"/proc/sys/net/ipv6/ip_nonlocal_bind"] {
        set(file, b"1");
    }
    loop {
        let mut wanted = [0; 12];
        match rustix::net::recv(control, &mut wanted, RecvFlags::empty()) {
            Ok((12, _)) => answer(control, done(&wanted))?,
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn set(file: &CStr, value: &[u8]) {
    if let Ok(file) = rustix::fs::open(file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
        let _ = rustix::io::write(&file, value);
    }
}

/// What was asked for; a socket, if it was that.
fn done(wanted: &[u8; 12]) -> Result<Option<OwnedFd>, Errno> {
    let number = |at: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&wanted[at..at + 4]);
        u32::from_ne_bytes(bytes)
    };
    if number(0) == MAP as u32 {
        return map(number(4)).map(|()| None);
    }
    let (domain, kind) = (AddressFamily::from_raw(number(0) as u16), SocketType::from_raw(number(4)));
    let protocol = NonZeroU32::new(number(8)).map(Protocol::from_raw);
    rustix::net::socket_with(domain, kind, SocketFlags::CLOEXEC, protocol).map(Some)
}

/// Each number is the same in there as here.
fn map(process: u32) -> Result<(), Errno> {
    for (ours, theirs) in [(c"/proc/self/gid_map", "gid_map"), (c"/proc/self/uid_map", "uid_map")] {
        let mut ids = [0; 4096];
        let ours = rustix::fs::open(ours, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let length = rustix::io::read(&ours, &mut ids)?;
        let mut path = [0; 40];
        let mut room = &mut path[..];
        write!(room, "/proc/{process}/{theirs}\0").map_err(|_| Errno::NAMETOOLONG)?;
        let path = CStr::from_bytes_until_nul(&path).map_err(|_| Errno::INVAL)?;
        let theirs = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(&theirs, &ids[..length])?;
    }
    Ok(())
}

fn answer(control: BorrowedFd<'_>, made: Result<Option<OwnedFd>, Errno>) -> Result<(), Errno> {
    let errno = made.as_ref().err().map_or(0, |error| error.raw_os_error()).to_ne_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let passed = made.as_ref().ok().and_then(|made| made.as_ref()).map(AsFd::as_fd);
    if !passed.as_slice().is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(passed.as_slice()));
    }
    let parts = [IoSlice::new(&errno)];
    rustix::net::sendmsg(control, &parts, &mut ancillary, SendFlags::NOSIGNAL).map(drop)
}
