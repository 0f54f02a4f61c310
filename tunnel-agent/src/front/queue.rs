//! Packets that wait in the kernel until we say what becomes of them (nfnetlink_queue, linux/netfilter/nfnetlink_queue.h): here the
//! SYNs of connections. One message to begin with, one that tells of a packet and one for a verdict are all that is
//! used, so they are written and read by us ([`mod@message`]).
#![forbid(unsafe_code)]

mod message;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use crate::sys;
use message::{Said, message, read};
pub(super) use message::{Syn, Waiting};

/// linux/netlink.h
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const SOL_NETLINK: i32 = 270;
const NETLINK_NO_ENOBUFS: i32 = 5;
/// Messages of the queue, and attributes of a verdict.
const VERDICT: u16 = 0x301;
const CONFIG: u16 = 0x302;
const NFQA_VERDICT_HDR: u16 = 2;
const NFQA_MARK: u16 = 3;
/// Attributes of a configuration, with the command that makes the queue ours and the mode that shows a packet's beginning.
const NFQA_CFG_CMD: u16 = 1;
const NFQA_CFG_PARAMS: u16 = 2;
const NFQA_CFG_QUEUE_MAXLEN: u16 = 3;
const NFQNL_CFG_CMD_BIND: u8 = 1;
const NFQNL_COPY_PACKET: u8 = 2;
/// linux/netfilter.h
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;

/// So much of a packet is looked at, in bytes: the headers of IPv6 and TCP have 60 without options, of IPv4 and TCP 120 at most.
const SHOWN: u32 = 128;
/// Packets that wait at most; the kernel drops more.
const MOST: u32 = 4096;
/// Room for what the kernel tells of these, in bytes.
const BUFFER: i32 = 8 << 20;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    /// Goes on with this mark, by which a rule knows what to answer.
    Marked(u32),
    Drop,
}

/// A queue that is ours until this is dropped; then the kernel drops what waits.
pub(super) struct Queue {
    socket: OwnedFd,
    number: u16,
}

impl Queue {
    /// Takes the queue of this number in this network namespace.
    ///
    /// # Errors
    ///
    /// `EPERM` without CAP_NET_ADMIN, or where somebody else has it; `EINVAL` or `EPROTONOSUPPORT` where the kernel has no such
    /// queues.
    pub(super) fn bind(number: u16) -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let protocol = Some(netlink::NETFILTER);
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        // No more than the system allows is had, and what is lost without room for it is dropped by the kernel.
        if sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, BUFFER).is_err() {
            let _ = sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, BUFFER);
        }
        let _ = sys::set_option(&socket, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1);
        let queue = Self { socket, number };
        // `struct nfqnl_msg_config_cmd` and `struct nfqnl_msg_config_params`, in network order.
        let shown = [&SHOWN.to_be_bytes()[..], &[NFQNL_COPY_PACKET]].concat();
        let attributes = [
            (NFQA_CFG_CMD, &[NFQNL_CFG_CMD_BIND, 0, 0, 0][..]),
            (NFQA_CFG_PARAMS, &shown),
            (NFQA_CFG_QUEUE_MAXLEN, &MOST.to_be_bytes()),
        ];
        let request = message(CONFIG, NLM_F_REQUEST | NLM_F_ACK, number, &attributes);
        rustix::net::send(&queue.socket, &request, SendFlags::empty())?;
        loop {
            let mut answered = None;
            // The kernel answers before `send` returns.
            queue.receive(|said| match said {
                Said::Answer(errno) => answered = Some(errno),
                Said::Packet(waiting) => queue.judge(waiting.id, Verdict::Drop),
            })?;
            match answered {
                Some(0) => return Ok(queue),
                Some(errno) => return Err(Errno::from_raw_os_error(errno)),
                None => {}
            }
        }
    }

    /// To be waited at for packets.
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Gives `each` what waits; `EAGAIN` if nothing has come.
    pub(super) fn waiting(&self, mut each: impl FnMut(Waiting)) -> Result<(), Errno> {
        self.receive(|said| {
            if let Said::Packet(waiting) = said {
                each(waiting);
            }
        })
    }

    fn receive(&self, each: impl FnMut(Said)) -> Result<(), Errno> {
        let mut buffer = [0; 4096];
        let (len, _) =
            rustix::io::retry_on_intr(|| rustix::net::recv(&self.socket, &mut buffer, RecvFlags::DONTWAIT))?;
        read(buffer.get(..len).unwrap_or_default(), each);
        Ok(())
    }

    /// Says what becomes of a packet. One that is gone already is none.
    pub(super) fn judge(&self, id: u32, verdict: Verdict) {
        let (code, mark) = match verdict {
            Verdict::Accept => (NF_ACCEPT, None),
            Verdict::Marked(mark) => (NF_ACCEPT, Some(mark.to_be_bytes())),
            Verdict::Drop => (NF_DROP, None),
        };
        // `struct nfqnl_msg_verdict_hdr`.
        let header = [code.to_be_bytes(), id.to_be_bytes()].concat();
        let mut attributes = vec![(NFQA_VERDICT_HDR, &header[..])];
        attributes.extend(mark.as_ref().map(|mark| (NFQA_MARK, &mark[..])));
        let message = message(VERDICT, NLM_F_REQUEST, self.number, &attributes);
        if let Err(error) = rustix::net::send(&self.socket, &message, SendFlags::empty()) {
            tracing::warn!(%error, "a packet waits for a verdict in vain");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_laid_out_as_the_kernel_reads_it() {
        let header = [1u32.to_be_bytes(), 7u32.to_be_bytes()].concat();
        let bytes = message(VERDICT, NLM_F_REQUEST, 117, &[(NFQA_VERDICT_HDR, &header)]);
        assert_eq!(bytes[..8], [&32u32.to_ne_bytes()[..], &[1, 3], &[1, 0]].concat());
        assert_eq!(bytes[16..], [0, 0, 0, 117, 12, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 7]);
    }
}
