//! Whose agent answers. Not by rustix, which has no value for a process without a number: one of a process namespace that
//! is not ours.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::ptr;

/// The user at the other end (unix(7), SO_PEERCRED).
pub(super) fn owner(stream: &UnixStream) -> io::Result<u32> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: `peer` has `len` bytes, and any bytes are a value of its integers.
    let returned = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            ptr::from_mut(&mut peer).cast(),
            &mut len,
        )
    };
    if returned == 0 { Ok(peer.uid) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_of_this_user() {
        let (here, _there) = UnixStream::pair().unwrap();
        assert_eq!(owner(&here).unwrap(), rustix::process::geteuid().as_raw());
    }
}
