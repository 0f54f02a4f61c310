//! Routes and chains that change under a running program.

use rustix::process::{Pid, Signal, kill_process};
use underpass_tests::proxies::datagrams::{self, Relay};
use underpass_tests::{Running, World, artifacts, proxies};

use crate::status::{ask, file, script};
use crate::{agent, end, no_leaks, wait, world};

/// Keeps one connection, over which each line goes, and makes another for each line.
const PROGRAM: &str = "exec 3<>/dev/tcp/far.test/7007; echo up; while read line; do \
                       echo $line >&3; read -u3 back; exec 4<>/dev/tcp/far.test/7001; read -u4 hello; \
                       exec 4>&-; echo $back $hello; done";

#[test]
fn new_connections_take_the_new_way_and_open_ones_stay() {
    let (world, first) = world();
    let second = proxies::fake_at(&world, 1081);
    let through = |url: &str, name| file(&world, name, &format!("handoff = 'never'\nproxy = '{url}'\n"));
    let path = through(first.url(), "c.toml");
    let mut program = script(&world, &path, PROGRAM).spawn();
    assert_eq!(program.next_line(), "up");
    let mut other = world.wrapped("local:", "cat").spawn();
    other.say("up");
    assert_eq!(other.next_line(), "up");
    first.forget();
    let mut turn = |word: &str| {
        program.say(word);
        assert_eq!(program.next_line(), format!("{word} hello"));
        let counts = (first.requests().len(), second.requests().len());
        first.forget();
        second.forget();
        counts
    };
    assert_eq!(turn("one"), (1, 0));

    through(second.url(), "c.toml");
    let done = ask(&world, &["reload"]).run();
    assert_eq!(done.stdout, "1 of 2 sessions changed, 0 unchanged, 1 without a file\n", "{done}");
    assert_eq!(turn("two"), (0, 1));
    let done = ask(&world, &["reload"]).run();
    assert_eq!(done.stdout, "0 of 2 sessions changed, 1 unchanged, 1 without a file\n", "{done}");

    // A session without a program is none to people.
    other.close_input();
    assert_eq!(other.wait().code(), 0);
    let done = ask(&world, &["reload"]).run();
    assert_eq!(done.stdout, "0 of 1 session changed, 1 unchanged, 0 without a file\n", "{done}");

    // A file that is bad now changes nothing, and says where.
    file(&world, "c.toml", "handoff = 'never'\nproxi = 'local:'\n");
    let done = ask(&world, &["reload"]).run();
    assert_eq!(done.code(), 1, "{done}");
    assert_eq!(done.stdout, "0 of 1 session changed, 1 unchanged, 0 without a file\n", "{done}");
    let at = format!("underpass-agent: {}:2:1: ", path.display());
    assert!(done.stderr.starts_with(&at), "{done}");
    assert_eq!(turn("three"), (0, 1));

    // SIGHUP does the same.
    through(first.url(), "c.toml");
    let pid = i32::try_from(agent(&world)).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, Signal::HUP).expect("it lives");
    wait("the first proxy is used again", || turn("again") == (1, 0));
    no_leaks(&world);
}

#[test]
fn what_a_reload_has_brought_outlives_the_agent() {
    let (world, first) = world();
    let second = proxies::fake_at(&world, 1081);
    let path = file(&world, "c.toml", &format!("proxy = '{}'\n", first.url()));
    let line = "while read line; do exec 4<>/dev/tcp/far.test/7001; head -n1 <&4; done";
    let mut program = script(&world, &path, line).spawn();
    wait("there is an agent", || world.agents().len() == 1);
    program.say("");
    assert_eq!(program.next_line(), "hello");
    file(&world, "c.toml", &format!("proxy = '{}'\n", second.url()));
    assert_eq!(ask(&world, &["reload"]).run().code(), 0);
    end(&world, agent(&world), Signal::KILL);
    assert_eq!(world.wrapped("local:", "true").run().code(), 0);
    program.say("");
    assert_eq!(program.next_line(), "hello");
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
    no_leaks(&world);
}

/// Sends each line to one address and says what came back, or why not; where it is to be connected, over
/// one socket that is.
const DATAGRAMS: &str = r#"
import errno, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
far = ("10.50.0.1", 77)
if sys.argv[1] == "connected":
    s.connect(far)
print("up", flush=True)
for line in sys.stdin:
    try:
        s.send(line.encode()) if sys.argv[1] == "connected" else s.sendto(line.encode(), far)
        print(s.recv(100).decode(), end="", flush=True)
    except OSError as error:
        print(errno.errorcode[error.errno], flush=True)
"#;

/// Within the second for which the library knows a way; what is connected stays, as a connection does.
#[test]
fn datagrams_take_the_new_way_and_connected_sockets_stay() {
    let world = World::new();
    let [first, second] = [1085, 1086].map(|port| datagrams::start(&world, port));
    let main = |url: &str, more: &str| file(&world, "c.toml", &format!("proxy = '{url}'\n{more}"));
    let path = main(first.url(), "");
    let start = |how: &str| {
        let underpass = world.client(artifacts::underpass()).arg("-f").arg(&path).args(["--", "python3"]);
        let mut program = underpass.args(["-c", DATAGRAMS, how]).spawn();
        assert_eq!(program.next_line(), "up");
        program
    };
    let [mut sends, mut connected] = ["sends", "connected"].map(start);
    let say = |program: &mut Running, word: &str| {
        program.say(word);
        program.next_line()
    };
    let went = |relay: &Relay, word: &str| relay.datagrams().iter().any(|note| note.starts_with(word));
    for program in [&mut sends, &mut connected] {
        assert_eq!(say(program, "one"), "one");
    }
    assert_eq!((first.associations(), second.associations()), (2, 0));

    main(second.url(), "");
    assert_eq!(ask(&world, &["reload"]).run().code(), 0);
    wait("the second is used", || {
        assert_eq!(say(&mut sends, "two"), "two");
        went(&second, "10.50.0.1:77 two")
    });
    assert_eq!(say(&mut connected, "still"), "still");
    assert!(went(&first, "10.50.0.1:77 still") && !went(&second, "10.50.0.1:77 still"));

    main(second.url(), "[[route]]\naddress = '10.50.0.0/16'\nto = 'refuse'\nerrno = 'EHOSTUNREACH'\n");
    assert_eq!(ask(&world, &["reload"]).run().code(), 0);
    wait("they are refused", || match &*say(&mut sends, "three") {
        "three" => false,
        refused => {
            assert_eq!(refused, "EHOSTUNREACH");
            true
        }
    });
    no_leaks(&world);
}
