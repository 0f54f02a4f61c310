//! The preload library as a file, and as a guest in a program: what it exports and needs, and that
//! the program finds nothing of its in itself.

use std::collections::BTreeSet;
use std::process::Command;

use underpass_tests::servers::port;
use underpass_tests::{World, artifacts, proxies, servers};

/// Every hook. A function that the library exports takes the place of libc's in every program that
/// is carried, so one that is exported by mistake is a bug, and one that is lost is a leak. Who adds
/// a hook writes it here, and what it does in docs/architecture.md or docs/limits.md.
const HOOKS: &[&str] = &[
    // Connections.
    "__connect",
    "connect",
    "epoll_ctl",
    // Sockets.
    "setsockopt",
    "socket",
    // What a socket says of itself.
    "getpeername",
    "getsockname",
    "getsockopt",
    // Datagrams.
    "__recvfrom_chk",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "sendmmsg",
    "sendmsg",
    "sendto",
    // Names.
    "gai_cancel",
    "gai_suspend",
    "getaddrinfo",
    "getaddrinfo_a",
    "gethostbyaddr",
    "gethostbyaddr_r",
    "gethostbyname",
    "gethostbyname2",
    "gethostbyname2_r",
    "gethostbyname_r",
    "getnameinfo",
    // Queries that a program sends itself.
    "__res_nquery",
    "__res_nquerydomain",
    "__res_nsearch",
    "__res_nsend",
    "__res_query",
    "__res_querydomain",
    "__res_search",
    "__res_send",
    "res_nquery",
    "res_nquerydomain",
    "res_nsearch",
    "res_nsend",
    "res_query",
    "res_querydomain",
    "res_search",
    "res_send",
    // The same for programs that were linked long ago.
    "res_gethostbyaddr",
    "res_gethostbyname",
    "res_gethostbyname2",
    // What looks names up inside libc.
    "gethostid",
    "getnetbyaddr",
    "getnetbyaddr_r",
    "getnetbyname",
    "getnetbyname_r",
    "iruserok",
    "iruserok_af",
    "ruserok",
    "ruserok_af",
    // Commands on other machines.
    "rcmd",
    "rcmd_af",
    "rexec",
    "rexec_af",
    // Programs that a program starts.
    "execl",
    "execle",
    "execlp",
    "execv",
    "execve",
    "execveat",
    "execvp",
    "execvpe",
    "fexecve",
    "popen",
    "posix_spawn",
    "posix_spawnp",
    "system",
];

/// The oldest glibc that docs/limits.md promises.
const GLIBC: (u32, u32) = (2, 35);

/// What every program that uses libc has loaded anyway.
const NEEDED: &[&str] =
    if cfg!(target_arch = "aarch64") { &["libc.so.6"] } else { &["ld-linux-x86-64.so.2", "libc.so.6"] };

/// The output of a tool of binutils about the library.
fn about_library(tool: &str, options: &[&str]) -> String {
    let mut command = Command::new("timeout");
    command.env("LC_ALL", "C").args(["20", tool]).args(options).arg(artifacts::library());
    let done = command.output().expect("timeout is needed (coreutils)");
    assert!(done.status.success(), "{tool}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("symbols are ASCII")
}

#[test]
fn the_library_exports_its_hooks_and_nothing_else() {
    let text = about_library("nm", &["-D", "--defined-only"]);
    let exported: BTreeSet<&str> = text.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    let listed: BTreeSet<&str> = HOOKS.iter().copied().collect();
    assert_eq!(listed.len(), HOOKS.len(), "a hook is listed twice");
    let lost: Vec<_> = listed.difference(&exported).collect();
    let extra: Vec<_> = exported.difference(&listed).collect();
    assert!(exported == listed, "lost: {lost:?}, not listed: {extra:?}");
}

#[test]
fn the_library_loads_where_the_documentation_promises_it() {
    let text = about_library("nm", &["-D"]);
    let versions = text.lines().filter_map(|line| {
        let (_, version) = line.split_once("@GLIBC_")?;
        let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(u32::MAX));
        let version = (numbers.next()?, numbers.next()?);
        Some((version, line.trim()))
    });
    let newer: Vec<_> = versions.clone().filter(|(version, _)| *version > GLIBC).collect();
    assert!(versions.count() > 10, "{text}");
    assert!(newer.is_empty(), "newer than {GLIBC:?}: {newer:#?}");
}

#[test]
fn the_library_needs_nothing_but_libc_and_asks_for_no_risky_memory() {
    let dynamic = about_library("readelf", &["-dW"]);
    let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    let needed = needed.filter_map(|line| line.split_once('[')?.1.strip_suffix(']'));
    assert_eq!(needed.collect::<BTreeSet<_>>(), NEEDED.iter().copied().collect(), "{dynamic}");
    // Neither where it finds libraries nor what it changes in code is the business of a guest.
    for entry in ["TEXTREL", "RPATH", "RUNPATH"] {
        assert!(!dynamic.contains(entry), "{dynamic}");
    }
    let segments = about_library("readelf", &["-lW"]);
    let flags = |line: &str| line.split_whitespace().skip(6).take_while(|w| !w.starts_with("0x")).collect();
    for line in segments.lines().filter(|line| line.contains("LOAD") || line.contains("GNU_STACK")) {
        let flags: String = flags(line);
        assert!(!(flags.contains('W') && flags.contains('E')), "{line}");
    }
    assert!(segments.contains("GNU_STACK"), "without this entry the stack is executable:\n{segments}");
}

#[test]
fn the_program_finds_no_thread_no_descriptor_and_no_word_of_the_library_in_itself() {
    let sealed = World::new();
    servers::start(&sealed);
    let proxy = proxies::fake(&sealed);
    let direct = World::direct();
    servers::start(&direct);
    let itself = artifacts::program("itself");
    // By address in one and by name in the other: the direct world has no name server.
    let echo = port::ECHO.to_string();
    let natively = direct.client(&itself).args(["after", "10.99.0.1", &echo]).run();
    let wrapped = sealed.wrapped(proxy.url(), &itself).args(["after", "echo.test", &echo]).run();
    assert!(natively.status.success() && wrapped.status.success(), "{natively}\n{wrapped}");
    assert!(natively.stdout.contains("tasks 1\nchildren ECHILD\ndescriptor 0 "), "{natively}");
    assert_eq!(wrapped.stdout, natively.stdout);
    assert_eq!(wrapped.stderr, "");
    assert_eq!(proxy.requests().len(), 2);
    assert_eq!(sealed.leaks(), 0, "{:?}", sealed.leaked());
}
