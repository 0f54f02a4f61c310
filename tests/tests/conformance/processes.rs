//! Several descriptors, threads and processes around one connection.

use underpass_tests::servers::port;

use crate::worlds::{Both, Case};

const SLOW: u16 = port::slow(port::ECHO);
const SLOW_REFUSED: u16 = port::slow(port::REFUSED);

#[test]
fn a_copy_of_the_descriptor_is_as_good_as_the_first() {
    Both::new().compare(&[
        Case::new("copies", SLOW).more(&["dup"]),
        Case::new("copies", port::ECHO).more(&["dup"]),
        Case::new("copies", SLOW_REFUSED).more(&["dup"]),
    ]);
}

#[test]
fn a_socket_may_be_closed_while_it_connects() {
    Both::new().compare(&[Case::new("copies", SLOW).more(&["close"])]);
}

#[test]
fn another_process_may_wait_for_the_connection() {
    Both::new().compare(&[
        Case::new("copies", SLOW).more(&["fork"]),
        Case::new("copies", SLOW).more(&["vfork-exec"]),
        Case::new("copies", SLOW).more(&["exec"]),
        Case::new("copies", SLOW).more(&["spawn"]),
        Case::new("copies", SLOW_REFUSED).more(&["fork"]),
        Case::new("copies", SLOW_REFUSED).more(&["vfork-exec"]),
        Case::new("copies", SLOW_REFUSED).more(&["exec"]),
        Case::new("copies", SLOW_REFUSED).more(&["spawn"]),
    ]);
}

#[test]
fn threads_do_not_disturb_each_other() {
    let both = Both::new();
    both.compare_in(&[Case::new("threads", port::ECHO)], &crate::worlds::FAMILIES, &["both"]);
    assert_eq!(both.proxy.requests().len(), 1500);
}

#[test]
fn closed_and_nearly_full_descriptor_tables_are_no_obstacle() {
    Both::new().compare(&[
        Case::new("table", port::ECHO).more(&["closed"]),
        Case::new("table", port::ECHO).more(&["full", "3"]),
        Case::new("table", port::ECHO).more(&["full", "2"]),
        Case::new("table", port::ECHO).more(&["full", "1"]),
    ]);
}

/// A known difference: natively `connect()` needs no descriptor of its own, ours one for the time of
/// the call.
#[test]
fn a_full_descriptor_table_fails_and_leaks_nothing() {
    let both = Both::new();
    let case = Case::new("table", port::ECHO).more(&["full", "0"]);
    for mode in crate::worlds::MODES {
        let [native, redirected] = both.run("table", &case.arguments("v4", mode));
        assert!(native.stdout.contains("echo table\n"), "{native}");
        assert!(redirected.stdout.contains("\nconnect ENETUNREACH\n"), "works now? {redirected}");
    }
    both.no_leaks();
}

#[test]
fn an_environment_may_be_large_or_lost() {
    let both = Both::new();
    let ways: [&[&str]; 18] = [
        &["large"],
        &["execve"],
        &["execve-null"],
        &["execle"],
        &["execvpe"],
        &["fexecve"],
        &["unset"],
        &["clearenv"],
        &["spawn"],
        &["spawnp"],
        &["vfork"],
        &["execl-unset"],
        &["execlp-unset"],
        &["system"],
        &["system-unset"],
        &["popen"],
        &["popen-unset"],
        &["leaf"],
    ];
    both.compare_in(&ways.map(|way| Case::new("environment", port::ECHO).more(way)), &["v4"], &["blocking"]);
    assert_eq!(both.proxy.requests().len(), ways.len());
}
