use libc::{AF_VSOCK, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_SEQPACKET};

use super::*;

const INVALID: u32 = u32::MAX;

/// What the kernel would do with the program.
fn run(arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
    run_tier(false, arch, number, arguments)
}

fn run_tier(sealed: bool, arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let load = |at: u32| match at {
        NUMBER => number,
        ARCH => arch,
        at => {
            let (index, half) = ((at - 16) / 8, (at - 16) % 8);
            (arguments[index as usize] >> (8 * half)) as u32
        }
    };
    let program = program(sealed, Copies::Taken);
    let (mut a, mut at) = (0, 0);
    while let Some(&sock_filter { code, jt, jf, k }) = program.get(at) {
        let either = |holds: bool| usize::from(if holds { jt } else { jf });
        at += 1;
        match code {
            LOAD => a = load(k),
            AND => a &= k,
            JUMP => at += k as usize,
            EQUAL => at += either(a == k),
            AT_LEAST => at += either(a >= k),
            RETURN => return k,
            _ => return INVALID,
        }
    }
    INVALID
}

fn of(number: c_long, arguments: &[c_int]) -> u32 {
    let mut all = [0; 6];
    // What is above the low half is not looked at.
    all.iter_mut().zip(arguments).for_each(|(to, &from)| *to = u64::from(from as u32) | 0xabcd_0000_0000);
    run(ARCHITECTURE.native, number as u32, all)
}

fn meaning(verdict: Verdict) -> u32 {
    super::value(verdict, false)
}

#[test]
fn sockets_are_judged_by_family_type_and_protocol() {
    let flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    for (family, kind, protocol, expected) in [
        (AF_UNIX, SOCK_STREAM, 0, Allow),
        (AF_UNIX, SOCK_DGRAM | flags, 0, Allow),
        (AF_NETLINK, SOCK_RAW, 0, Allow),
        (AF_ALG, SOCK_SEQPACKET, 0, Allow),
        (AF_INET, SOCK_STREAM, 0, Notify),
        (AF_INET6, SOCK_STREAM | flags, IPPROTO_TCP, Notify),
        (AF_INET, SOCK_STREAM, 262, Errno(EPROTONOSUPPORT)),
        (AF_INET, SOCK_STREAM, 132, Errno(EPROTONOSUPPORT)),
        (AF_INET, SOCK_DGRAM, 0, Notify),
        (AF_INET6, SOCK_DGRAM | flags, IPPROTO_UDP, Notify),
        (AF_INET, SOCK_DGRAM, IPPROTO_ICMP, Errno(EACCES)),
        (AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, Errno(EACCES)),
        (AF_INET, SOCK_DGRAM, 136, Errno(EPROTONOSUPPORT)),
        (AF_INET, SOCK_RAW, 255, Errno(EPERM)),
        (AF_INET6, SOCK_RAW | flags, IPPROTO_ICMPV6, Errno(EPERM)),
        (AF_INET, SOCK_SEQPACKET, 132, Errno(ESOCKTNOSUPPORT)),
        (AF_INET, 6, 33, Errno(ESOCKTNOSUPPORT)),
        (AF_PACKET, SOCK_RAW, 0, Errno(EPERM)),
        (AF_VSOCK, SOCK_STREAM, 0, Errno(EAFNOSUPPORT)),
        (43, SOCK_STREAM, 0, Errno(EAFNOSUPPORT)),
        (44, SOCK_RAW, 0, Errno(EAFNOSUPPORT)),
        (-1, SOCK_STREAM, 0, Errno(EAFNOSUPPORT)),
    ] {
        let found = of(libc::SYS_socket, &[family, kind, protocol]);
        assert_eq!(found, meaning(expected), "{family} {kind} {protocol}");
    }
}

#[test]
fn other_calls_are_judged_by_their_scalars() {
    for (number, arguments, expected) in [
        (libc::SYS_connect, &[3, 0, 16][..], Notify),
        (libc::SYS_socketpair, &[AF_UNIX, SOCK_STREAM, 0], Allow),
        (libc::SYS_socketpair, &[AF_INET, SOCK_STREAM, 0], Errno(EAFNOSUPPORT)),
        (libc::SYS_sendto, &[3, 0, 0, libc::MSG_NOSIGNAL, 1, 16], Allow),
        (libc::SYS_sendto, &[3, 0, 0, MSG_FASTOPEN | libc::MSG_NOSIGNAL, 1, 16], Errno(EOPNOTSUPP)),
        (libc::SYS_sendmsg, &[3, 0, MSG_FASTOPEN], Errno(EOPNOTSUPP)),
        (libc::SYS_sendmsg, &[3, 0, libc::MSG_DONTWAIT, MSG_FASTOPEN], Allow),
        (libc::SYS_sendmmsg, &[3, 0, 1, MSG_FASTOPEN], Errno(EOPNOTSUPP)),
        (libc::SYS_setsockopt, &[3, SOL_SOCKET, SO_BINDTODEVICE], Errno(EPERM)),
        (libc::SYS_setsockopt, &[3, SOL_SOCKET, SO_BINDTOIFINDEX], Errno(EPERM)),
        (libc::SYS_setsockopt, &[3, SOL_SOCKET, libc::SO_KEEPALIVE], Allow),
        (libc::SYS_setsockopt, &[3, IPPROTO_TCP, SO_BINDTODEVICE], Allow),
        (libc::SYS_getsockopt, &[3, SOL_SOCKET, SO_ERROR], Notify),
        (libc::SYS_getsockopt, &[3, SOL_SOCKET, libc::SO_TYPE], Allow),
        (libc::SYS_getpeername, &[3], Notify),
        (libc::SYS_getsockname, &[3], Notify),
        (libc::SYS_io_uring_setup, &[1], Errno(ENOSYS)),
        (libc::SYS_io_uring_enter, &[1], Errno(ENOSYS)),
        (libc::SYS_io_uring_register, &[1], Errno(ENOSYS)),
        (libc::SYS_pidfd_getfd, &[1], Errno(EPERM)),
        (libc::SYS_setns, &[1], Errno(EPERM)),
        (libc::SYS_request_key, &[1], Allow),
        (libc::SYS_getppid, &[], Allow),
        (libc::SYS_bind, &[3, 0, 0], Allow),
        (libc::SYS_bind, &[3, 0, 16], Allow),
        (libc::SYS_bind, &[3, 0, 27], Allow),
        (libc::SYS_bind, &[3, 0, 28], Notify),
        (libc::SYS_bind, &[3, 0, 32], Notify),
        (libc::SYS_bind, &[3, 0, 110], Notify),
        (libc::SYS_bind, &[3, 0, 144], Notify),
        (libc::SYS_bind, &[3, 0, -1], Notify),
        (libc::SYS_write, &[3], Allow),
    ] {
        assert_eq!(of(number, arguments), meaning(expected), "{number} {arguments:?}");
    }
}

#[test]
fn calls_of_other_abis_cannot_make_a_socket() {
    let refused = meaning(Errno(EACCES));
    for &number in ARCHITECTURE.refused {
        assert_eq!(run(ARCHITECTURE.compat, number, [2, 1, 0, 0, 0, 0]), refused, "{number}");
    }
    // getpid and write of both 32-bit architectures.
    for number in [20, 4] {
        assert_eq!(run(ARCHITECTURE.compat, number, [0; 6]), meaning(Allow));
    }
    assert_eq!(run(0x1234, 41, [0; 6]), meaning(Errno(ENOSYS)));
    if let Some(foreign) = ARCHITECTURE.foreign_from {
        let number = foreign + libc::SYS_socket as u32;
        assert_eq!(run(ARCHITECTURE.native, number, [2, 1, 0, 0, 0, 0]), meaning(Errno(ENOSYS)));
    }
}

#[test]
fn no_jump_is_longer_than_an_instruction_can_say() {
    let longest = CALLS
        .iter()
        .map(|call| call.code(&|verdict| statement(RETURN, value(verdict, false))).len())
        .max()
        .unwrap();
    assert!(longest < 256, "{longest}");
    let program = program(false, Copies::Taken);
    assert!(program.len() < 4096);
    assert!(program.iter().all(|op| ![op.jt, op.jf].contains(&u8::MAX)));
}

#[test]
fn calls_that_are_not_judged_load_no_argument() {
    // Up to the comparison with the last number nothing but arch and number is loaded, unless a number matches:
    // then the kernel knows the answer without running the program.
    let program = program(false, Copies::Taken);
    let (mut at, mut loads) = (0, Vec::new());
    while program[at].code != RETURN {
        let op = program[at];
        at += 1;
        match op.code {
            LOAD => loads.push(op.k),
            EQUAL if op.k == ARCHITECTURE.native => at += usize::from(op.jt),
            EQUAL | AT_LEAST => at += usize::from(op.jf),
            _ => panic!("{}", op.code),
        }
    }
    assert_eq!(loads, [ARCH, NUMBER]);
    assert_eq!(program[at].k, libc::SECCOMP_RET_ALLOW);
}

#[test]
fn a_sealed_program_has_nobody_outside_started_for_a_key() {
    let of = |number: c_long| run_tier(true, ARCHITECTURE.native, number as u32, [0; 6]);
    assert_eq!(of(libc::SYS_request_key), value(Errno(EPERM), true));
    for number in [libc::SYS_add_key, libc::SYS_keyctl] {
        assert_eq!(of(number), libc::SECCOMP_RET_ALLOW);
    }
}

#[test]
fn a_sealed_program_makes_its_own_streams_and_of_datagrams_of_unix_pairs_alone() {
    let of = |sealed, number: c_long, family: c_int, kind: c_int| {
        run_tier(sealed, ARCHITECTURE.native, number as u32, [family as u64, kind as u64, 0, 0, 0, 0])
    };
    let (ask, refused) = (libc::SECCOMP_RET_USER_NOTIF, value(Errno(ESOCKTNOSUPPORT), true));
    for (family, kind, guard, sealed) in [
        (AF_INET, SOCK_STREAM | SOCK_NONBLOCK, ask, libc::SECCOMP_RET_ALLOW),
        (AF_INET6, SOCK_DGRAM, ask, ask),
        (AF_UNIX, SOCK_STREAM, libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_ALLOW),
        (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_ALLOW),
        (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, libc::SECCOMP_RET_ALLOW, refused),
        (AF_UNIX, SOCK_RAW, libc::SECCOMP_RET_ALLOW, refused),
    ] {
        assert_eq!(of(false, libc::SYS_socket, family, kind), guard, "{family} {kind}");
        assert_eq!(of(true, libc::SYS_socket, family, kind), sealed, "{family} {kind}");
        if family == AF_UNIX {
            let pair = if sealed == refused { ask } else { sealed };
            assert_eq!(of(true, libc::SYS_socketpair, family, kind), pair, "{kind}");
            assert_eq!(of(false, libc::SYS_socketpair, family, kind), guard, "{kind}");
        }
    }
}
