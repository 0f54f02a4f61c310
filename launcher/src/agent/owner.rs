//! Whose agent answers. Not by rustix, which has no value for a process without a number: one of a process namespace that
//! is not ours.

use std::io;
use std::os::unix::net::UnixStream;

use crate::kernel;

/// The user at the other end (unix(7), SO_PEERCRED).
pub(super) fn owner(stream: &UnixStream) -> io::Result<u32> {
    // struct ucred: the process, the user, the group.
    let [_, user, _] = kernel::option::<[u32; 3]>(stream, libc::SOL_SOCKET, libc::SO_PEERCRED)?;
    Ok(user)
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
