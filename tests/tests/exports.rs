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
    "accept",
    "accept4",
    "bind",
    "connect",
    "epoll_ctl",
    "listen",
    // Calls by their number.
    "syscall",
    // Sockets.
    "__socket",
    "setsockopt",
    "socket",
    // What a socket says of itself.
    "getpeername",
    "getsockname",
    "getsockopt",
    // Datagrams.
    "__recvfrom_chk",
    "__sendmmsg",
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
    // Names, by functions that are libc's own.
    "__res_context_query",
    "__res_context_search",
    "__res_context_send",
    "_nss_dns_getcanonname_r",
    "_nss_dns_gethostbyaddr2_r",
    "_nss_dns_gethostbyaddr_r",
    "_nss_dns_gethostbyname2_r",
    "_nss_dns_gethostbyname3_r",
    "_nss_dns_gethostbyname4_r",
    "_nss_dns_gethostbyname_r",
    "_nss_dns_getnetbyaddr_r",
    "_nss_dns_getnetbyname_r",
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
    // Libraries that a program loads.
    "dlmopen",
    "dlopen",
    // Programs that a program starts.
    "__libc_system",
    "execl",
    "execle",
    "execlp",
    "execv",
    "execve",
    "execveat",
    "execvp",
    "execvpe",
    "fexecve",
    "_IO_popen",
    "popen",
    "pidfd_spawn",
    "pidfd_spawnp",
    "posix_spawn",
    "posix_spawn_file_actions_addchdir_np",
    "posix_spawn_file_actions_addfchdir_np",
    "posix_spawnp",
    "system",
];

/// What libc exports, has a word of [`TELLING`] in its name, and is no hook, by name (with `*`, by its beginning). A new libc
/// may bring a function that sends: then the test says so, and it gets a hook, or a place here.
const UNHOOKED: &[(&str, &[&str])] = &[
    (
        "on a socket that is connected, which a hook has judged, or within the machine",
        &[
            "__recv",
            "__recv_chk",
            "__send",
            "recv",
            "send",
            "sendfile",
            "sendfile64",
            "sockatmark",
            "socketpair",
        ],
    ),
    (
        "sets up, reads or writes what stays in memory",
        &[
            "__gethostname_chk",
            "__libc_res_nameinquery",
            "__rcmd_errstr",
            "__res_context_hostalias",
            "__res_context_mkquery",
            "__res_mkquery",
            "__res_nclose",
            "__res_ninit",
            "__res_nopt",
            "__res_nmkquery",
            "gethostname",
            "inet6_rth_getaddr",
            "posix_spawn_file_actions_*",
            "posix_spawnattr_*",
            "re_exec",
            "regexec",
            "res_mkquery",
            "res_nmkquery",
            "rexecoptions",
        ],
    ),
    (
        "reads files of this machine",
        &[
            "__internal_getnetgrent_r",
            "_nss_files_*",
            "gethostent",
            "gethostent_r",
            "getnetent",
            "getnetent_r",
            "getnetgrent",
            "getnetgrent_r",
        ],
    ),
    (
        "is something else",
        &["mq_send", "mq_timedsend", "pidfd_send_signal", "pthread_getname_np", "tcsendbreak"],
    ),
    (
        "RPC inside libc, for programs of before 2.32 (docs/limits.md)",
        &[
            "__libc_clntudp_bufcreate",
            "callrpc",
            "clnt_*",
            "clntraw_create",
            "clnttcp_create",
            "clntudp_bufcreate",
            "clntudp_create",
            "clntunix_create",
            "getnetname",
            "svc_sendreply",
            "svcerr_systemerr",
        ],
    ),
];

/// Parts of the names of what sends, asks for names, or starts programs.
const TELLING: &[&str] = &[
    "callrpc",
    "clnt_*",
    "clntraw_create",
    "clnttcp_create",
    "clntudp_bufcreate",
    "clntudp_create",
    "clntunix_create",
    "connect",
    "epoll_ctl",
    "exec",
    "getaddr",
    "gethost",
    "getname",
    "getnet",
    "nss_dns",
    "peername",
    "popen",
    "rcmd",
    "recv",
    "res_context",
    "res_n",
    "res_query",
    "res_search",
    "res_send",
    "send",
    "sock",
    "spawn",
    "syscall",
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

/// Every function that this system's libc exports, with its address.
fn libc_functions() -> Vec<(String, String)> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc is mounted");
    let mut paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let path = paths.find(|path| path.ends_with("/libc.so.6")).expect("this test uses libc");
    let done =
        Command::new("timeout").env("LC_ALL", "C").args(["20", "nm", "-D", "--defined-only", path]).output();
    let text =
        String::from_utf8(done.expect("timeout is needed (coreutils)").stdout).expect("symbols are ASCII");
    let function = |line: &str| {
        let mut words = line.split_whitespace();
        let (address, kind, name) = (words.next()?, words.next()?, words.next()?);
        let name = name.split('@').next()?;
        matches!(kind, "T" | "W" | "i").then(|| (address.to_owned(), name.to_owned()))
    };
    let functions: Vec<_> = text.lines().filter_map(function).collect();
    assert!(functions.len() > 1000, "{text}");
    functions
}

#[test]
fn no_other_name_of_a_hooked_function_leads_past_the_hook() {
    let functions = libc_functions();
    let hooked = |name: &str| HOOKS.contains(&name);
    let addresses: BTreeSet<_> =
        functions.iter().filter(|(_, name)| hooked(name)).map(|(address, _)| address).collect();
    assert!(addresses.len() > 60, "{addresses:?}");
    let past: BTreeSet<_> =
        functions.iter().filter(|(address, name)| addresses.contains(address) && !hooked(name)).collect();
    assert!(past.is_empty(), "{past:?}");
}

#[test]
fn what_libc_exports_that_may_send_is_hooked_or_known() {
    let functions = libc_functions();
    let known = |name: &str| {
        HOOKS.contains(&name)
            || UNHOOKED.iter().flat_map(|(_, names)| *names).any(|known| match known.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning),
                None => name == *known,
            })
    };
    let tells = |name: &str| TELLING.iter().any(|word| name.contains(word));
    let names: BTreeSet<_> =
        functions.iter().map(|(_, name)| name.as_str()).filter(|name| tells(name)).collect();
    assert!(names.len() > 100, "{names:?}");
    let new: Vec<_> = names.iter().filter(|name| !known(name)).collect();
    assert!(new.is_empty(), "{new:?}");
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
