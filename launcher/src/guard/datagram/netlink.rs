//! Messages of netlink(7): made, sent, and the kernel's answer. By hand, since a crate for a dozen of them would be larger
//! than all that is done with them.

use std::io;
use std::os::fd::OwnedFd;

use libc::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR};
use rustix::net::{RecvFlags, SendFlags};

/// `struct nlmsghdr`
const HEAD: usize = 16;

/// A request.
pub(in crate::guard) struct Message(Vec<u8>);

impl Message {
    /// With the structure that is first in messages of this kind.
    pub(in crate::guard) fn new(kind: u16, flags: i32, structure: &[u8]) -> Self {
        let mut bytes = vec![0; HEAD];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&((NLM_F_REQUEST | flags) as u16).to_ne_bytes());
        bytes.extend_from_slice(structure);
        Self(bytes).padded()
    }

    /// With an attribute.
    pub(super) fn with(self, kind: u16, value: &[u8]) -> Self {
        self.nest(kind, |mut inner| {
            inner.0.extend_from_slice(value);
            inner
        })
    }

    /// With a number.
    pub(super) fn number(self, kind: u16, value: u32) -> Self {
        self.with(kind, &value.to_ne_bytes())
    }

    /// With an attribute that has others in it.
    pub(super) fn nest(mut self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 2]);
        self.0.extend_from_slice(&kind.to_ne_bytes());
        let mut filled = fill(self);
        let length = (filled.0.len() - start) as u16;
        filled.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        filled.padded()
    }

    /// With bytes that are no attribute.
    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn padded(mut self) -> Self {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn finished(mut self) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }

    /// Sends it, and waits for the kernel's word that it is done.
    pub(super) fn done(mut self, socket: &OwnedFd) -> io::Result<()> {
        self.0[6] |= NLM_F_ACK as u8;
        match self.asked(socket)? {
            Answer::Errno(0) => Ok(()),
            Answer::Errno(errno) => Err(io::Error::from_raw_os_error(errno)),
            Answer::Other(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Sends it, and has `each` of the answers, which are many: what is behind the head of each.
    pub(in crate::guard) fn list(mut self, socket: &OwnedFd, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        self.0[6..8].copy_from_slice(&((NLM_F_REQUEST | NLM_F_DUMP) as u16).to_ne_bytes());
        rustix::net::send(socket, &self.finished(), SendFlags::NOSIGNAL)?;
        let mut room = vec![0; 32 << 10];
        loop {
            let (length, _) = rustix::net::recv(socket, room.as_mut_slice(), RecvFlags::DONTWAIT)?;
            let mut rest = &room[..length];
            while let Some(head) = rest.first_chunk::<HEAD>() {
                let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
                let kind = i32::from(u16::from_ne_bytes([head[4], head[5]]));
                if kind == NLMSG_DONE {
                    return Ok(());
                }
                let body = rest.get(HEAD..length).ok_or(io::ErrorKind::InvalidData)?;
                if kind == NLMSG_ERROR {
                    return Err(io::ErrorKind::Unsupported.into());
                }
                each(body);
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }

    /// Sends it; the kernel has answered when the call is back.
    pub(super) fn asked(self, socket: &OwnedFd) -> io::Result<Answer> {
        rustix::net::send(socket, &self.finished(), SendFlags::NOSIGNAL)?;
        let mut answer = [0; 1024];
        let (length, _) = rustix::net::recv(socket, &mut answer, RecvFlags::DONTWAIT)?;
        Answer::read(&answer[..length]).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// What the kernel says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is done (0), or this is why not.
    Errno(i32),
    /// What was asked for, behind the head of its message.
    Other(Vec<u8>),
}

impl Answer {
    fn read(bytes: &[u8]) -> Option<Self> {
        let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
        if i32::from(kind) != NLMSG_ERROR {
            return Some(Self::Other(bytes.get(HEAD..)?.to_vec()));
        }
        let errno = i32::from_ne_bytes(*bytes.get(HEAD..)?.first_chunk()?);
        Some(Self::Errno(errno.checked_neg()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_parts_and_all_is_aligned() {
        let message =
            Message::new(16, 0, &[9; 4]).with(1, b"abc").nest(2, |inner| inner.number(3, 7).with(4, b"v"));
        let bytes = message.finished();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(u32::from_ne_bytes(bytes[..4].try_into().unwrap()), bytes.len() as u32);
        let length_at = |at: usize| u16::from_ne_bytes(bytes[at..at + 2].try_into().unwrap());
        // An attribute's length has no padding in it, but that of what it holds.
        assert_eq!(length_at(20), 7);
        assert_eq!(length_at(28), 4 + 8 + 8);
        assert_eq!(length_at(32), 8);
        assert_eq!(length_at(40), 5);
    }

    #[test]
    fn the_kernels_word_is_read() {
        let mut bytes = vec![0; 36];
        bytes[4..6].copy_from_slice(&2u16.to_ne_bytes());
        assert_eq!(Answer::read(&bytes), Some(Answer::Errno(0)));
        bytes[16..20].copy_from_slice(&(-2i32).to_ne_bytes());
        assert_eq!(Answer::read(&bytes), Some(Answer::Errno(2)));
        bytes[4] = 20;
        assert_eq!(Answer::read(&bytes), Some(Answer::Other(bytes[16..].to_vec())));
        assert_eq!(Answer::read(&bytes[..5]), None);
    }
}
