//! No room is left on the disk of the agent's directory, or of a relay's audit. What runs goes on, what needs a line there is
//! refused and says so, and no line is ever joined with a part of another.

use serde_json::Value;
use underpass_tests::servers::port;
use underpass_tests::{Command, World, artifacts, proxies, servers, wait};

use crate::no_leaks;

/// Sends each line that it reads over one connection, and says what has come back.
const STAYS: &str =
    "exec 3<>/dev/tcp/far.test/7007; while read line; do echo $line >&3; read -u3 back; echo $back; done";

/// Asks for 40 new names of more than 200 characters each, and says how many there were before the first failed, and how.
const NAMES: &str = r#"
import socket, sys
for number in range(40):
    try:
        socket.getaddrinfo(f"{sys.argv[1]}{number}." + ("x" * 60 + ".") * 3 + "test", 7)
    except socket.gaierror as error:
        print(number < 39, error.errno == socket.EAI_AGAIN, flush=True)
        sys.exit()
print("all", flush=True)
"#;

/// Goes wherever a name says, 40 times, and says how often there was an answer.
const TRIES: &str = "good=0; for i in $(seq 40); do exec 3<>/dev/tcp/far.test/7001 && read -u3 hello && let good+=1; done; \
                     echo $good";

/// A file system of 256 KiB.
fn small(command: Command, script: &str, at: &std::path::Path) {
    let script = format!("{script}; mount -t tmpfs -o size=256k,mode=711 small \"$1\"");
    command.args(["-ec", &script, "sh"]).arg(at).run().success();
}

/// Takes all that is left, to the last page; or gives it back.
fn fill(command: Command, at: &std::path::Path, full: bool) {
    let script = if full { "cat /dev/zero >$1/fill 2>/dev/null || :" } else { "rm $1/fill" };
    command.args(["-ec", script, "sh"]).arg(at).run().success();
}

#[test]
fn under_the_agent() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let place = std::path::Path::new("/run/underpass");
    small(world.client("sh"), "mkdir -m 711 $1", place);
    let underpass = |program: &str| {
        let underpass = world.wrapped(proxy.url(), program);
        underpass.env("UNDERPASS_LOG", "info").env("UNDERPASS_LOG_FORMAT", "json")
    };
    let mut program = underpass("bash").args(["-c", STAYS]).spawn();
    let mut goes_on = |word: &str| {
        program.say(word);
        assert_eq!(program.next_line(), word);
    };
    let names = |prefix: &str| underpass("python3").args(["-c", NAMES, prefix]).run().success();
    // A line of more than a page.
    let routes = "[[route]]\nport = 9\nto = 'direct'\n".repeat(100);
    let configuration = world.directory().join("c.toml");
    std::fs::write(&configuration, format!("proxy = '{}'\n{routes}", proxy.url()))
        .expect("the directory is ours");
    let with_routes =
        || world.client(artifacts::underpass()).arg("-f").arg(&configuration).args(["--", "true"]).run();
    goes_on("before");
    fill(world.client("sh"), place, true);

    goes_on("without room");
    let refused = with_routes();
    assert_eq!(refused.code(), 125, "{refused}");
    let why = "underpass: the session cannot be kept: No space left on device";
    assert!(refused.stderr.starts_with(why), "{refused}");
    // What has been asked for before needs no line; each connection has one in the log.
    let done = underpass("bash").args(["-c", TRIES]).run();
    assert_eq!(done.stdout, "40\n", "{done}");
    assert_eq!(names("a"), "True True\n");
    goes_on("still");

    fill(world.client("sh"), place, false);
    assert_eq!(with_routes().code(), 0);
    assert_eq!(names("b"), "all\n");
    goes_on("afterwards");
    program.close_input();
    assert_eq!(program.wait().code(), 0);
    let log = world.client("sh").args(["-c", "cat /run/underpass/*/agent.log"]).run().success();
    let lines: Result<Vec<Value>, _> = log.lines().map(serde_json::from_str).collect();
    let lines = lines.unwrap_or_else(|error| panic!("{error}: {log}"));
    let told = lines.iter().filter(|line| line["destination"] == "far.test:7001").count();
    assert!(told < 40, "a page has no room for {told} lines: {log}");
    no_leaks(&world);
}

#[test]
fn under_a_relays_audit() {
    let world = World::new();
    servers::start(&world);
    let place = world.directory().join("small");
    let audit = world.directory().join("relay-4433.audit");
    std::fs::create_dir(&place).expect("the directory is ours");
    std::fs::write(&audit, "").expect("the directory is ours");
    small(world.far("sh"), ":", &place);
    let bind = "touch $1/audit; mount --bind $1/audit $2";
    world.far("sh").args(["-ec", bind, "sh"]).arg(&place).arg(&audit).run().success();
    let key = proxies::key(&world, "client");
    let relay = proxies::relay(&world, 4433, &[&key], 1).allowed(&world);
    let tries = || world.wrapped(&relay.url(&key), "bash").args(["-c", TRIES]).run().success();
    fill(world.far("sh"), &place, true);
    assert_eq!(tries(), "40\n");
    fill(world.far("sh"), &place, false);
    assert_eq!(tries(), "40\n");
    let of_streams = |lines: &[Value]| lines.iter().filter(|line| line["port"] == port::BANNER).count();
    let mut lines = Vec::new();
    wait("every line is written or counted", || {
        let text = world.far("cat").arg(place.join("audit")).run().success();
        let read: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
        lines = read.unwrap_or_else(|error| panic!("{error}: {text}"));
        let lost: u64 = lines.iter().filter_map(|line| line["lost"].as_u64()).sum();
        lost > 0 && of_streams(&lines) as u64 + lost == 80
    });
    no_leaks(&world);
}
