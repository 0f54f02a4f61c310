//! The filter of the guard tier (seccomp(2)), as a table and as the program that the kernel runs.
//!
//! It judges by scalars alone: what is behind a pointer can be changed after it was judged. What must be read is
//! left to the supervisor ([`Verdict::Notify`]). Whatever is not in the table is allowed by its number alone, which
//! the kernel remembers: such a call costs as much as under any filter.

use libc::{
    AF_ALG, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX, EACCES, EAFNOSUPPORT, ENOSYS, EOPNOTSUPP,
    EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT, IPPROTO_TCP, IPPROTO_UDP, MSG_FASTOPEN, SO_BINDTODEVICE,
    SO_ERROR, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, SOL_SOCKET, c_int, c_long, sock_filter,
};

use super::sockets::Copies;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allow,
    /// The supervisor is asked.
    Notify,
    /// The supervisor is asked, but for a program that is sealed: the kernel makes a socket of its network.
    NotifyUnlessSealed,
    /// The supervisor is asked where the program is sealed.
    NotifyIfSealed,
    /// It fails with this errno.
    Errno(c_int),
    /// It fails with this errno where the program is sealed.
    ErrnoIfSealed(c_int),
}

use Verdict::{Allow, Errno, ErrnoIfSealed, Notify, NotifyIfSealed, NotifyUnlessSealed};

/// Whether an argument, as the kernel takes it (its low half), has one of these values under a mask.
struct Test {
    argument: usize,
    mask: u32,
    values: &'static [c_int],
}

/// Of the rules of a call the first whose tests all hold decides.
struct Rule(&'static [Test], Verdict);

struct Call {
    number: c_long,
    rules: &'static [Rule],
    otherwise: Verdict,
}

const fn is(argument: usize, values: &'static [c_int]) -> Test {
    Test { argument, mask: u32::MAX, values }
}

/// Any bit of it.
const fn has(argument: usize, bit: &'static [c_int; 1]) -> Test {
    Test { argument, mask: bit[0] as u32, values: bit }
}

/// One of as many values, a power of two, from this one on, which is a multiple of it.
const fn from(argument: usize, first: &'static [c_int; 1], number: u32) -> Test {
    Test { argument, mask: !(number - 1), values: first }
}

const fn kind(values: &'static [c_int]) -> Test {
    Test { argument: 1, mask: SOCK_TYPE_MASK, values }
}

const fn all(number: c_long, otherwise: Verdict) -> Call {
    Call { number, rules: &[], otherwise }
}

/// The other bits of a socket's type are flags.
const SOCK_TYPE_MASK: u32 = 0xf;
const IPPROTO_ICMP: c_int = 1;
const IPPROTO_ICMPV6: c_int = 58;
/// socket(7); by number.
const SO_BINDTOIFINDEX: c_int = 62;

const CALLS: [Call; 16] = [
    Call {
        number: libc::SYS_socket,
        rules: &[
            // Each datagram may name a socket of another's, behind a pointer: which, nobody could judge.
            Rule(&[is(0, &[AF_UNIX]), kind(&[SOCK_DGRAM, SOCK_RAW])], ErrnoIfSealed(ESOCKTNOSUPPORT)),
            Rule(&[is(0, &[AF_UNIX, AF_NETLINK, AF_ALG])], Allow),
            Rule(&[is(0, &[AF_PACKET])], Errno(EPERM)),
            Rule(
                &[is(0, &[AF_INET, AF_INET6]), kind(&[SOCK_STREAM]), is(2, &[0, IPPROTO_TCP])],
                NotifyUnlessSealed,
            ),
            // Multipath TCP: runtimes fall back, as on a kernel without it.
            Rule(&[is(0, &[AF_INET, AF_INET6]), kind(&[SOCK_STREAM])], Errno(EPROTONOSUPPORT)),
            Rule(&[is(0, &[AF_INET, AF_INET6]), kind(&[SOCK_DGRAM]), is(2, &[0, IPPROTO_UDP])], Notify),
            // As with a closed ping_group_range (icmp(7)).
            Rule(
                &[is(0, &[AF_INET, AF_INET6]), kind(&[SOCK_DGRAM]), is(2, &[IPPROTO_ICMP, IPPROTO_ICMPV6])],
                Errno(EACCES),
            ),
            Rule(&[is(0, &[AF_INET, AF_INET6]), kind(&[SOCK_DGRAM])], Errno(EPROTONOSUPPORT)),
            Rule(&[is(0, &[AF_INET, AF_INET6]), kind(&[SOCK_RAW])], Errno(EPERM)),
            Rule(&[is(0, &[AF_INET, AF_INET6])], Errno(ESOCKTNOSUPPORT)),
        ],
        otherwise: Errno(EAFNOSUPPORT),
    },
    Call {
        number: libc::SYS_socketpair,
        rules: &[
            // As above; but there is a kind of pair that does as well.
            Rule(&[is(0, &[AF_UNIX]), kind(&[SOCK_DGRAM, SOCK_RAW])], NotifyIfSealed),
            Rule(&[is(0, &[AF_UNIX])], Allow),
        ],
        otherwise: Errno(EAFNOSUPPORT),
    },
    all(libc::SYS_connect, Notify),
    // TCP Fast Open sends a SYN without connect(2). The answer is the kernel's own where it is switched off.
    Call {
        number: libc::SYS_sendto,
        rules: &[Rule(&[has(3, &[MSG_FASTOPEN])], Errno(EOPNOTSUPP))],
        otherwise: Allow,
    },
    Call {
        number: libc::SYS_sendmsg,
        rules: &[Rule(&[has(2, &[MSG_FASTOPEN])], Errno(EOPNOTSUPP))],
        otherwise: Allow,
    },
    Call {
        number: libc::SYS_sendmmsg,
        rules: &[Rule(&[has(3, &[MSG_FASTOPEN])], Errno(EOPNOTSUPP))],
        otherwise: Allow,
    },
    // What a socket is bound to keeps it: not even root may change it. bind(2) could, too (below).
    Call {
        number: libc::SYS_setsockopt,
        rules: &[Rule(&[is(1, &[SOL_SOCKET]), is(2, &[SO_BINDTODEVICE, SO_BINDTOIFINDEX])], Errno(EPERM))],
        otherwise: Allow,
    },
    Call {
        number: libc::SYS_getsockopt,
        rules: &[Rule(&[is(1, &[SOL_SOCKET]), is(2, &[SO_ERROR])], Notify)],
        otherwise: Allow,
    },
    all(libc::SYS_getpeername, Notify),
    all(libc::SYS_getsockname, Notify),
    // Rings are not seen by seccomp. Runtimes fall back; enter too, for a ring that another process has passed.
    all(libc::SYS_io_uring_setup, Errno(ENOSYS)),
    all(libc::SYS_io_uring_enter, Errno(ENOSYS)),
    all(libc::SYS_io_uring_register, Errno(ENOSYS)),
    // A neighbour's socket, another network namespace.
    all(libc::SYS_pidfd_getfd, Errno(EPERM)),
    all(libc::SYS_setns, Errno(EPERM)),
    // The kernel starts a program outside for a key that is not there, which may ask for names (request-key(8)).
    all(libc::SYS_request_key, ErrnoIfSealed(EPERM)),
];

/// What is asked about besides where copies of sockets are kept.
const WITH_COPIES: [Call; 2] = [all(libc::SYS_bind, Notify), all(libc::SYS_listen, Notify)];

/// And where they are taken. An address that is shorter than a `sockaddr_in6`, of 28 bytes, binds no socket to another device.
const WITHOUT_COPIES: [Call; 1] = [Call {
    number: libc::SYS_bind,
    rules: &[
        Rule(&[from(2, &[0], 16)], Allow),
        Rule(&[from(2, &[16], 8)], Allow),
        Rule(&[from(2, &[24], 4)], Allow),
    ],
    otherwise: NotifyUnlessSealed,
}];

/// An architecture as the kernel names it in `seccomp_data` (linux/audit.h).
struct Architecture {
    native: u32,
    /// The 32-bit one that the kernel runs too, and its calls for sockets and rings. All others are allowed, so that
    /// a 32-bit program can say what is wrong.
    compat: u32,
    refused: &'static [u32],
    /// Numbers from here on are calls of another ABI (x32), which equality would miss.
    foreign_from: Option<u32>,
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Architecture = Architecture {
    native: 0xc000_003e,
    compat: 0x4000_0003,
    // socketcall, request_key, sendmmsg, setns, socket, socketpair, connect, setsockopt, sendto, sendmsg, io_uring, pidfd_getfd
    refused: &[102, 287, 345, 346, 359, 360, 362, 366, 369, 370, 425, 426, 427, 438],
    foreign_from: Some(0x4000_0000),
};

#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Architecture = Architecture {
    native: 0xc000_00b7,
    compat: 0x4000_0028,
    // socketcall, socket, connect, socketpair, sendto, setsockopt, sendmsg, request_key, sendmmsg, setns, io_uring, pidfd_getfd
    refused: &[102, 281, 283, 288, 290, 294, 296, 310, 374, 375, 425, 426, 427, 438],
    foreign_from: None,
};

/// Where the fields of `seccomp_data` are.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const fn argument(index: usize) -> u32 {
    // Both architectures have the low half first.
    16 + 8 * index as u32
}

/// linux/bpf_common.h
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const EQUAL: u16 = 0x15;
const AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

/// The program for this architecture.
pub(crate) fn program(sealed: bool, copies: Copies) -> Vec<sock_filter> {
    let verdict = |verdict| statement(RETURN, value(verdict, sealed));
    let mut code = vec![statement(LOAD, ARCH)];
    let mut refused = vec![statement(LOAD, NUMBER)];
    any_of(&mut refused, ARCHITECTURE.refused, 1);
    refused.extend([verdict(Allow), verdict(Errno(EACCES))]);
    // any_of falls through to what follows it; one step further it has matched.
    block(&mut code, EQUAL, ARCHITECTURE.compat, &refused);
    code.extend([jump(EQUAL, ARCHITECTURE.native, 1, 0), verdict(Errno(ENOSYS)), statement(LOAD, NUMBER)]);
    if let Some(from) = ARCHITECTURE.foreign_from {
        block(&mut code, AT_LEAST, from, &[verdict(Errno(ENOSYS))]);
    }
    let besides = if copies == Copies::Kept { &WITH_COPIES[..] } else { &WITHOUT_COPIES[..] };
    for call in CALLS.iter().chain(besides) {
        block(&mut code, EQUAL, call.number as u32, &call.code(&verdict));
    }
    code.push(verdict(Allow));
    code
}

impl Call {
    fn code(&self, verdict: &impl Fn(Verdict) -> sock_filter) -> Vec<sock_filter> {
        let mut code: Vec<sock_filter> = self.rules.iter().flat_map(|rule| rule.code(verdict)).collect();
        code.push(verdict(self.otherwise));
        code
    }
}

impl Rule {
    /// Goes on behind its end where a test fails.
    fn code(&self, verdict: impl Fn(Verdict) -> sock_filter) -> Vec<sock_filter> {
        let mut code = vec![verdict(self.1)];
        // From the last test to the first: each knows then how far the end is.
        for test in self.0.iter().rev() {
            let mut tested = vec![statement(LOAD, argument(test.argument))];
            if test.mask != u32::MAX {
                tested.push(statement(AND, test.mask));
            }
            let values: Vec<u32> = test.values.iter().map(|&value| value as u32).collect();
            any_of(&mut tested, &values, 1);
            tested.push(statement(JUMP, code.len() as u32));
            tested.append(&mut code);
            code = tested;
        }
        code
    }
}

/// Compares with each value; on a match it goes on `beyond` instructions behind its end.
fn any_of(code: &mut Vec<sock_filter>, values: &[u32], beyond: usize) {
    for (i, &value) in values.iter().enumerate() {
        code.push(jump(EQUAL, value, distance(values.len() - 1 - i + beyond), 0));
    }
}

/// `inside`, where the comparison holds.
fn block(code: &mut Vec<sock_filter>, comparison: u16, value: u32, inside: &[sock_filter]) {
    code.push(jump(comparison, value, 0, distance(inside.len())));
    code.extend_from_slice(inside);
}

/// A block is far shorter than a jump reaches: the tests run every one.
fn distance(instructions: usize) -> u8 {
    u8::try_from(instructions).unwrap_or(u8::MAX)
}

fn statement(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// What the kernel is told.
fn value(verdict: Verdict, sealed: bool) -> u32 {
    match verdict {
        Allow => libc::SECCOMP_RET_ALLOW,
        NotifyUnlessSealed if sealed => libc::SECCOMP_RET_ALLOW,
        NotifyIfSealed | ErrnoIfSealed(_) if !sealed => libc::SECCOMP_RET_ALLOW,
        Notify | NotifyUnlessSealed | NotifyIfSealed => libc::SECCOMP_RET_USER_NOTIF,
        Errno(errno) | ErrnoIfSealed(errno) => libc::SECCOMP_RET_ERRNO | errno as u32,
    }
}

#[cfg(test)]
mod tests;
