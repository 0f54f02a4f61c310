//! A world with a service manager that only listens.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use underpass_tests::proxies::{self, Fake};
use underpass_tests::{Command, PATIENCE, Running, World, artifacts, servers, wait};

/// What a service tells its manager.
pub(crate) struct Manager(UnixDatagram);

impl Manager {
    /// At `notify` in the world's directory.
    pub(crate) fn new(world: &World) -> Self {
        Self(UnixDatagram::bind(world.directory().join("notify")).expect("the directory is ours"))
    }

    /// The next message, if one comes within this time.
    pub(crate) fn next_within(&self, time: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(time)).expect("it is not zero");
        let mut message = [0; 4096];
        let length = self.0.recv(&mut message).ok()?;
        Some(String::from_utf8(message[..length].to_vec()).expect("it is text"))
    }

    /// The first message with this line; those before it are passed over.
    #[track_caller]
    pub(crate) fn wait(&self, line: &str) -> String {
        let limit = Instant::now() + PATIENCE;
        while Instant::now() < limit {
            match self.next_within(PATIENCE) {
                Some(message) if message.lines().any(|one| one == line) => return message,
                _ => {}
            }
        }
        panic!("{line} was not told");
    }
}

/// Waits until a manager is told of another process, and that it serves; gives its number in the world.
#[track_caller]
pub(crate) fn succeeded(manager: &Manager) -> String {
    let limit = Instant::now() + PATIENCE;
    while Instant::now() < limit {
        let told = manager.next_within(PATIENCE);
        if let Some(pid) = told.as_deref().and_then(|told| told.trim_end().strip_prefix("MAINPID=")) {
            manager.wait("READY=1");
            return pid.lines().next().unwrap_or_default().to_owned();
        }
    }
    panic!("no other process was told of");
}

/// The agent, which has nothing to drain, is succeeded twice: the third has all from one that had it from another.
#[track_caller]
pub(crate) fn succeeded_twice(world: &World, manager: &Manager, agent: Running) {
    agent.signal(Signal::USR2);
    succeeded(manager);
    assert_eq!(agent.succeeded(), Some(0));
    let second = world.agents()[0];
    assert!(world.signal(second, Signal::USR2));
    succeeded(manager);
    wait("the second ends", || world.agents().len() == 1 && world.agents() != [second]);
}

pub(crate) fn world() -> (World, Fake, Manager) {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let manager = Manager::new(&world);
    (world, proxy, manager)
}

/// The agent's program on the client's side, as a service.
pub(crate) fn service(world: &World, arguments: &[&str]) -> Command {
    let notify = world.directory().join("notify");
    let agent = world.client(artifacts::agent()).args(arguments).limit(Duration::MAX);
    agent.env("NOTIFY_SOCKET", notify).env("TMPDIR", "/tmp")
}

/// A door for SOCKS at port 1081 in front of this proxy, with these options.
pub(crate) fn door(world: &World, proxy: &Fake, options: &[&str]) -> Command {
    service(world, &["run", "--listen", "socks5://127.0.0.1:1081", "-x", proxy.url()]).args(options)
}

/// Opens a connection by the door, and shows that it lives with each line that it is given.
pub(crate) fn echo(world: &World) -> Running {
    let script = "import socket, struct, sys
s = socket.create_connection(('127.0.0.1', 1081), 60)
s.sendall(b'\\x05\\x01\\x00\\x05\\x01\\x00\\x03\\x08far.test' + struct.pack('!H', 7007))
def read(count):
    data = b''
    while len(data) < count:
        more = s.recv(count - len(data))
        if not more: raise EOFError
        data += more
    return data
read(12)
print('open', flush=True)
for line in sys.stdin:
    try:
        s.sendall(line.encode())
        print(read(len(line)).decode(), end='', flush=True)
    except OSError as error:
        print(type(error).__name__, flush=True)
";
    let mut echo = world.client("/usr/bin/python3").args(["-c", script]).spawn();
    assert_eq!(echo.next_line(), "open");
    echo
}

/// Whether somebody listens at this port of the client's side.
pub(crate) fn listens(world: &World, port: u16) -> bool {
    let lines = world.client("cat").arg("/proc/net/tcp").run().success();
    lines.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next().is_some_and(|at| at.ends_with(&format!(":{port:04X}"))) && fields.nth(1) == Some("0A")
    })
}

#[track_caller]
pub(crate) fn no_leaks(world: &World) {
    assert_eq!(world.leaks(), 0, "leaked: {:?}", world.leaked());
}
