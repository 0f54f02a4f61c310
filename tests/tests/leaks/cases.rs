//! The ways out, by the number of their check.

use crate::around::{self, During, Prepare};

/// One way out, as a program's command line.
pub(crate) struct Case {
    pub(crate) number: &'static str,
    pub(crate) way: &'static str,
    /// Words in braces are programs and places ([`crate::place`]); `{wrapper}` is where the wrapper goes, in
    /// front where it is not said.
    pub(crate) line: &'static str,
    pub(crate) needs: Needs,
    /// Before anything runs.
    pub(crate) prepare: Option<Prepare>,
    /// While it runs.
    pub(crate) during: Option<During>,
}

/// What a way needs to be one: without it the control cannot leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    /// More users than one.
    Root,
    /// A kernel that has it. The program says whether.
    Kernel,
}

const fn case(number: &'static str, way: &'static str, line: &'static str) -> Case {
    Case { number, way, line, needs: Needs::Nothing, prepare: None, during: None }
}

impl Case {
    const fn root(self) -> Self {
        Self { needs: Needs::Root, ..self }
    }

    const fn kernel(self) -> Self {
        Self { needs: Needs::Kernel, ..self }
    }

    const fn prepared(self, prepare: Prepare) -> Self {
        Self { prepare: Some(prepare), ..self }
    }

    const fn during(self, during: During) -> Self {
        Self { during: Some(during), ..self }
    }
}

/// In the order of their numbers.
pub(crate) const CASES: &[Case] = &[
    case("L01", "a static program", "{static} blocking"),
    case("L01", "a static program, with epoll", "{static} epoll"),
    case("L01", "a static program's datagram", "{static} udp"),
    case("L01", "busybox, statically linked", "busybox wget -q -O - http://10.99.0.1:8088/page")
        .prepared(around::web),
    case("L01", "a static program that a shell starts", "sh {script} {static} blocking"),
    case("L02", "Go's own connections", "hey -n 1 -c 1 -t 8 http://10.99.0.1:8088/page")
        .prepared(around::web),
    case(
        "L02",
        "Go's own connections, started by a shell",
        "sh {script} hey -n 1 -c 1 -t 8 http://10.99.0.1:8088/page",
    )
    .prepared(around::web),
    case("L03", "a 32-bit program", "{32}"),
    case("L03", "a 32-bit program that a shell starts", "sh {script} {32}"),
    case("L04", "a program of musl", "{musl} blocking"),
    case("L04", "a program of musl that a shell starts", "sh {script} {musl} blocking"),
    case("L05", "where the library is not to be found (chroot)", "chroot {root} /plain blocking"),
    case("L06", "a set-user-ID program, by execve", "{start} execve {setuid} blocking").root(),
    case("L06", "a set-user-ID program, by execv", "{start} execv {setuid} blocking").root(),
    case("L06", "a set-user-ID program, by execvp", "{start} execvp {setuid} blocking").root(),
    case("L06", "a set-user-ID program, by posix_spawn", "{start} spawn {setuid} blocking").root(),
    case("L07", "env -i", "env -i {plain} blocking"),
    case("L07", "execve without an environment", "{start} clean-execve {plain} blocking"),
    case("L07", "posix_spawn without an environment", "{start} clean-spawn {plain} blocking"),
    case("L07", "vfork without an environment", "{start} clean-vfork {plain} blocking"),
    case("L07", "syscall(SYS_execve) without an environment", "{start} clean-syscall {plain} blocking"),
    case("L07", "a shell that unsets its variables", "bash {unset} {plain} blocking"),
    case("L07", "Python's subprocess with env={}", "/usr/bin/python3 {subprocess} {plain} blocking"),
    case("L07", "execve by instruction without an environment", "{start} clean-bare {plain} blocking"),
    case("L08", "a static image in memory (memfd, fexecve)", "{start} memory {static} blocking"),
    case("L08", "a static program below a folder's descriptor (execveat)", "{start} below {static} blocking"),
    case("L08", "a static program, with no descriptor left", "{start} full {static} blocking"),
    case("L08", "a script of a static interpreter", "sh {script} {busyscript}").prepared(around::web),
    case("L09", "a grandchild that outlives its parents", "{start} background {plain} blocking"),
    case("L10", "with jemalloc", "env LD_PRELOAD=libjemalloc.so.2 {wrapper} {plain} blocking"),
    case("L10", "with faketime", "faketime 2020-01-01 {wrapper} {plain} blocking"),
    case("L10", "with fakeroot", "fakeroot {wrapper} {plain} blocking"),
    case("L11", "after it has dropped its privileges", "{plain} dropped").root(),
    case("L12", "syscall(SYS_connect)", "{stream} number"),
    case("L13", "connect by instruction", "{beside} instruction"),
    case("L13", "sendto by instruction", "{beside} datagram"),
    case("L13", "connect by the instruction of 32-bit programs", "{beside} gate").kernel(),
    case("L14", "connect by io_uring", "{beside} ring connect").kernel(),
    case("L14", "socket and connect by io_uring", "{beside} ring socket").kernel(),
    case("L14", "sendmsg by io_uring", "{beside} ring sendmsg").kernel(),
    case("L15", "__connect", "{stream} alias"),
    case("L15", "dlsym of libc's handle", "{beside} handle"),
    case("L15", "Python's ctypes", "/usr/bin/python3 {ctypes}"),
    case("L16", "a second libc (dlmopen)", "{beside} namespace"),
    case("L17", "dlsym(RTLD_NEXT)", "{stream} next"),
    case("L17", "a library that is bound to libc first (RTLD_DEEPBIND)", "{beside} deep libnss_leak.so.2"),
    case("L17", "another preload library before", "env LD_PRELOAD={second} {wrapper} {plain} blocking"),
    case(
        "L17",
        "another preload library put first by the program",
        "sh {preloads} {second} {plain} blocking",
    ),
    case("L18", "a library with a connect of its own inside", "{beside} symbolic {symbolic}"),
    case("L19", "TCP Fast Open by sendto", "{stream} fast-open sendto"),
    case("L19", "TCP Fast Open by sendmsg", "{stream} fast-open sendmsg"),
    case("L19", "TCP Fast Open by sendmmsg", "{stream} fast-open sendmmsg"),
    case("L19", "TCP Fast Open by option", "{stream} fast-open option"),
    case(
        "L20",
        "a module of the name service that connects",
        "env LD_LIBRARY_PATH={dir} {name} getpwnam nobody-here",
    )
    .prepared(around::module),
    case("L21", "dup, and the copy connects", "{stream} copy dup"),
    case("L21", "dup3, and the copy connects", "{stream} copy dup3"),
    case("L21", "fcntl(F_DUPFD), and the copy connects", "{stream} copy fcntl"),
    case("L21", "after close_range of everything", "{stream} close-range"),
    case("L21", "a child connects its parent's socket", "{stream} forked"),
    case("L21", "a sibling connects a socket that was passed to it", "{stream} passed"),
    case("L21", "AF_UNSPEC and connect, after a connection", "{stream} reused connected"),
    case("L21", "AF_UNSPEC and connect, after an accept", "{stream} reused accepted"),
    case("L21", "a listening socket that connects", "{stream} reused listener"),
    case("L21", "AF_UNSPEC and connect of a datagram socket", "{datagram} again 10.99.0.1"),
    case("L22", "IPv6", "{stream} v6"),
    case("L22", "IPv4-mapped IPv6", "{stream} mapped"),
    case("L23", "MPTCP", "{stream} mptcp").kernel(),
    case("L23", "SMC", "{stream} smc").kernel(),
    case("L24", "a datagram by sendto", "{datagram} sendto 10.99.0.1"),
    case("L24", "a datagram by connect and send", "{datagram} connect 10.99.0.1"),
    case("L24", "a datagram by sendmsg", "{datagram} sendmsg 10.99.0.1"),
    case("L24", "a datagram by sendmmsg", "{datagram} sendmmsg 10.99.0.1"),
    case("L24", "a datagram by IPv6", "{datagram} sendto fd99::1"),
    case("L24", "a datagram by IPv4-mapped IPv6", "{datagram} sendto ::ffff:10.99.0.1"),
    case("L24", "UDP-Lite", "{datagram} sendto 10.99.0.1 136").kernel(),
    case("L24", "a datagram by a named interface (IP_PKTINFO)", "{datagram} steered 10.99.0.1"),
    case("L24", "a datagram by a named interface (IPV6_PKTINFO)", "{datagram} steered fd99::1"),
    case("L24", "a datagram by a named interface (mapped)", "{datagram} steered ::ffff:10.99.0.1"),
    case("L24", "a datagram by a named interface (IP_UNICAST_IF)", "{datagram} interface 10.99.0.1"),
    case("L24", "a datagram by a named interface (SO_BINDTODEVICE)", "{datagram} device 10.99.0.1"),
    case("L25", "a ping socket", "{datagram} kind icmp").kernel().prepared(around::pings),
    case("L25", "a raw socket", "{datagram} kind raw"),
    case("L25", "a packet socket", "{datagram} kind packet"),
    case("L25", "SCTP", "{datagram} kind sctp").kernel(),
    case("L25", "DCCP", "{datagram} kind dccp").kernel(),
    case("L26", "multicast (mDNS)", "{datagram} multicast 224.0.0.251"),
    case("L26", "multicast by IPv6, with a scope", "{datagram} scoped ff02::fb"),
    case("L26", "broadcast", "{datagram} broadcast 10.77.0.255"),
    case("L26", "broadcast to everybody", "{datagram} broadcast 255.255.255.255"),
    case("L26", "the name printer.local", "{name} getaddrinfo printer.local"),
    case("L26", "the name wpad", "{name} getaddrinfo wpad"),
    case("L26", "the name app.localhost", "{name} getaddrinfo app.localhost"),
    case("L28", "a server on all addresses", "{given} listen")
        .prepared(around::refusals_do_not_count)
        .during(around::somebody_comes),
    case("L29", "a socket from before the launch", "{given} hand-down {wrapper} {given} handed-down"),
    case("L30", "a socket passed by another process (recvmsg)", "{given} recvmsg {dir}/helper/socket")
        .prepared(around::helper),
    case("L30", "a socket passed by another process (recvmmsg)", "{given} recvmmsg {dir}/helper/socket")
        .prepared(around::helper),
    case("L31", "getaddrinfo where nscd runs", "{name} getaddrinfo echo.test").prepared(around::cache),
    case("L31", "getaddrinfo of a static program where nscd runs", "{staticname} getaddrinfo echo.test")
        .prepared(around::cache),
    case("L31", "a question to nscd by its socket", "{given} ask /var/run/nscd/socket")
        .prepared(around::cache),
    case(
        "L31",
        "a question to systemd-resolved by its socket",
        "{given} ask /run/systemd/resolve/io.systemd.Resolve",
    )
    .prepared(around::resolved),
    case("L31", "a question to avahi by its socket", "{given} ask /run/avahi-daemon/socket")
        .prepared(around::avahi),
    case("L32", "an instance of itself that runs outside", "{given} ask {dir}/helper/socket")
        .prepared(around::helper),
    case("L32", "the same, told by a datagram", "{given} tell {dir}/helper/socket.datagrams")
        .prepared(around::helper),
    case("L34", "getaddrinfo", "{name} getaddrinfo echo.test"),
    case("L34", "getaddrinfo with a service", "{name} service echo.test"),
    case("L34", "gethostbyname", "{name} gethostbyname echo.test"),
    case("L34", "gethostbyname2", "{name} gethostbyname2 v6.test"),
    case("L34", "gethostbyname_r", "{name} gethostbyname_r echo.test"),
    case("L34", "gethostbyname2_r", "{name} gethostbyname2_r echo.test"),
    case("L34", "gethostbyaddr", "{name} gethostbyaddr -"),
    case("L34", "gethostbyaddr_r", "{name} gethostbyaddr_r -"),
    case("L34", "getnameinfo", "{name} getnameinfo -"),
    case("L35", "res_query", "{name} res_query echo.test"),
    case("L35", "res_search", "{name} res_search echo.test"),
    case("L35", "res_nquery", "{name} res_nquery echo.test"),
    case("L35", "res_send", "{name} res_send echo.test"),
    case("L35", "getaddrinfo_a", "{name} getaddrinfo_a echo.test"),
    case("L35", "a DNS datagram of the program's own", "{name} datagram echo.test"),
    case("L35", "dig", "dig +tries=1 +time=5 echo.test"),
    case("L37", "an address that stands for no name", "{plain} stale"),
    case("L38", "another thread changes the address meanwhile", "{given} race flip 3000"),
    case("L39", "after the agent was killed", "{plain} line").during(around::agent_ends),
];
