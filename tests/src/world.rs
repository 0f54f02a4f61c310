//! One test's network, directories and packet counts.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::artifacts;
use crate::command::Command;
use crate::namespaces::Namespaces;
use crate::patience::PATIENCE;

/// A client side (`10.77.0.2`, `fd77::2`) and a far side (`10.77.0.1`, `fd77::1`), on which the
/// proxies run and beyond which lie the destinations of [`crate::servers`].
///
/// The client's default route leads to the far side, and so does its name server, so that
/// whatever does not go through a proxy is seen there.
pub struct World {
    // Before the directory: processes end, then their files go.
    namespaces: Namespaces,
    directory: Directory,
}

/// Counts, and drops, what comes from the client and is not for a proxy. Neighbour discovery,
/// router solicitations and multicast listener reports are the kernel's own, and so is what it tells a proxy whose
/// datagram comes when the program has ended, and the socket for it is closed. The later fragments of a datagram name
/// no port; its first is counted.
const SEALED: &str = r"
table inet world {
  set proxies { type inet_service; }
  set relays { type inet_service; flags interval; }
  set leaked4 { type ipv4_addr . inet_proto . inet_service; }
  set leaked6 { type ipv6_addr . inet_proto . inet_service; }
  counter leaks { }
  chain in {
    type filter hook prerouting priority raw; policy accept;
    iifname != veth-n accept
    ip daddr 10.77.0.1 tcp dport @proxies accept
    ip daddr 10.77.0.1 udp dport @relays accept
    ip daddr 10.77.0.1 ip frag-off & 0x1fff != 0 accept
    ip daddr 10.77.0.1 icmp type destination-unreachable accept
    ip6 daddr fd77::1 tcp dport @proxies accept
    icmpv6 type { 130, 131, 132, 133, 134, 135, 136, 143 } accept
    counter name leaks
    add @leaked4 { ip daddr . ip protocol . th dport }
    add @leaked6 { ip6 daddr . ip6 nexthdr . th dport }
    drop
  }
  chain out {
    type filter hook output priority raw; policy accept;
    ip daddr 10.99.0.66 drop
    ip6 daddr fd99::66 drop
  }
}";

/// Everything is reachable without a proxy. The first SYN to the ports 8000 to 8999 is dropped, so
/// that a connection to them takes the second until the kernel sends it again; and the first two to the
/// ports 9000 to 9999. One that is sent again has the sequence number that it had; ports come round.
const DIRECT: &str = r"
table inet world {
  counter leaks { }
  set proxies { type inet_service; }
  set relays { type inet_service; flags interval; }
  set leaked4 { type ipv4_addr . inet_proto . inet_service; }
  set leaked6 { type ipv6_addr . inet_proto . inet_service; }
  set tried { typeof tcp sport . tcp dport . tcp sequence; flags dynamic, timeout; size 65535; timeout 10s; }
  set again { typeof tcp sport . tcp dport . tcp sequence; flags dynamic, timeout; size 65535; timeout 10s; }
  chain in {
    type filter hook prerouting priority raw; policy accept;
    iifname != veth-n accept
    tcp flags & (syn | ack) == syn tcp dport 8000-9999 tcp sport . tcp dport . tcp sequence != @tried add @tried { tcp sport . tcp dport . tcp sequence } drop
    tcp flags & (syn | ack) == syn tcp dport 9000-9999 tcp sport . tcp dport . tcp sequence != @again add @again { tcp sport . tcp dport . tcp sequence } drop
    ip daddr 10.99.0.66 drop
    ip6 daddr fd99::66 drop
    ip daddr 10.99.0.77 reject with icmp type host-unreachable
    ip daddr 10.99.0.78 reject with icmp type net-unreachable
    ip6 daddr fd99::77 reject with icmpv6 type addr-unreachable
    ip6 daddr fd99::78 reject with icmpv6 type no-route
  }
}";

impl World {
    /// A world in which nothing but proxies may be reached from the client side.
    pub fn new() -> Self {
        Self::with(SEALED)
    }

    /// A world for native runs: the client side reaches the destinations themselves, and what it
    /// sends is not counted.
    pub fn direct() -> Self {
        Self::with(DIRECT)
    }

    fn with(rules: &str) -> Self {
        let directory = Directory::new();
        std::fs::write(directory.0.join("rules.nft"), rules).expect("the directory is ours");
        for own in ["home", "run"] {
            let own = directory.0.join(own);
            std::fs::create_dir(&own).expect("the directory is ours");
            private(&own);
        }
        Self { namespaces: Namespaces::new(&directory.0), directory }
    }

    /// A directory that this test and the programs of both sides see at the same path; it is the
    /// working directory of all programs and goes with the world.
    pub fn directory(&self) -> &Path {
        &self.directory.0
    }

    /// A program on the client side, without underpass.
    pub fn client(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.command(self.namespaces.client, program.as_ref())
    }

    /// A program on the client side under `underpass -x UPSTREAM --`.
    pub fn wrapped(&self, upstream: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.client(artifacts::underpass()).args(["-x", upstream, "--"]).arg(program)
    }

    /// A program on the far side, where the proxies and the destinations are.
    pub fn far(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.command(self.namespaces.far, program.as_ref())
    }

    /// A program on the far side as the only user of a user namespace, `far`: what refuses to run as root
    /// (squid, PostgreSQL), or as root wants more users than an ordinary user can make (sshd).
    pub fn far_user(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.only_user(self.far("unshare"), program)
    }

    /// The same on the client side.
    pub fn client_user(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.only_user(self.client("unshare"), program)
    }

    fn only_user(&self, unshare: Command, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let home = self.directory().display();
        let [passwd, group] = ["far-passwd", "far-group"].map(|name| self.directory().join(name));
        // Once: another program may be reading them.
        if !passwd.exists() {
            let line = format!("far:x:1000:1000:far:{home}:/bin/bash\n");
            std::fs::write(&passwd, line).expect("the directory is ours");
            std::fs::write(&group, "far:x:1000:\n").expect("the directory is ours");
        }
        let script = r#"
            mount --bind "$1" /etc/passwd
            mount --bind "$2" /etc/group
            shift 2
            exec unshare --user --map-user=1000 --map-group=1000 -- "$@""#;
        let unshare = unshare.args(["--mount", "sh", "-ec", script, "far"]);
        unshare.args([passwd, group]).arg(program)
    }

    /// A program outside of the world, as the user who runs the test.
    pub fn outside(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.environment(Command::new(vec!["env".to_owned()], &self.directory.0, program.as_ref()))
    }

    pub(crate) fn command(&self, side: u32, program: &std::ffi::OsStr) -> Command {
        let enter = self.namespaces.enter(side);
        self.environment(Command::new(enter, &self.directory.0, program))
    }

    fn environment(&self, command: Command) -> Command {
        let directory = &self.directory.0;
        command
            .env("HOME", directory.join("home"))
            .env("XDG_RUNTIME_DIR", directory.join("run"))
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LANG", "C.UTF-8")
    }

    /// From now on packets to this TCP port of `10.77.0.1` and `fd77::1` are no leaks.
    pub fn allow_proxy(&self, port: u16) {
        let done = self.nft(&["add", "element", "inet", "world", "proxies", &format!("{{ {port} }}")]);
        assert!(done.is_empty(), "{done}");
    }

    /// From now on datagrams to these ports of `10.77.0.1` are no leaks: a proxy's relays are there.
    pub fn allow_relays(&self, first: u16, last: u16) {
        let done = self.nft(&["add", "element", "inet", "world", "relays", &format!("{{ {first}-{last} }}")]);
        assert!(done.is_empty(), "{done}");
    }

    /// How many packets the client side sent to anything but a proxy.
    pub fn leaks(&self) -> u64 {
        let text = self.nft(&["list", "counter", "inet", "world", "leaks"]);
        let mut words = text.split_whitespace().skip_while(|&word| word != "packets");
        words.nth(1).and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no count in {text}"))
    }

    /// Where those packets went: `address . protocol . port`.
    pub fn leaked(&self) -> Vec<String> {
        let list = |set| self.nft(&["list", "set", "inet", "world", set]);
        [list("leaked4"), list("leaked6")]
            .iter()
            .filter_map(|text| text.split_once("elements = {")?.1.split_once('}'))
            .flat_map(|(elements, _)| elements.split(',').map(|e| e.trim().to_owned()).collect::<Vec<_>>())
            .collect()
    }

    fn nft(&self, arguments: &[&str]) -> String {
        let done = self.far("nft").args(arguments).run();
        assert!(done.status.success(), "{done}");
        done.stdout
    }

    /// Waits until something listens on this TCP port of the far side.
    pub fn wait_listening(&self, port: u16) {
        let limit = Instant::now() + PATIENCE;
        while !self.listens(port) {
            assert!(Instant::now() < limit, "nothing listens on port {port}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether something listens on this TCP port of the far side.
    pub fn listens(&self, port: u16) -> bool {
        listens_in(self.namespaces.far, port)
    }

    /// The agents that run in this world, as process ids of the test's own namespace.
    pub fn agents(&self) -> Vec<u32> {
        let is_agent = |pid: &u32| {
            std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| {
                exe.file_name().is_some_and(|n| n.to_string_lossy().starts_with("underpass-agent"))
            }) && std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
                // Relays are the same program.
                line.split(|&byte| byte == 0).nth(1) == Some(b"run")
            })
        };
        self.processes().into_iter().filter(is_agent).collect()
    }

    /// Where an agent of this world keeps its files, which the client side sees there.
    pub fn agent_directory(&self, agent: u32) -> PathBuf {
        let line = std::fs::read(format!("/proc/{agent}/cmdline")).expect("the agent lives");
        let line = String::from_utf8(line).expect("a path of ours is UTF-8");
        let mut words = line.split('\0').skip_while(|&word| word != "--directory");
        words.nth(1).expect("it is told its directory").into()
    }

    /// Every process of this world, as process ids of the test's own namespace.
    pub fn processes(&self) -> Vec<u32> {
        self.namespaces.processes()
    }

    /// Sends a signal to a process of this world; whether there was one with this number.
    pub fn signal(&self, pid: u32, signal: Signal) -> bool {
        self.namespaces.signal(pid, signal)
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether something listens on this TCP port where this process is.
pub(crate) fn listens_in(side: u32, port: u16) -> bool {
    let wanted = format!(":{port:04X}");
    let listens = |file| {
        let text = std::fs::read_to_string(format!("/proc/{side}/net/{file}"));
        text.unwrap_or_default().lines().any(|line| {
            let mut fields = line.split_whitespace().skip(1);
            fields.next().is_some_and(|local| local.ends_with(&wanted)) && fields.nth(1) == Some("0A")
        })
    };
    listens("tcp") || listens("tcp6")
}

/// A directory of one world; removed when dropped.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            // Not below TMPDIR: a long path would not fit a Unix socket's name.
            let path = PathBuf::from(format!("/tmp/underpass-world-{}-{number}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => return Self(path),
                // Of a test that was killed, whose process had the same number.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).expect("the directory is ours");
}
