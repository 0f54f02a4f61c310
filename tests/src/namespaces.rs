//! The two sides of a world as processes and namespaces.
//!
//! A world is one process tree in a PID namespace of its own: when its first process ends, the
//! kernel ends all others, agents included, and the network goes with them. The first process is
//! `cat` on a pipe from the test, so it also ends when the test is killed. It ignores SIGCHLD, so
//! that orphans are reaped. An ordinary user becomes root of a user namespace.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::patience::PATIENCE;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The processes that keep the namespaces.
pub(crate) struct Namespaces {
    unshare: Child,
    /// First process of the client side, as seen from here.
    pub(crate) client: u32,
    /// First process of the far side, as seen from here.
    pub(crate) far: u32,
    own_users: bool,
}

/// Runs in the new namespaces as their first process. /run is made private: it holds the agent's
/// directory when root runs, and nscd's and resolved's sockets, which would answer for the world.
/// /dev/shm too: programs name what is there by their process ids, which the worlds have in common.
/// The neighbours are told to each other, since discovery may fail while a link comes up.
const CLIENT: &str = r#"
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mkfifo /run/far
printf 'nameserver 10.77.0.1\noptions timeout:10 attempts:1\n' >"$1/resolv.conf"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n' >"$1/hosts"
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$1/nsswitch.conf"
cp "$1/hosts" "$1/far-hosts"
printf '10.99.0.1 %s\nfd99::1 v6.test\n' "echo.test web.test far.test" >>"$1/far-hosts"
for f in resolv.conf hosts nsswitch.conf; do mount --bind "$1/$f" "/etc/$f"; done
ip link set lo up
unshare --net --mount sh -c "mount --bind '$1/far-hosts' /etc/hosts; : >/run/far; exec sleep infinity" &
far=$!
read _ </run/far || :
ip link add veth-c address 02:00:00:00:00:02 type veth peer name veth-n address 02:00:00:00:00:01
ip link set veth-n netns $far
ip link set veth-c addrgenmode none up
nsenter -t $far --net sh -e <<END
ip link set lo up
ip link set veth-n addrgenmode none up
ip addr add 10.77.0.1/24 dev veth-n
ip addr add fd77::1/64 dev veth-n nodad
ip neigh add 10.77.0.2 lladdr 02:00:00:00:00:02 dev veth-n
ip neigh add fd77::2 lladdr 02:00:00:00:00:02 dev veth-n
ip addr add 10.99.0.1/32 dev lo
ip addr add fd99::1/128 dev lo nodad
ip route add unreachable 10.99.0.77
ip route add unreachable fd99::77
ip route add 10.99.0.66 dev veth-n
ip route add fd99::66 dev veth-n
nft -f '$1/rules.nft'
END
ip addr add 10.77.0.2/24 dev veth-c
ip addr add fd77::2/64 dev veth-c nodad
ip neigh add 10.77.0.1 lladdr 02:00:00:00:00:01 dev veth-c
ip neigh add fd77::1 lladdr 02:00:00:00:00:01 dev veth-c
ip route add default via 10.77.0.1
ip -6 route add default via fd77::1
echo "ready $far"
exec env --ignore-signal=CHLD cat
"#;

impl Namespaces {
    /// `directory` holds `rules.nft`, the far side's packet rules, and receives files that are
    /// mounted over those of /etc.
    pub(crate) fn new(directory: &Path) -> Self {
        let own_users = !rustix::process::geteuid().is_root();
        let mut command = Command::new("unshare");
        if own_users {
            command.args(["--user", "--map-root-user"]);
        }
        let mut unshare = command
            .args(["--net", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child"])
            .args(["sh", "-c", CLIENT, "world"])
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("unshare is needed (util-linux)");

        let mut line = String::new();
        let stdout = unshare.stdout.take().expect("it is a pipe");
        let ready = BufReader::new(stdout).read_line(&mut line).is_ok() && line.starts_with("ready ");
        if !ready {
            let mut why = String::new();
            let mut stderr = unshare.stderr.take().expect("it is a pipe");
            drop(unshare.stdin.take());
            let _ = unshare.wait();
            let _ = stderr.read_to_string(&mut why);
            panic!("no namespaces (ip, nft, unshare and nsenter are needed): {why}");
        }
        let client = children(unshare.id()).next().expect("unshare has a child");
        let is_far =
            |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c == "sleep\n");
        // It has said that it is there before it becomes `sleep`.
        let limit = Instant::now() + PATIENCE;
        let far = loop {
            if let Some(far) = children(client).find(is_far) {
                break far;
            }
            assert!(Instant::now() < limit, "the far side does not run");
            std::thread::sleep(Duration::from_millis(1));
        };
        Self { unshare, client, far, own_users }
    }

    /// A command line that enters the side of this process; the program follows it.
    pub(crate) fn enter(&self, side: u32) -> Vec<String> {
        let mut line: Vec<String> =
            ["nsenter", "-t", &side.to_string(), "--mount", "--net"].map(String::from).into();
        line.push(format!("--pid=/proc/{}/ns/pid", self.client));
        if self.own_users {
            line.extend(["--user", "--preserve-credentials"].map(String::from));
        }
        line
    }

    /// Every process of the world, as seen from here.
    pub(crate) fn processes(&self) -> Vec<u32> {
        processes().filter(|pid| self.holds(*pid)).collect()
    }

    /// Sends a signal to a process of the world; whether there was one with this number.
    pub(crate) fn signal(&self, pid: u32, signal: Signal) -> bool {
        signal_if(pid, signal, |pid| self.holds(pid))
    }

    fn holds(&self, pid: u32) -> bool {
        let namespace = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        namespace(self.client).is_some_and(|ours| namespace(pid) == Some(ours))
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // The pipe's end ends `cat`, and with it all the rest; unshare waits for it.
        drop(self.unshare.stdin.take());
        let _ = self.unshare.wait();
    }
}

/// The children of a process.
pub(crate) fn children(pid: u32) -> impl Iterator<Item = u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>().into_iter()
}

/// Every process that can be seen from here.
pub(crate) fn processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc is mounted");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Sends a signal to a process if it is the one that is meant: between a list of processes and a signal the number may
/// have been given to another one.
pub(crate) fn signal_if(pid: u32, signal: Signal, is_meant: impl Fn(u32) -> bool) -> bool {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let Some(process) = process.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return false;
    };
    is_meant(pid) && pidfd_send_signal(&process, signal).is_ok()
}
