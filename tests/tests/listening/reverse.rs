//! Listeners at an exit that lead to one place on the client's side (`forward -R`).

use std::time::{Duration, Instant};

use rustix::process::Signal;
use underpass_tests::proxies::{self, Key, Relay};
use underpass_tests::{Command, PATIENCE, Running, World, artifacts, servers, wait};

use crate::calls::PYTHON;
use crate::place::{EXIT, EXPOSED, Place, line};

/// Where the agents keep their sockets.
pub(crate) fn directory(world: &World) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let directory = world.directory().join("agent");
    if !directory.exists() {
        std::fs::create_dir(&directory).expect("the directory is ours");
        std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o700)).expect("it is ours");
    }
    directory
}

/// `underpass-agent forward` with these arguments.
pub(crate) fn forward(world: &World, arguments: &[&str]) -> Command {
    let directory = directory(world);
    let agent =
        world.client(artifacts::agent()).arg("forward").args(["--directory".as_ref(), directory.as_os_str()]);
    agent.args(arguments).limit(Duration::MAX)
}

/// What `status` says of its listeners.
pub(crate) fn status(world: &World) -> Vec<serde_json::Value> {
    let asked = world.client(artifacts::agent()).args(["status", "--json", "--directory"]);
    let said = asked.arg(directory(world)).run().success().to_owned();
    let said: serde_json::Value = serde_json::from_str(&said).expect("it is JSON");
    said["listeners"].as_array().expect("there is a list").clone()
}

/// The next complaint that holds this.
#[track_caller]
pub(crate) fn complaint(agent: &mut Running, text: &str) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        match agent.try_complaint() {
            Some(line) if line.contains(text) => return line,
            Some(_) => {}
            None => std::thread::sleep(Duration::from_millis(5)),
        }
        assert!(Instant::now() < end, "no {text:?}");
    }
}

/// Waits until somebody listens on the client's side.
pub(crate) fn wait_here(world: &World, port: u16) {
    let knock = format!("until exec 3<>/dev/tcp/127.0.0.1/{port}; do sleep 0.02; done 2>/dev/null");
    world.client("bash").args(["-c", &knock]).run().success();
}

/// Two relays in a row; whoever is known may listen at the second.
pub(crate) struct Two {
    pub(crate) world: World,
    pub(crate) first: Relay,
    pub(crate) second: Relay,
    keys: [Key; 2],
}

impl Two {
    pub(crate) fn new() -> Self {
        Self::with(EXPOSED)
    }

    /// The second has these tables.
    pub(crate) fn with(tables: &str) -> Self {
        let world = World::new();
        let keys = ["one", "two"].map(|name| proxies::key(&world, name));
        let first = proxies::relay(&world, 4431, &[&keys[0]], 7088).allowed(&world);
        let second = proxies::relay_with(&world, 4432, &[&keys[1]], 7088, tables);
        Self { world, first, second, keys }
    }

    /// The chain.
    pub(crate) fn urls(&self) -> [String; 2] {
        self.urls_at(EXIT)
    }

    /// The chain, in which the second is called that.
    pub(crate) fn urls_at(&self, host: &str) -> [String; 2] {
        [self.first.url(&self.keys[0]), self.second.url_at(host, &self.keys[1])]
    }

    pub(crate) fn forward(&self, arguments: &[&str]) -> Command {
        let [one, two] = self.urls();
        forward(&self.world, &[&["-x", &one, "-x", &two], arguments].concat())
    }
}

/// nginx on the client's side, with one page.
pub(crate) fn nginx(world: &World, port: u16) -> Running {
    let root = world.directory().display();
    std::fs::write(world.directory().join("page"), "from the client side\n").expect("the directory is ours");
    let text = format!(
        "daemon off;\nworker_processes 1;\nuser root;\npid nginx.pid;\nerror_log stderr;\nevents {{ }}\nhttp {{\n\
         access_log off;\nclient_body_temp_path body;\nproxy_temp_path proxy;\nfastcgi_temp_path fastcgi;\n\
         uwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\nserver {{\nlisten 127.0.0.1:{port};\nroot {root};\n}}\n}}\n"
    );
    let configuration = world.directory().join("nginx.conf");
    std::fs::write(&configuration, text).expect("the directory is ours");
    let nginx = world.client("nginx").arg("-p").arg(world.directory()).arg("-c").arg(&configuration);
    let running = nginx.limit(Duration::MAX).spawn();
    wait_here(world, port);
    running
}

/// So many requests from the far side, of which none is lost.
#[track_caller]
pub(crate) fn requests(world: &World, port: u16, count: u32) {
    let url = format!("http://{EXIT}:{port}/page");
    let hey = world.far("hey").args(["-n", &count.to_string(), "-c", "20", "-disable-keepalive", "-t", "60"]);
    let said = hey.arg(&url).limit(Duration::from_secs(300)).run().success().to_owned();
    assert!(said.contains(&format!("[200]\t{count} responses")), "{said}");
}

/// Two hundred connections of which none is lost, through two relays; the second ends and comes back.
#[test]
fn a_listener_leads_here_and_comes_back_after_its_relay_has_ended() {
    let two = Two::new();
    let world = &two.world;
    let _nginx = nginx(world, 8080);
    let mut agent =
        two.forward(&["-R", "8000:localhost:8080", "-R", "[fd99::1]:8001:127.0.0.1:8080"]).spawn();
    world.wait_listening(8000);
    world.wait_listening(8001);
    requests(world, 8000, 200);
    let by_six = world.far("curl").args(["-sS", "-m", "60", "http://[fd99::1]:8001/page"]).run();
    assert_eq!(by_six.success(), "from the client side\n");

    let told = |at: &str, listens: bool| {
        status(world).iter().any(|it| it["at"] == at && it["listens"] == listens && it["chain"] == "main")
    };
    wait("both are told", || told("10.99.0.1:8000", true) && told("[fd99::1]:8001", true));
    let first = status(world).into_iter().find(|it| it["to"] == "localhost:8080").expect("it is told");
    assert_eq!((first["connections"].as_u64(), first["pid"].is_null()), (Some(200), true), "{first}");
    let table = world.client(artifacts::agent()).args(["status", "--directory"]).arg(directory(world)).run();
    assert!(table.stdout.contains("10.99.0.1:8000  localhost:8080  main   up "), "{table}");

    two.second.real.kill();
    complaint(&mut agent, "the exit has closed a listener");
    wait("it is asked for", || told("10.99.0.1:8000", false));
    two.second.real.revive(world);
    world.wait_listening(8000);
    requests(world, 8000, 20);
    wait("it is back", || told("10.99.0.1:8000", true));

    // The agent ends, and its listeners with it.
    agent.signal(Signal::TERM);
    agent.wait();
    wait("nothing listens", || !world.listens(8000) && !world.listens(8001));
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

#[test]
#[ignore = "long: 1,000 connections through two relays"]
fn a_thousand_come_through_two_relays() {
    let two = Two::new();
    let _nginx = nginx(&two.world, 8080);
    let _agent = two.forward(&["-R", "8000:localhost:8080"]).spawn();
    two.world.wait_listening(8000);
    requests(&two.world, 8000, 1000);
}

/// To a Unix socket, at a port that the relay chooses; ends pass both ways, and what is refused here is a reset there.
#[test]
fn ends_pass_and_what_is_refused_here_is_a_reset_there() {
    let place = Place::new(EXPOSED);
    let (world, path) = (&place.world, place.world.directory().join("inside"));
    let target = format!("0:{}", path.display());
    let url = place.relay.url(&place.key);
    let mut agent = forward(world, &["-x", &url, "-R", &target, "-R", "8001:127.0.0.1:8099"]).spawn();
    let said = complaint(&mut agent, "Allocated port ");
    let port = said.strip_prefix("Allocated port ").and_then(|rest| rest.split(' ').next()).expect("a port");
    assert_eq!(said, format!("Allocated port {port} for remote forward to {}", path.display()));
    assert!((8000..=9999).contains(&port.parse::<u16>().expect("a number")), "{port}");

    let mut listener = world.client("nc.openbsd").args(["-l", "-N", "-U"]).arg(&path).spawn();
    listener.say("from the listener");
    listener.close_input();
    wait("it listens", || path.exists());
    let caller = world.far("nc.openbsd").args(["-N", EXIT, port]).input("from the caller\n").run();
    assert_eq!(caller.success(), "from the listener\n");
    assert_eq!(listener.wait().success(), "from the caller\n");

    place.wait_listening(8001);
    // It may be so fast that connect() says so already.
    let visit = "import socket
try:
    s = socket.create_connection(('10.99.0.1', 8001), 60)
    s.settimeout(60)
    print(s.recv(10))
except ConnectionResetError: print('reset')";
    assert_eq!(world.far(PYTHON).args(["-c", visit]).run().success(), "reset\n");
    let line = complaint(&mut agent, "is not reached");
    assert!(line.contains("to=127.0.0.1:8099") && line.contains("connection refused"), "{line}");
}

/// A forward, a proxy and a listener in one command; and all of it by a file.
#[test]
fn a_file_has_listeners_too() {
    let place = Place::new(EXPOSED);
    let world = &place.world;
    servers::start(world);
    let file = world.directory().join("doors.toml");
    let text = format!(
        "proxy = '{}'\n[[expose]]\nat = 'main'\nto = '127.0.0.1:8080'\nexit-port = 8100\n",
        place.relay.url(&place.key)
    );
    std::fs::write(&file, text).expect("the directory is ours");
    std::fs::write(world.directory().join("page"), "by a file\n").expect("the directory is ours");
    let server = world.client(PYTHON).args(["-m", "http.server", "--bind", "127.0.0.1", "8080"]);
    let _server = server.limit(Duration::MAX).spawn();
    wait_here(world, 8080);
    let file = file.display().to_string();
    let _agent =
        forward(world, &["-f", &file, "-L", "7001:far.test:7001", "-R", "8101:localhost:8080"]).spawn();
    for port in [8100, 8101] {
        place.wait_listening(port);
        let url = format!("http://{EXIT}:{port}/page");
        assert_eq!(world.far("curl").args(["-sS", "-m", "60", &url]).run().success(), "by a file\n");
    }
    wait_here(world, 7001);
    let hello = "import socket; print(socket.create_connection(('127.0.0.1', 7001), 60).recv(100))";
    assert_eq!(world.client(PYTHON).args(["-c", hello]).run().success(), "b'hello\\n'\n");
}

/// A SOCKS5 proxy listens once for each who comes; this one does where it has its other address.
#[test]
fn a_socks5_proxy_listens_for_one_after_the_other() {
    let world = World::new();
    let dante = proxies::dante(&world);
    let path = world.directory().join("inside");
    let code = format!(
        "import socket\ns = socket.socket(socket.AF_UNIX)\ns.bind('{}')\ns.listen()\nprint('listens', flush=True)\n\
         while True:\n    c, _ = s.accept()\n    c.sendall(c.makefile().readline().upper().encode())\n    c.close()\n",
        path.display()
    );
    let mut server = world.client(PYTHON).args(["-c", &code]).limit(Duration::MAX).spawn();
    line(&mut server, "listens");
    let url = dante.url_as("socks5h");
    let mut agent = forward(&world, &["-x", &url, "-R", &format!("0:{}", path.display())]).spawn();
    for number in 0..3 {
        let said = complaint(&mut agent, "Allocated port ");
        let port = said.split(' ').nth(2).expect("a port");
        let caller =
            world.far("nc.openbsd").args(["127.0.0.1", port]).input(format!("visit {number}\n")).run();
        assert_eq!(caller.success(), format!("VISIT {number}\n"));
    }
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

/// To a Unix socket whose server is slow to accept: many come at once, and wait for it.
#[test]
fn a_full_queue_is_waited_for() {
    let place = Place::new(EXPOSED);
    let world = &place.world;
    let path = world.directory().join("inside");
    let server = format!(
        "import socket, time\ns = socket.socket(socket.AF_UNIX)\ns.bind('{}')\ns.listen(1)\nprint('listens', flush=True)\n\
         while True:\n    time.sleep(0.002)\n    c, _ = s.accept()\n    c.sendall(c.recv(100))\n    c.close()\n",
        path.display()
    );
    let mut server = world.client(PYTHON).args(["-c", &server]).limit(Duration::MAX).spawn();
    line(&mut server, "listens");
    let url = place.relay.url(&place.key);
    let _agent = forward(world, &["-x", &url, "-R", &format!("8001:{}", path.display())]).spawn();
    place.wait_listening(8001);
    let visit = "import socket
came = [socket.create_connection(('10.99.0.1', 8001), 60) for _ in range(60)]
for s in came: s.sendall(b'here')
assert all(s.recv(100) == b'here' for s in came)
print('good')
";
    assert_eq!(world.far(PYTHON).args(["-c", visit]).run().success(), "good\n");
}

/// A daemon of rsync and a server of ssh, on the client's side.
#[test]
fn rsync_and_ssh_come_in() {
    let place = Place::new(EXPOSED);
    let world = &place.world;
    let (_sshd, login) = proxies::sshd_here(world, 2222);
    let whole: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let files = world.directory().join("files");
    std::fs::create_dir(&files).expect("the directory is ours");
    std::fs::write(files.join("large"), &whole).expect("the directory is ours");
    let text = format!(
        "use chroot = no\nlog file = /dev/null\naddress = 127.0.0.1\n[files]\npath = {}\n",
        files.display()
    );
    std::fs::write(world.directory().join("rsyncd.conf"), text).expect("the directory is ours");
    // As root it would become somebody else, whom an ordinary user's namespace does not have.
    let daemon =
        world.client("unshare").args(["--user", "--map-user=1000", "--map-group=1000", "--", "rsync"]);
    let daemon = daemon.args(["--daemon", "--no-detach", "--port=8730", "--config=rsyncd.conf"]);
    let _daemon = daemon.limit(Duration::MAX).spawn();
    wait_here(world, 8730);
    let url = place.relay.url(&place.key);
    let both = ["-R", "8002:localhost:8730", "-R", "8022:127.0.0.1:2222"];
    let _agent = forward(world, &[&["-x", &url], &both[..]].concat()).spawn();
    place.wait_listening(8002);
    place.wait_listening(8022);
    let fetched = world.directory().join("fetched");
    world.far("rsync").arg(format!("rsync://{EXIT}:8002/files/large")).arg(&fetched).run().success();
    assert!(std::fs::read(fetched).expect("it is there") == whole);
    let configuration = world.directory().join("ssh_config");
    std::fs::write(&configuration, login).expect("the directory is ours");
    let ssh = world.far("ssh").arg("-F").arg(&configuration).args(["-p", "8022", &format!("far@{EXIT}")]);
    assert_eq!(ssh.args(["echo by ssh; cat"]).input("and back\n").run().success(), "by ssh\nand back\n");
}

/// In the relay's words, or ours; the agent does not stay.
#[test]
fn what_the_exit_refuses_is_said() {
    let place = Place::new(EXPOSED);
    let world = &place.world;
    let url = place.relay.url(&place.key);
    let proxy = proxies::dante(world);
    let dante = proxy.url_as("socks5h");
    let taken = world.far("nc.openbsd").args(["-l", EXIT, "8005"]).limit(Duration::MAX).spawn();
    place.wait_listening(8005);
    for (upstream, arguments, status, words) in [
        (&url, "80:localhost:1", 125, "-R 80:localhost:1: hop 1 of 1, "),
        (&url, "80:localhost:1", 125, "the relay does not listen: no rule lets the client listen there"),
        (
            &url,
            "80:localhost:1",
            125,
            "hint: [[expose]] of the relay's configuration says who may listen where",
        ),
        (&url, "8005:localhost:1", 125, "the relay does not listen: the address is in use"),
        (&dante, "8000:localhost:1", 125, "a SOCKS5 proxy chooses where it listens"),
        (
            &"http://10.77.0.1:1".to_owned(),
            "8000:a:1",
            125,
            "only SOCKS5 proxies and relays listen for others",
        ),
        (&url, "udp:53:localhost:53", 125, "-R is for connections"),
        (&url, "1080", 125, "is not [BIND:]PORT:HOST:PORT"),
    ] {
        let done = forward(world, &["-x", upstream, "-R", arguments]).limit(PATIENCE).run();
        assert_eq!(done.code(), status, "{done}");
        assert!(done.stderr.contains(words), "{words}: {done}");
    }
    let done = forward(world, &["-x", &url, "-L", "8000:/run/web"]).run();
    assert!(done.code() == 125 && done.stderr.contains("Unix socket beyond the chain"), "{done}");
    drop(taken);
}
