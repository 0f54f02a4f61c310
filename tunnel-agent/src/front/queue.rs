//! Packets that wait in the kernel until we say what becomes of them (nfnetlink_queue, linux/netfilter/nfnetlink_queue.h): here the
//! SYNs of connections. One message to begin with, one that tells of a packet and one for a verdict are all that is
//! used, so they are written and read here.
#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use crate::sys;

/// linux/netlink.h
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLMSG_ERROR: u16 = 2;
const NLA_TYPE: u16 = 0x3fff;
const SOL_NETLINK: i32 = 270;
const NETLINK_NO_ENOBUFS: i32 = 5;
/// `struct nlmsghdr`, and what follows it here: `struct nfgenmsg`.
const HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;
/// `NFNL_SUBSYS_QUEUE` of linux/netfilter/nfnetlink.h, in the upper byte, and the messages of the queue.
const PACKET: u16 = 0x300;
const VERDICT: u16 = 0x301;
const CONFIG: u16 = 0x302;
/// Attributes of a packet's message and of a verdict.
const NFQA_PACKET_HDR: u16 = 1;
const NFQA_VERDICT_HDR: u16 = 2;
const NFQA_MARK: u16 = 3;
const NFQA_PAYLOAD: u16 = 10;
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

/// A packet that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) id: u32,
    /// `None` if it is another packet.
    pub(super) syn: Option<Syn>,
}

/// What begins a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Syn {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    /// The same when it is sent again, and as a rule another one in each connection (RFC 6528).
    pub(super) sequence: u32,
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

/// A message with its attributes.
fn message(kind: u16, flags: u16, queue: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER + FAMILY_HEADER];
    for (kind, content) in attributes {
        bytes.extend(((4 + content.len()) as u16).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(*content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    let len = bytes.len() as u32;
    bytes[0..4].copy_from_slice(&len.to_ne_bytes());
    bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    // `res_id` of `struct nfgenmsg`.
    bytes[HEADER + 2..HEADER + 4].copy_from_slice(&queue.to_be_bytes());
    bytes
}

/// What the kernel says.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// To what we have said: 0, or an errno.
    Answer(i32),
    Packet(Waiting),
}

/// Gives `each` the messages of one datagram that are whole.
fn read(mut bytes: &[u8], mut each: impl FnMut(Said)) {
    while let Some(length) = u32_at(bytes, 0).map(|length| length as usize).filter(|&length| length >= HEADER)
    {
        let Some(message) = bytes.get(..length) else { return };
        let said = match u16_at(message, 4) {
            Some(NLMSG_ERROR) => {
                u32_at(message, HEADER).map(|code| Said::Answer((code as i32).wrapping_neg()))
            }
            Some(PACKET) => message.get(HEADER + FAMILY_HEADER..).and_then(packet).map(Said::Packet),
            _ => None,
        };
        said.into_iter().for_each(&mut each);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

/// The attributes of a packet's message.
fn packet(mut bytes: &[u8]) -> Option<Waiting> {
    let (mut id, mut syn) = (None, None);
    while let Some(length) = u16_at(bytes, 0).map(usize::from) {
        let content = bytes.get(4..length)?;
        match u16_at(bytes, 2)? & NLA_TYPE {
            NFQA_PACKET_HDR => {
                id = content.get(..4).and_then(|id| id.try_into().ok()).map(u32::from_be_bytes)
            }
            NFQA_PAYLOAD => syn = syn_of(content),
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    id.map(|id| Waiting { id, syn })
}

/// What this is the beginning of, if it is a SYN (RFC 791, 8200, 9293). One behind extension headers is none.
fn syn_of(packet: &[u8]) -> Option<Syn> {
    const TCP: u8 = 6;
    let ip = |at: usize, length: usize| -> Option<IpAddr> {
        let bytes = packet.get(at..at + length)?;
        let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
        v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
    };
    let first = *packet.first()?;
    let (protocol, from, to, header) = match first >> 4 {
        4 => {
            let fragment = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x1fff;
            let header = usize::from(first & 0xf) * 4;
            (fragment == 0 && header >= 20).then_some((*packet.get(9)?, ip(12, 4)?, ip(16, 4)?, header))?
        }
        6 => (*packet.get(6)?, ip(8, 16)?, ip(24, 16)?, 40),
        _ => return None,
    };
    let tcp = packet.get(header..).filter(|_| protocol == TCP)?;
    let port = |at: usize| Some(u16::from_be_bytes([*tcp.get(at)?, *tcp.get(at + 1)?]));
    let (from, to) = (SocketAddr::new(from, port(0)?), SocketAddr::new(to, port(2)?));
    let sequence = u32::from_be_bytes(tcp.get(4..8)?.try_into().ok()?);
    // FIN, SYN, RST and ACK.
    (tcp.get(13)? & 0b1_0111 == 0b10).then_some(Syn { from, to, sequence })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(flags: u8) -> Vec<u8> {
        let mut bytes =
            vec![0x46, 0, 0, 64, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 1, 1, 1];
        bytes.extend([0x12, 0x34, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    fn v6(flags: u8) -> Vec<u8> {
        let mut bytes = vec![0x60, 0, 0, 0, 0, 20, 6, 64];
        bytes.extend("fd00::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
        bytes.extend("fd00::2".parse::<std::net::Ipv6Addr>().unwrap().octets());
        bytes.extend(&v4(flags)[24..]);
        bytes
    }

    fn told(payload: &[u8]) -> Vec<u8> {
        let header = [0, 0, 0, 7, 8, 0, 0];
        message(PACKET, 0, 117, &[(NFQA_PACKET_HDR, &header), (NFQA_MARK, &[0; 4]), (NFQA_PAYLOAD, payload)])
    }

    fn all(bytes: &[u8]) -> Vec<Said> {
        let mut said = Vec::new();
        read(bytes, |one| said.push(one));
        said
    }

    #[test]
    fn a_syn_has_two_ends_and_nothing_else_is_one() {
        let sequence = 0x0102_0304;
        let ends = |from: &str, to: &str| {
            Some(Syn { from: from.parse().unwrap(), to: to.parse().unwrap(), sequence })
        };
        assert_eq!(syn_of(&v4(2)), ends("10.0.0.1:4660", "10.0.0.2:80"));
        assert_eq!(syn_of(&v6(2)), ends("[fd00::1]:4660", "[fd00::2]:80"));
        // With the bits of congestion notification.
        assert!(syn_of(&v4(0xc2)).is_some());
        for flags in [0, 1, 3, 4, 6, 0x10, 0x12] {
            assert_eq!(syn_of(&v4(flags)), None, "{flags}");
        }
        let changed = |at: usize, byte: u8| {
            let mut bytes = v4(2);
            bytes[at] = byte;
            syn_of(&bytes)
        };
        // Another version, a short header, a later fragment, another protocol.
        for (at, byte) in [(0, 0x56), (0, 0x44), (7, 1), (9, 17)] {
            assert_eq!(changed(at, byte), None, "{byte} at {at}");
        }
        for whole in [v4(2), v6(2)] {
            let needed = whole.len() - 6;
            for len in 0..whole.len() {
                assert_eq!(syn_of(&whole[..len]).is_some(), len >= needed, "{len}");
            }
        }
    }

    #[test]
    fn messages_are_read_and_what_is_cut_short_is_none() {
        let packet = told(&v4(2));
        let waiting = |syn| Said::Packet(Waiting { id: 7, syn });
        let both = [packet.clone(), told(b"?")].concat();
        assert_eq!(all(&both), [waiting(syn_of(&v4(2))), waiting(None)]);
        for len in 0..packet.len() {
            assert_eq!(all(&packet[..len]), [], "{len}");
        }
        let mut answer = message(NLMSG_ERROR, 0, 0, &[]);
        answer[HEADER..HEADER + 4].copy_from_slice(&(-1i32).to_ne_bytes());
        assert_eq!(all(&answer), [Said::Answer(1)]);
        // Lengths that lead nowhere.
        for length in [0u32, 15, 19, u32::MAX] {
            let mut bytes = packet.clone();
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(all(&bytes), [], "{length}");
        }
    }

    #[test]
    fn a_verdict_is_laid_out_as_the_kernel_reads_it() {
        let header = [1u32.to_be_bytes(), 7u32.to_be_bytes()].concat();
        let bytes = message(VERDICT, NLM_F_REQUEST, 117, &[(NFQA_VERDICT_HDR, &header)]);
        assert_eq!(bytes[..8], [&32u32.to_ne_bytes()[..], &[1, 3], &[1, 0]].concat());
        assert_eq!(bytes[16..], [0, 0, 0, 117, 12, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 7]);
    }
}
