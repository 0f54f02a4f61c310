//! getaddrinfo_a(3): its notifications, and what becomes of it when the agent does not answer at once.

use rustix::process::{Pid, Signal, kill_process};
use underpass_tests::artifacts;

use crate::both::Both;

#[test]
fn each_way_of_being_told_is_as_natively() {
    let both = Both::new();
    let program = artifacts::program("async");
    for arguments in [
        &["wait", "echo.test", "listed.test", "10.99.0.1"][..],
        &["none", "echo.test", "null", "10.99.0.1"],
        &["signal", "echo.test", "first.test"],
        &["thread", "echo.test", "10.99.0.1"],
        &["empty"],
        &["empty", "null"],
        &["mode", "echo.test"],
        &["cancel", "echo.test"],
        &["wait", "a..b", "echo.test"],
        &["jump", "echo.test"],
    ] {
        let native = both.native.client(&program).args(arguments).run_or_kill();
        let wrapped = both.redirected.wrapped(both.proxy.url(), &program).args(arguments).run_or_kill();
        assert!(native.status.success() && wrapped.status.success(), "{arguments:?}: {native}\n{wrapped}");
        assert_eq!(native.stdout, wrapped.stdout, "{arguments:?}");
    }
    assert!(both.proxy.requests().iter().any(|request| request.to_string() == "name echo.test 7006"));
    both.no_leaks();
}

/// A stopped agent answers nobody, as one does whose chain takes its time.
#[test]
fn a_call_that_is_not_to_wait_does_not_wait() {
    let both = Both::new();
    let program = artifacts::program("async");
    for (how, told) in
        [("late", ""), ("late-thread", "told 5\n"), ("late-signal", "told 5\nby signal 0, code -60\n")]
    {
        let mut running = both
            .redirected
            .wrapped(both.proxy.url(), &program)
            .args([how, "echo.test", "null", "late.test"])
            .spawn();
        assert_eq!(running.next_line(), "ready");
        let agents = both.redirected.agents();
        assert_eq!(agents.len(), 1);
        let signal = |signal| {
            let pid = Pid::from_raw(agents[0] as i32).expect("a process has a number");
            kill_process(pid, signal).expect("the agent runs");
        };
        signal(Signal::STOP);
        running.say("go");
        for line in ["getaddrinfo_a 0", "in progress", "gai_suspend -3", "gai_cancel -102"] {
            assert_eq!(running.next_line(), line, "{how}");
        }
        signal(Signal::CONT);
        running.say("go");
        let mut rest = String::new();
        while !rest.ends_with("late.test: found\n") {
            rest += &running.next_line();
            rest += "\n";
        }
        let expected = format!("{told}gai_suspend -103\necho.test: found\n");
        assert!(rest.starts_with(&expected), "{how}: {rest}");
        assert!(rest.contains("connect 0\nrecv 6 hello\n"), "{how}: {rest}");
    }
    both.no_leaks();
}
