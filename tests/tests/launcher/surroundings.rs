//! What the program sees of itself and of its terminal, compared natively and under underpass.

use underpass_tests::{Command, Finished, World, artifacts};

use crate::carried;

/// The output, less the two variables that are added; these are counted.
fn without_ours(done: &Finished) -> (String, usize) {
    let ours = ["environment LD_PRELOAD=", "environment UNDERPASS_SESSION="];
    let (added, rest): (Vec<&str>, Vec<&str>) =
        done.stdout.split_inclusive('\n').partition(|line| ours.iter().any(|name| line.starts_with(name)));
    (rest.concat(), added.len())
}

/// Runs both and compares what they print.
#[track_caller]
fn same(natively: Command, wrapped: Command, expected: &[&str]) {
    let (natively, wrapped) = (natively.run(), wrapped.run());
    assert_eq!(without_ours(&natively).1, 0, "{natively}");
    let (seen, added) = without_ours(&wrapped);
    assert_eq!(seen, natively.stdout, "{wrapped}");
    assert_eq!(added, 2, "{wrapped}");
    assert_eq!((wrapped.code(), &wrapped.stderr), (natively.code(), &natively.stderr));
    for line in expected {
        assert!(seen.contains(line), "no {line:?} in {wrapped}");
    }
}

#[test]
fn arguments_and_environment_are_as_they_were_but_for_two_variables() {
    let world = World::new();
    let itself = artifacts::program("itself");
    let odd = ["show", "", "-x", "--", "--help", "two words", "line\nbreak", "\u{fc}", "*"];
    let with = |command: Command| {
        let command = command.args(odd).env("EMPTY", "").env("LONG", "x".repeat(100_000));
        command.env("UNDERPASS_LOG", "x").env("LD_PRELOADED", "no").env("CI", "1").env("A=", "=b")
    };
    let arguments =
        ["argument \nargument -x\nargument --\nargument --help\n", "environment A==", "LD_PRELOADED=no"];
    same(with(world.client(&itself)), with(carried(&world, &itself)), &arguments);
    // Without `--`, and with the program's name searched: it becomes argv[0] as it was typed.
    std::os::unix::fs::symlink(&itself, world.directory().join("itself")).expect("the directory is ours");
    let path = format!("{}:/usr/bin", world.directory().display());
    let natively = world.client("itself").args(odd).env("PATH", &path);
    let wrapped = world.client(artifacts::underpass()).args(["-xlocal:", "itself"]).args(odd);
    same(natively, wrapped.env("PATH", &path), &["argument itself\n"]);
}

/// Neither `env -i` nor the lack of HOME, PATH and the rest keeps a program from being carried.
#[test]
fn an_empty_environment_gets_two_variables() {
    let world = World::new();
    let itself = artifacts::program("itself");
    let empty = |command: Command| command.args(["-i", "env", "-u", "PWD"]);
    let underpass = empty(world.client("env")).arg(artifacts::underpass());
    let wrapped = underpass.args(["-x", "local:"]).arg(&itself).arg("show");
    same(empty(world.client("env")).arg(&itself).arg("show"), wrapped, &[]);
}

#[test]
fn signals_limits_and_descriptors_are_as_they_were() {
    let world = World::new();
    let itself = artifacts::program("itself");
    let odd = |world: &World| world.client(&itself).arg("odd");
    let wrapped = odd(&world).arg(artifacts::underpass()).args(["-x", "local:"]).arg(&itself).arg("show");
    let lines = [
        "SigPnd:\t0000000000000200",
        "SigBlk:\t0000001000000200",
        "11004\nSigCgt:",
        "Umask:\t0137",
        "descriptor 9 kind 20000 ",
        "descriptor 250 kind 40000 ",
        "nice 3, alarm set",
        "limit 7 12c 190\n",
    ];
    same(odd(&world).arg(&itself).arg("show"), wrapped, &lines);
}

#[test]
fn closed_standard_descriptors_are_closed_in_the_program() {
    let world = World::new();
    let itself = artifacts::program("itself");
    let shown = world.directory().join("shown");
    let descriptors = |command: Command| {
        let done = command.arg(&itself).arg("show-in").arg(&shown).run();
        assert_eq!((done.code(), &*done.stdout, &*done.stderr), (0, "", ""), "{done}");
        let text = std::fs::read_to_string(&shown).expect("it was written");
        // What the test was started with may have more.
        let standard = ["descriptor 0 ", "descriptor 1 ", "descriptor 2 "];
        let standard = |line: &&str| standard.iter().any(|start| line.starts_with(start));
        text.lines().filter(standard).map(String::from).collect::<Vec<_>>()
    };
    for closed in ["0", "1", "2", "01", "02", "12", "012"] {
        let without = || world.client(&itself).args(["without", closed]);
        let natively = descriptors(without());
        assert_eq!(natively.len(), 3 - closed.len(), "{natively:?}");
        let underpass = without().arg(artifacts::underpass()).args(["-x", "local:", "--"]);
        assert_eq!(descriptors(underpass), natively, "without {closed}");
    }
}

/// A message of ours must not go into a socket or file that took the number of standard error.
#[test]
fn a_message_to_a_closed_standard_error_goes_nowhere() {
    let world = World::new();
    let itself = artifacts::program("itself");
    let done =
        world.client(&itself).args(["without", "2"]).arg(artifacts::underpass()).arg("--nonsense").run();
    assert_eq!((done.code(), &*done.stdout), (125, ""), "{done}");
    let file = world.directory().join("output");
    let script = format!(
        "exec 1<>{file} 2>&-; {underpass} -x nonsense true",
        file = file.display(),
        underpass = artifacts::underpass().display()
    );
    let done = world.client("sh").args(["-c", &script]).run();
    assert_eq!(done.code(), 125, "{done}");
    assert_eq!(std::fs::read_to_string(file).expect("the shell made it"), "");
}

#[test]
fn standard_streams_pass_through_untouched() {
    let world = World::new();
    let bytes: Vec<u8> = (0..300_000u32).map(|i| (i.wrapping_mul(i) >> 3) as u8).collect();
    let done = carried(&world, "sh").args(["-c", "tee /dev/stderr | cat"]).input(bytes.clone()).run();
    assert_eq!(done.bytes, bytes);
    assert_eq!(done.stderr, String::from_utf8_lossy(&bytes));
    let done = carried(&world, "sh").args(["-c", "cat; echo end"]).run();
    assert_eq!(done.stdout, "end\n", "an empty input ends");
}

/// The keys for stop and interrupt, a shell with job control, and a program in the foreground.
#[test]
fn job_control_and_an_interrupt_work_as_they_do_natively() {
    let world = World::new();
    let terminal = artifacts::program("terminal");
    let shell = || world.client(&terminal).arg("job");
    let underpass = shell().arg(artifacts::underpass()).args(["-x", "local:"]);
    let natively = shell().arg(&terminal).arg("reader").run();
    let wrapped = underpass.arg(&terminal).arg("reader").run();
    assert_eq!(wrapped.stdout, natively.stdout, "{wrapped}");
    for line in [
        "terminal 1 1 1, settings 0",
        "foreground yes, own group yes, in the session of its parent yes",
        "the job has the terminal: yes",
        "stopped by 20",
        "continued",
        "read word",
        "signal 2",
    ] {
        assert!(wrapped.stdout.contains(line), "no {line:?} in {wrapped}");
    }
}

/// An interrupt ends what was started in the foreground and never the agent.
#[test]
fn the_agent_outlives_an_interrupt() {
    let world = World::new();
    let terminal = artifacts::program("terminal");
    let underpass = world.client(&terminal).arg("job").arg(artifacts::underpass()).args(["-x", "local:"]);
    let done = underpass.arg(&terminal).arg("reader").run();
    assert!(done.stdout.ends_with("signal 2\n"), "{done}");
    let agents = world.agents();
    assert_eq!(agents.len(), 1, "{agents:?}");
    assert_eq!(carried(&world, "true").run().code(), 0);
    assert_eq!(world.agents(), agents);
}
