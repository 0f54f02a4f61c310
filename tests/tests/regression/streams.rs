//! What a relay does with bytes and resets. The worlds are open, and nothing but the agent is between the
//! program and the far end, so that both worlds can be compared.

use std::time::Duration;

use underpass_tests::{Finished, Running, World, artifacts};

use crate::{agent_of, redirected, wait_until};

const PORT: &str = "7301";

/// An open world with `r_far` in this mode.
fn world(mode: &str) -> (World, Running) {
    let world = World::direct();
    let mut far = world.far(artifacts::program("r_far")).args([PORT, mode]).limit(Duration::MAX).spawn();
    assert_eq!(far.next_line(), "ready");
    (world, far)
}

fn near(arguments: &[&str]) -> Vec<String> {
    ["v4", "nonblocking", "1", PORT].iter().chain(arguments).map(|&word| word.to_owned()).collect()
}

fn natively(world: &World, arguments: &[&str]) -> Finished {
    world.client(artifacts::program("r_near")).args(near(arguments)).run()
}

fn carried(world: &World, upstream: &str, arguments: &[&str]) -> Finished {
    let near = near(arguments);
    redirected(world, upstream, "r_near", &near.iter().map(|word| &**word).collect::<Vec<_>>())
}

#[test]
fn an_answer_before_a_reset_was_lost() {
    let (world, _far) = world("answer");
    assert_eq!(natively(&world, &["writer"]).stdout, "read 50000 then 0\n");
    for _ in 0..10 {
        let done = carried(&world, "local:", &["writer"]);
        assert!(done.stdout.starts_with("read 50000 then "), "{done}");
    }
}

/// A stream that was cut must not look complete.
#[test]
fn a_reset_after_an_answer_must_not_become_an_end() {
    let (world, _far) = world("answer");
    for _ in 0..10 {
        // Natively the program's own blocked write may take the error first; then it reads an end.
        let native = natively(&world, &["reader"]).stdout;
        assert!(native.starts_with("read 50000 then "), "{native}");
        assert_eq!(carried(&world, "local:", &["reader"]).stdout, "read 50000 then ECONNRESET\n");
    }
}

#[test]
fn a_reset_by_the_program_was_not_seen_while_the_far_end_read_nothing() {
    let (world, mut far) = world("watch");
    assert_eq!(natively(&world, &["fill"]).stdout, "reset\n");
    assert_eq!(far.next_line(), "far sees ERR|HUP in time");
    assert_eq!(carried(&world, "local:", &["fill"]).stdout, "reset\n");
    assert_eq!(far.next_line(), "far sees ERR|HUP in time");
}

#[test]
fn a_reset_by_the_far_end_was_not_seen_while_the_program_read_nothing() {
    let (world, _far) = world("fill");
    assert_eq!(natively(&world, &["watch"]).stdout, "near sees ERR|HUP in time\n");
    assert_eq!(carried(&world, "local:", &["watch"]).stdout, "near sees ERR|HUP in time\n");
}

/// Else the relay of a program that has ended stays as long as the far end does.
#[test]
fn the_relay_of_an_ended_program_never_asked_whether_it_is_there() {
    let (world, mut far) = world("stay");
    let mut program = world.wrapped("local:", artifacts::program("r_near")).args(near(&["idle"])).spawn();
    assert_eq!(program.next_line(), "waiting");
    program.close_input();
    program.wait();
    assert_eq!(far.next_line(), "end");
    let agents_end_keeps_alive = || {
        let sockets = world.client("cat").arg("/proc/net/tcp").run().success();
        sockets.lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // CLOSE_WAIT, and the timer of keep-alive.
            fields.get(3) == Some(&"08") && fields.get(5).is_some_and(|timer| timer.starts_with("02:"))
        })
    };
    wait_until("keep-alive", agents_end_keeps_alive);
}

/// Clock ticks that a process has used.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the agent lives");
    let fields: Vec<&str> = stat.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ').collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

#[test]
fn a_relay_that_waits_takes_no_time() {
    for far in ["stay", "half", "ignore", "fill-and-stay"] {
        for mode in ["idle", "half", "full"] {
            if (far, mode) == ("stay", "full") {
                continue; // It reads all.
            }
            let (world, _far) = world(far);
            let mut program =
                world.wrapped("local:", artifacts::program("r_near")).args(near(&[mode])).spawn();
            assert_eq!(program.next_line(), "waiting", "{far}, {mode}");
            let agent = agent_of(&world);
            // What there is to carry is carried first.
            wait_until(&format!("quiet while far is {far} and the program {mode}"), || {
                let before = ticks(agent);
                std::thread::sleep(Duration::from_millis(700));
                ticks(agent) - before <= 2
            });
        }
    }
}

#[test]
fn random_bytes_both_ways_arrive() {
    let (world, mut far) = world("exchange");
    assert_eq!(natively(&world, &["exchange", "20"]).stdout, "failed 0\n");
    assert_eq!(carried(&world, "local:", &["exchange", "100"]).stdout, "failed 0\n");
    assert_eq!(far.try_line(), None);
}

/// splice(2) stops at the mark of an urgent byte, and says that there is nothing to read.
#[test]
fn an_urgent_byte_stopped_a_relay() {
    const GOOD: &str = "as sent\nread 0 then 0\n";
    for mode in ["urgent", "in-line"] {
        let (world, mut far) = world(mode);
        assert_eq!(natively(&world, &[mode]).stdout, GOOD);
        assert_eq!(far.next_line(), "far: as sent");
        // The agent splices, and the proxy is another one that does.
        let file = world.directory().join("direct.toml");
        let text = format!("proxy = 'socks5://127.0.0.1:9'\n[[route]]\nport = {PORT}\nto = 'direct'\n");
        std::fs::write(&file, text).expect("the directory is ours");
        let proxy = "socks5://127.0.0.1:7302";
        let front = world.client(artifacts::agent()).args(["run", "--listen", proxy, "-f"]).arg(file);
        let _front = front.limit(Duration::MAX).spawn();
        wait_until("a door", || {
            world.client("bash").args(["-c", "exec 3<>/dev/tcp/127.0.0.1/7302"]).run().status.success()
        });
        assert_eq!(carried(&world, proxy, &[mode]).stdout, GOOD, "{mode}, spliced");
        assert_eq!(far.next_line(), "far: as sent", "{mode}, spliced");
        // A stream of a relay has nothing urgent, and no byte is lost.
        if mode == "in-line" {
            assert_eq!(carried(&world, "local:", &[mode]).stdout, GOOD, "through a relay");
            assert_eq!(far.next_line(), "far: as sent", "through a relay");
        }
    }
}
