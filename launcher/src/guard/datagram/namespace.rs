//! A network of its own, with nothing in it, in which a program's sockets are born: whatever is sent by them cannot leave
//! this machine.
//!
//! A process of ours is in there ([`helper`]) and makes sockets. It is needed since only who is there can make one; all
//! that is done to them is done from here, since their network belongs to whoever made it.
//!
//! A program can be in there too ([`Namespace::for_program`]): another process enters by [`Handles`].

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use libc::{CLONE_NEWNET, CLONE_NEWUSER, c_int};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags, SocketType,
};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::cable::{self, Own};
use super::helper::{self, For};
use super::{system, users};

/// The network, as long as this lives or a socket of it.
pub(in crate::guard) struct Namespace {
    control: OwnedFd,
    /// The helper.
    process: OwnedFd,
    pub(super) own: Own,
}

/// What is to be laid in a namespace ([`cable`]) before it is a program's.
pub(in crate::guard) struct Bare {
    route: OwnedFd,
    own: Own,
}

/// What a process enters a namespace by, that is in none of its own yet.
pub(in crate::guard) struct Handles {
    pub(in crate::guard) users: OwnedFd,
    pub(in crate::guard) network: OwnedFd,
}

impl Namespace {
    /// Makes one. It needs user namespaces, or to be root.
    pub(super) fn new() -> io::Result<Self> {
        let (namespace, bare) =
            Self::within(CLONE_NEWUSER | CLONE_NEWNET, For::Sockets).or_else(|error| {
                // Root needs none to own its network, and a container may refuse them.
                let is_root = rustix::process::geteuid().is_root();
                if is_root { Self::within(CLONE_NEWNET, For::Sockets) } else { Err(error) }
            })?;
        bare.lay()?;
        Ok(namespace)
    }

    /// Makes one that programs may enter: the users in there are those out here, as far as this one may say so. The cable is
    /// laid while a program enters, which takes both about as long.
    pub(in crate::guard) fn for_program() -> io::Result<(Self, Bare)> {
        Self::within(CLONE_NEWUSER | CLONE_NEWNET, For::Programs)
    }

    fn within(namespaces: c_int, wanted: For) -> io::Result<(Self, Bare)> {
        let flags = SocketFlags::CLOEXEC;
        let (control, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        let pid = helper::start(namespaces, &theirs, wanted)?;
        drop(theirs);
        let namespace = Self { control, process: handle(pid)?, own: Own::of_this_machine() };
        if wanted == For::Programs {
            users::map(pid)?;
            rustix::net::send(&namespace.control, &[0], SendFlags::NOSIGNAL)?;
        }
        let route = namespace.socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
        let own = namespace.own;
        Ok((namespace, Bare { route, own }))
    }

    /// By which a process of this user enters.
    pub(in crate::guard) fn handles(&self) -> io::Result<Handles> {
        let network = system::network_of(&self.socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?)?;
        Ok(Handles { users: system::owner_of(&network)?, network })
    }

    /// The descriptors that it needs.
    pub(in crate::guard) fn descriptors(&self) -> [c_int; 2] {
        [self.control.as_raw_fd(), self.process.as_raw_fd()]
    }

    /// Gives a process that is in a user namespace below this one the users that are in here. It may be asked by a process
    /// that has entered.
    pub(in crate::guard) fn map(&self, process: u32) -> io::Result<()> {
        self.asked(helper::MAP, process as c_int, 0).map(drop)
    }

    /// socket(2) in there, close-on-exec.
    pub(in crate::guard) fn socket(
        &self,
        domain: c_int,
        kind: c_int,
        protocol: c_int,
    ) -> io::Result<OwnedFd> {
        // It was made, and there was no room for it here.
        let no_room = || io::Error::from_raw_os_error(libc::EMFILE);
        self.asked(domain, kind, protocol)?.ok_or_else(no_room)
    }

    fn asked(&self, domain: c_int, kind: c_int, protocol: c_int) -> io::Result<Option<OwnedFd>> {
        let wanted = [domain, kind, protocol].map(c_int::to_ne_bytes).concat();
        // What is wrong with the helper is none of the call's errors.
        let lost = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        rustix::net::send(&self.control, &wanted, SendFlags::NOSIGNAL).map_err(lost)?;
        let mut errno = [0; 4];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        loop {
            let mut parts = [IoSliceMut::new(&mut errno)];
            match rustix::net::recvmsg(&self.control, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(lost(error)),
                Ok(received) if received.bytes == errno.len() => break,
                // The helper has ended.
                Ok(_) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        let mut passed = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
            _ => None,
        });
        match c_int::from_ne_bytes(errno) {
            0 => Ok(passed.next()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

impl Bare {
    /// Without a word to the helper, whom the program that enters asks meanwhile.
    pub(in crate::guard) fn lay(self) -> io::Result<()> {
        cable::lay(&self.route, self.own)
    }
}

/// A handle to the helper, which is ended if there is none to be had.
fn handle(pid: Pid) -> io::Result<OwnedFd> {
    rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(|error| {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
        error.into()
    })
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = rustix::process::pidfd_send_signal(&self.process, Signal::KILL);
        helper::reap(&self.process);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also where it is not root; in the place where the tests run, user namespaces are to be had.
    #[test]
    fn sockets_are_of_a_network_in_which_there_is_loopback_and_the_cable() {
        let namespace = Namespace::new().unwrap();
        for domain in [libc::AF_INET, libc::AF_INET6] {
            let socket = namespace.socket(domain, libc::SOCK_DGRAM, 0).unwrap();
            let far: std::net::SocketAddr =
                if domain == libc::AF_INET { "203.0.113.1:9" } else { "[2001:db8::1]:9" }.parse().unwrap();
            rustix::net::connect(&socket, &far).unwrap();
            rustix::net::send(&socket, b"into the cable", SendFlags::empty()).unwrap();
        }
        let stream = namespace.socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap();
        let nobody: std::net::SocketAddr = "127.0.0.1:9".parse().unwrap();
        assert_eq!(rustix::net::connect(&stream, &nobody), Err(rustix::io::Errno::CONNREFUSED));
        assert_eq!(namespace.socket(libc::AF_INET, 99, 0).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
