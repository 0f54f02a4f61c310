//! The directory of the agent: whose it is, who may look, and one agent in each.

use rustix::process::Signal;
use underpass_tests::{World, artifacts};

use crate::{agent, directory, end, listed, no_leaks, says_hello, wait, world};

/// Root's may be passed through and not listed, since root's programs change their user.
#[test]
fn roots_directory_is_in_run_and_shows_nothing_to_others() {
    let (world, proxy) = world();
    assert_eq!(says_hello(&world, &proxy).run().stdout, "hello\n");
    let place = directory(&world);
    assert!(place.starts_with("/run/underpass/"), "{place:?}");
    let above = world.client("stat").args(["-c", "%a %u", "/run/underpass"]).arg(&place).run();
    assert_eq!(above.success(), "711 0\n711 0\n");
    for line in listed(&world, &place) {
        let words: Vec<&str> = line.split(' ').collect();
        let data_socket = words[2] == "s" && words[3].len() == "0123456789abcdef0123456789abcdef.sock".len();
        assert_eq!(
            words[0],
            match words[2] {
                _ if data_socket => "666",
                "s" => "700",
                _ => "600",
            },
            "{line}"
        );
        assert_eq!(words[1], "0", "{line}");
    }
}

/// An ordinary user of a world: root of it has become one, or there is none.
fn as_user(world: &World, script: &str) -> Option<underpass_tests::Finished> {
    let line = ["--reuid=4321", "--regid=4321", "--clear-groups", "sh", "-ec", script];
    if world.client("setpriv").args(["--reuid=4321", "true"]).run().code() == 0 {
        return Some(world.client("setpriv").args(line).run());
    }
    assert!(!rustix::process::geteuid().is_root(), "root can become anybody");
    None
}

#[test]
fn an_ordinary_users_directory_is_for_the_user_alone() {
    let world = World::new();
    let run = world.directory().join("run-of-4321").display().to_string();
    let home = world.directory().join("home-of-4321").display().to_string();
    let underpass = artifacts::underpass().display().to_string();
    world.client("chmod").args(["711", "."]).run().success();
    let Some(made) = as_user(&world, "true") else { return };
    made.success();
    let install = ["-d", "-m", "700", "-o", "4321", "-g", "4321", &run, &home];
    assert_eq!(world.client("install").args(install).run().code(), 0);
    let script = format!(
        "cd {run}; export HOME={home} XDG_RUNTIME_DIR={run}; umask 0; {underpass} -x local: true; \
         find {run} -mindepth 1 -printf '%m %U %y\\n' | sort | uniq"
    );
    let seen = as_user(&world, &script).expect("there is a user").success();
    assert_eq!(seen, "600 4321 f\n700 4321 d\n700 4321 s\n");
}

/// Whoever controls the directory receives the traffic.
#[test]
fn a_runtime_directory_that_is_loose_linked_or_anothers_is_passed_over() {
    let world = World::new();
    let underpass = artifacts::underpass().display().to_string();
    // A socket's address is short, and the world's own directory has a long name.
    let place = "/run/place";
    world.client("mkdir").arg(place).run().success();
    if as_user(&world, "true").is_none() {
        return;
    }
    let prepare = "cd /run/place; install -d -o 4321 -g 4321 -m 700 h good; install -d -o 4321 -m 750 loose; \
         install -d -m 700 roots; ln -s good link; install -d -o 4321 -g 4321 -m 700 taken; \
         install -d -m 755 taken/underpass; install -d -o 4321 -g 4321 -m 700 set; ln -s ../good set/underpass";
    world.client("sh").args(["-ec", prepare]).run().success();
    world.client("chmod").args(["711", "."]).run().success();
    for (runtime, why) in [
        ("loose", "has mode 0750"),
        ("link", "is a symbolic link or no directory"),
        ("roots", "belongs to user 0"),
        ("taken", "taken/underpass belongs to user 0"),
        ("set", "set/underpass is a symbolic link or no directory"),
    ] {
        let script = format!(
            "cd {place}/h; export HOME={place}/h XDG_RUNTIME_DIR={place}/{runtime}; \
             {underpass} -v -x local: printenv UNDERPASS_SESSION; find {place}/good -mindepth 1"
        );
        let done = as_user(&world, &script).expect("there is a user");
        assert!(done.stderr.contains("passed over: ") && done.stderr.contains(why), "{done}");
        assert!(done.stdout.contains("/h/.local/state/underpass/v1-"), "{done}");
        assert_eq!(done.stdout.lines().count(), 1, "{done}");
    }
}

#[test]
fn an_agent_that_crashed_leaves_files_that_do_not_matter() {
    let (world, proxy) = world();
    for _ in 0..3 {
        assert_eq!(says_hello(&world, &proxy).run().stdout, "hello\n");
        let sockets = listed(&world, &directory(&world));
        assert_eq!(sockets.iter().filter(|line| line.contains(" s ")).count(), 2, "{sockets:?}");
        end(&world, agent(&world), Signal::KILL);
    }
    no_leaks(&world);
}

#[test]
fn sigterm_ends_the_agent_and_its_sockets() {
    let (world, proxy) = world();
    for signal in [Signal::TERM, Signal::INT] {
        assert_eq!(says_hello(&world, &proxy).run().stdout, "hello\n");
        let place = directory(&world);
        end(&world, agent(&world), signal);
        let left = listed(&world, &place);
        assert!(!left.iter().any(|line| line.contains(" s ")), "{left:?}");
        // With no program of it alive, no upstream is kept either.
        assert!(!left.iter().any(|line| line.ends_with(" sessions")), "{left:?}");
    }
    assert_eq!(says_hello(&world, &proxy).run().stdout, "hello\n");
    no_leaks(&world);
}

#[test]
fn two_agents_cannot_serve_one_directory() {
    let (world, proxy) = world();
    assert_eq!(says_hello(&world, &proxy).run().stdout, "hello\n");
    let (place, first) = (directory(&world), agent(&world));
    for foreground in [&["--foreground"][..], &[]] {
        let second = world.client(artifacts::agent()).args(["run", "--directory"]).arg(&place);
        let done = second.args(foreground).run();
        assert_eq!((done.code(), &*done.stdout), (125, ""), "{done}");
        assert!(done.stderr.contains("another agent serves here"), "{done}");
    }
    assert_eq!(world.agents(), [first]);
    assert_eq!(says_hello(&world, &proxy).run().stdout, "hello\n");
}

/// Nor one that others can write to, and none that is no directory. Where there is none, how to make it is told.
#[test]
fn an_agent_serves_no_directory_of_others() {
    let world = World::new();
    world.client("install").args(["-d", "-m", "722", "loose"]).run().success();
    world.client("ln").args(["-s", "home", "link"]).run().success();
    for (name, lines) in [("loose", 1), ("link", 1), ("none", 2), ("hosts", 1)] {
        let place = world.directory().join(name);
        let done = world.client(artifacts::agent()).args(["run", "--directory"]).arg(&place).run();
        assert_eq!((done.code(), done.stderr.lines().count()), (125, lines), "{done}");
    }
    wait("no agent is left", || world.agents().is_empty());
}

/// Else each namespace that has gone would leave a directory for ever.
#[test]
fn the_last_process_of_a_network_takes_the_directory_along() {
    let (world, proxy) = world();
    assert_eq!(says_hello(&world, &proxy).run().stdout, "hello\n");
    let here = directory(&world).display().to_string();
    let underpass = artifacts::underpass().display().to_string();
    let exists = |path: &str| world.client("test").args(["-d", path]).run().code() == 0;
    for (beside, stays) in [("", false), ("sleep 1000 </dev/null >/dev/null 2>&1 &", true)] {
        let script = format!("ip link set lo up; {beside} exec \"$@\"");
        let unshared = world.client("unshare").args(["--net", "sh", "-c", &script, "sh"]);
        // In CI an agent does not wait for another launch.
        let program = ["-x", "local:", "--", "sh", "-c", "echo ${UNDERPASS_SESSION##*:}; read x"];
        let mut running = unshared.env("CI", "1").arg(&underpass).args(program).spawn();
        let socket = running.next_line();
        let (there, _) = socket.rsplit_once('/').expect("a path");
        assert!(there != here && exists(there), "{there}");
        running.close_input();
        running.wait();
        wait("the agent leaves", || world.agents().len() == 1);
        if !stays {
            wait("its directory goes", || !exists(there));
        }
        assert_eq!(exists(there), stays, "{there}");
    }
    assert!(exists(&here));
}
