//! More connections than there are ports to hold them from, while another process takes the place of the one that serves.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use underpass_tests::{World, artifacts, proxies, servers};

use crate::place::{Manager, no_leaks, succeeded};

/// With each line: so many connections more, all at once; then says what went wrong, with these and with those before.
const MORE: &str = r#"
import errno, os, select, socket, sys
def begin(s, port):
    s.setblocking(False)
    if s.connect_ex(("far.test", port)) != errno.EINPROGRESS: raise OSError("connect did not wait")
    return s
def ended(s):
    if not select.select([], [s], [], 60)[1]: raise OSError("nothing came")
    return s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
def said(s):
    s.settimeout(60)
    s.sendall(b"x")
    if s.recv(1) != b"x": raise OSError("end")
fails = begin(socket.socket(), 7099)
select.select([], [fails], [], 60)
kept = []
for line in sys.stdin:
    wrong = []
    new = [begin(socket.socket(), 7007) for _ in range(int(line))]
    for s in new:
        error = ended(s)
        if error: wrong.append(os.strerror(error))
    kept += new
    if not new:
        wrong.append(errno.errorcode[ended(fails)])
        kept.append(begin(fails, 7007))
        wrong.append(ended(fails))
    for s in kept:
        try: said(s)
        except OSError as error: wrong.append(repr(error))
    print(wrong, flush=True)
"#;

/// Puts something in the place of the agent's program that becomes it as soon as there is a file `go`.
fn waiting(agent: &Path, go: &Path) {
    let script = format!(
        "#!/bin/sh\n: >{0}.begun\nwhile [ ! -e {0} ]; do sleep 0.01; done\nexec {1} \"$@\"\n",
        go.display(),
        artifacts::agent().display()
    );
    let beside = agent.with_extension("new");
    std::fs::write(&beside, script).expect("the directory is ours");
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    std::fs::rename(&beside, agent).expect("the directory is ours");
}

/// What listens for them is made before it begins to prepare, while it prepares, and when it serves: no program sees which.
#[test]
fn where_sockets_are_held_is_known_to_each() {
    let world = World::new();
    servers::start(&world);
    let manager = Manager::new(&world);
    let key = proxies::key(&world, "client");
    let relay = proxies::relay(&world, 4433, &[&key], 1).allowed(&world);
    world.client("sysctl").args(["-qw", "net.ipv4.ip_local_port_range=40000 40031"]).run().success();
    let (agent, go) = (world.directory().join("underpass-agent"), world.directory().join("go"));
    std::fs::copy(artifacts::agent(), &agent).expect("the directory is ours");
    let first = world.client(&agent).arg("run").limit(Duration::MAX).env("TMPDIR", "/tmp");
    let first = first.env("NOTIFY_SOCKET", world.directory().join("notify")).spawn();
    manager.wait("READY=1");
    let mut program = world.wrapped(&relay.url(&key), "python3").args(["-c", MORE]).spawn();
    let mut more = |count: usize| {
        program.say(&count.to_string());
        program.next_line()
    };
    assert_eq!(more(40), "[]");
    waiting(&agent, &go);
    first.signal(Signal::USR2);
    underpass_tests::wait("one prepares", || go.with_extension("begun").exists());
    assert_eq!(more(40), "[]");
    std::fs::write(go, "").expect("the directory is ours");
    succeeded(&manager);
    assert_eq!(more(40), "[]");
    assert_eq!(more(0), "['ECONNREFUSED', 0]");
    drop(program);
    assert_eq!(first.succeeded(), Some(0));
    no_leaks(&world);
}
