//! The few calls that rustix has no safe form of, or that would need more of it.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use libc::{c_int, c_ulong, socklen_t};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid, getgroups};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::here::User;

fn checked(returned: c_int) -> io::Result<()> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Enters a namespace of this kind (setns(2)). The caller has one thread.
pub(super) fn enter(namespace: &impl AsFd, kind: c_int) -> io::Result<()> {
    // SAFETY: scalars only.
    checked(unsafe { libc::setns(namespace.as_fd().as_raw_fd(), kind) })
}

/// Leaves namespaces of these kinds for new ones (unshare(2)). The caller has one thread.
pub(super) fn leave(kinds: c_int) -> io::Result<()> {
    // SAFETY: scalars only.
    checked(unsafe { libc::unshare(kinds) })
}

/// mount(2).
pub(super) fn mount(
    source: &CStr,
    target: &CStr,
    kind: Option<&CStr>,
    flags: c_ulong,
    options: Option<&CStr>,
) -> io::Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(ptr::null(), CStr::as_ptr);
    // SAFETY: strings, or null where the call takes that.
    checked(unsafe {
        libc::mount(source.as_ptr(), target.as_ptr(), pointer(kind), flags, pointer(options).cast())
    })
}

/// connect(2) with an address as it was given.
pub(super) fn connect(socket: &impl AsFd, address: &[u8]) -> Result<(), Errno> {
    // SAFETY: the address has that length.
    let returned = unsafe {
        libc::connect(socket.as_fd().as_raw_fd(), address.as_ptr().cast(), address.len() as socklen_t)
    };
    let error = io::Error::last_os_error();
    if returned == 0 { Ok(()) } else { Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)) }
}

/// The capabilities that programs may get (capabilities(7), the bounding set), as bits.
pub(super) fn capabilities() -> u64 {
    // SAFETY: scalars only.
    let has = |number: u32| unsafe { libc::prctl(libc::PR_CAPBSET_READ, c_ulong::from(number), 0, 0, 0) };
    (0..u64::BITS)
        .take_while(|&number| has(number) >= 0)
        .filter(|&number| has(number) == 1)
        .fold(0, |bits, number| bits | 1 << number)
}

/// Lets programs get no others.
pub(super) fn keep_capabilities(kept: u64) -> io::Result<()> {
    let others = capabilities() & !kept;
    (0..u64::BITS).filter(|number| others & (1 << number) != 0).try_for_each(|number| {
        // SAFETY: scalars only.
        checked(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, c_ulong::from(number), 0, 0, 0) })
    })
}

/// setsockopt(2) of a number.
pub(super) fn set(socket: &impl AsFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let len = size_of::<c_int>() as socklen_t;
    // SAFETY: the value is of this length.
    checked(unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, (&raw const value).cast(), len)
    })
}

/// Does something as another user, in this thread alone: libc's own functions would change all of them.
pub(super) fn as_user<T>(user: Option<&User>, act: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    let Some(user) = user else { return act() };
    let ours = User { uid: geteuid(), gid: getegid(), groups: getgroups()? };
    // Only root may change its groups: the user is what changes last, and first on the way back.
    let became = set_thread_groups(&user.groups)
        .and_then(|()| set_thread_res_gid(None, user.gid, None))
        .and_then(|()| set_thread_res_uid(None, user.uid, None));
    let done = became.and_then(|()| act());
    let back = set_thread_res_uid(None, ours.uid, None)
        .and_then(|()| set_thread_res_gid(None, ours.gid, None))
        .and_then(|()| set_thread_groups(&ours.groups));
    // Who cannot come back must not go on as it is.
    if back.is_err() {
        std::process::abort();
    }
    done
}
