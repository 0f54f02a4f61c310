//! The process that is in the namespace. It makes sockets for who holds the other end of its descriptor 0, and ends with
//! that.
//!
//! It is a copy of this process, which may have threads: it allocates nothing and takes no lock, and all its calls are
//! raw ones. It has the supervisor's signals: all are blocked.

use std::io::{self, IoSlice};
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
use crate::guard::kernel;

/// Starts it, with its end of a pair of sockets.
pub(super) fn start(namespaces: c_int, control: &OwnedFd) -> io::Result<Pid> {
    #[allow(unsafe_code, reason = "the promise is kept in this file")]
    // SAFETY: `serve` and what it calls allocate nothing, and take no lock.
    match unsafe { system::copy(namespaces) }? {
        Copy::Made(pid) => Ok(pid),
        Copy::This => {
            let _ = serve(control.as_fd());
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

fn serve(control: BorrowedFd<'_>) -> Result<(), Errno> {
    // Nothing of the parent's is kept open, least of all what the program's calls wait for.
    if control.as_raw_fd() != 0 {
        rustix::stdio::dup2_stdin(control)?;
    }
    let control = rustix::stdio::stdin();
    if !system::close_from(1) {
        return Err(Errno::NOSYS);
    }
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let _ = rustix::process::chdir(c"/");
    // A program may bind the addresses that this machine has outside.
    for file in [c"/proc/sys/net/ipv4/ip_nonlocal_bind", c"/proc/sys/net/ipv6/ip_nonlocal_bind"] {
        if let Ok(file) = rustix::fs::open(file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
            let _ = rustix::io::write(&file, b"1");
        }
    }
    loop {
        let mut wanted = [0; 12];
        match rustix::net::recv(control, &mut wanted, RecvFlags::empty()) {
            Ok((12, _)) => answer(control, made(&wanted))?,
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn made(wanted: &[u8; 12]) -> Result<OwnedFd, Errno> {
    let number = |at: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&wanted[at..at + 4]);
        u32::from_ne_bytes(bytes)
    };
    let (domain, kind) = (AddressFamily::from_raw(number(0) as u16), SocketType::from_raw(number(4)));
    let protocol = NonZeroU32::new(number(8)).map(Protocol::from_raw);
    rustix::net::socket_with(domain, kind, SocketFlags::CLOEXEC, protocol)
}

fn answer(control: BorrowedFd<'_>, made: Result<OwnedFd, Errno>) -> Result<(), Errno> {
    let errno = made.as_ref().err().map_or(0, |error| error.raw_os_error()).to_ne_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let passed = made.as_ref().ok().map(AsFd::as_fd);
    if !passed.as_slice().is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(passed.as_slice()));
    }
    let parts = [IoSlice::new(&errno)];
    rustix::net::sendmsg(control, &parts, &mut ancillary, SendFlags::NOSIGNAL).map(drop)
}
