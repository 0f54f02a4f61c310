//! More machines in a world, joined by cables to each other and to the client side.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::world::listens_in;
use crate::{Command, PATIENCE, Running, World};

/// A network with nothing in it but what cables bring, and an /etc/hosts of its own. It forwards nothing.
pub struct Machine {
    _process: Running,
    /// The process that keeps it, as seen from the test.
    pub(crate) pid: u32,
    /// The same as seen in the world.
    inside: String,
}

/// An end of a cable.
pub enum End<'a> {
    /// The client side of the world.
    Client,
    /// Another machine.
    Machine(&'a Machine),
}

const MACHINE: &str = r#"
mount --bind "$1" /etc/hosts
ip link set lo up
echo 0 >/proc/sys/net/ipv4/ip_forward
echo $$
exec sleep infinity
"#;

/// The neighbours are told to each other, as those of the world are.
const CABLE: &str = r#"
number=$1 left=$2 right=$3
l=02:00:00:01:$number:01
r=02:00:00:01:$number:02
on() { nsenter -t "$1" --net sh -ec "$2"; }
on $left "ip link add right address $l type veth peer name left address $r netns $right
ip link set right addrgenmode none up
ip addr add 10.88.$number.1/24 dev right
ip neigh add 10.88.$number.2 lladdr $r dev right"
on $right "ip link set left addrgenmode none up
ip addr add 10.88.$number.2/24 dev left
ip neigh add 10.88.$number.1 lladdr $l dev left"
"#;

impl World {
    /// A machine that knows these names: lines of /etc/hosts.
    pub fn machine(&self, name: &str, hosts: &str) -> Machine {
        let file: PathBuf = self.directory().join(format!("hosts-{name}"));
        std::fs::write(&file, format!("127.0.0.1 localhost\n{hosts}")).expect("the directory is ours");
        let command = self.client("unshare").args(["--net", "--mount", "sh", "-ec", MACHINE, "machine"]);
        let mut process = command.arg(file).limit(Duration::MAX).spawn();
        let inside = process.next_line();
        Machine { pid: process.pid(), _process: process, inside }
    }

    /// A cable from `right` of one to `left` of the other, `10.88.NUMBER.1` and `10.88.NUMBER.2`.
    pub fn cable(&self, number: u8, left: &End<'_>, right: &Machine) {
        assert!(number < 10, "the number is part of a hardware address");
        // The first process of the world keeps its client side.
        let left = match left {
            End::Client => "1",
            End::Machine(machine) => &machine.inside,
        };
        let command = self.client("sh").args(["-ec", CABLE, "cable", &format!("{number}"), left]);
        command.arg(&right.inside).run().success();
    }

    /// A program on another machine.
    pub fn on(&self, machine: &Machine, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.command(machine.pid, program.as_ref())
    }
}

impl Machine {
    /// Waits until something listens on this TCP port.
    pub fn wait_listening(&self, port: u16) {
        let limit = Instant::now() + PATIENCE;
        while !listens_in(self.pid, port) {
            assert!(Instant::now() < limit, "nothing listens on port {port}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
