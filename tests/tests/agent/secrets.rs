//! Credentials are where nobody but the user's own agent looks.

use underpass_tests::behaviour::Behaviour;
use underpass_tests::{Running, World, proxies, servers};

use crate::{HELLO, directory};

const USER: &str = "alice";
const PASSWORD: &str = "hunter2-swordfish";

fn holds(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.contains(PASSWORD) || text.contains("hunter2")
}

/// What any process of the world shows in its command line and environment.
fn shown(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for pid in world.processes() {
        for file in ["cmdline", "environ", "comm", "status"] {
            let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            if holds(&bytes) {
                found.push(format!("{file}: {}", String::from_utf8_lossy(&bytes).replace('\0', " ")));
            }
        }
    }
    found
}

#[test]
fn a_password_is_in_no_argument_environment_or_log() {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake_with_password(&world, USER, PASSWORD);
    let command =
        |script: &str| world.wrapped(proxy.url(), "bash").args(["-c", script]).env("UNDERPASS_LOG", "trace");
    let mut program: Running = command(&format!("{HELLO}; read line")).spawn();
    assert_eq!(program.next_line(), "hello");
    // The proxy's own command line has it: that is the other side's business.
    let found: Vec<_> = shown(&world).into_iter().filter(|line| !line.contains("fake-socks5")).collect();
    assert_eq!(found, [""; 0]);
    // Failures are logged, too: refused, closed, wrong.
    for behaviour in [Behaviour::Reply(5), Behaviour::AcceptClose, Behaviour::Garbage, Behaviour::NoMethod] {
        proxy.behave(behaviour);
        assert_ne!(command(HELLO).run().stdout, "hello\n");
    }
    proxy.behave(Behaviour::Normal);
    let wrong = format!("socks5h://{USER}:{PASSWORD}-2@10.77.0.1:1080");
    assert_ne!(world.wrapped(&wrong, "bash").args(["-c", HELLO]).run().stdout, "hello\n");
    let place = directory(&world);
    let log = place.join("agent.log");
    assert_eq!(world.client("stat").args(["-c", "%a"]).arg(&log).run().success(), "600\n");
    let log = world.client("cat").arg(log).run().success();
    assert!(log.lines().count() > 5, "there is something to search: {log}");
    assert!(!holds(log.as_bytes()), "{log}");
    // It is in the one file that a restarted agent needs, which is the user's alone.
    let files = world.client("grep").args(["-rlc", PASSWORD]).arg(&place).run().success();
    assert_eq!(files, format!("{}\n", place.join("sessions").display()));
    program.say("");
    assert_eq!(program.wait().code(), 0);
}
