//! Calls of a program that are cancelled, interrupted, made twice or given up.

use underpass_tests::behaviour::Behaviour;
use underpass_tests::servers::port;

use crate::Both;

/// What `programs/greeting.c` writes when all is well.
const GREETED: &str = "0\ngreeting 6\nhello\nsend 4\necho word\nend 0\nrecv 0\n";

#[test]
fn a_cancelled_thread_in_a_hooked_call_aborted_the_program() {
    let both = Both::new();
    both.proxy.on(port::ECHO, Behaviour::SilentReply);
    for what in ["sendmsg", "sendto", "timed"] {
        // Host 66 answers nobody.
        let arguments = ["v4", "blocking", "66", "7007", what];
        both.write("r_cancel", &arguments, "cleaned up\ncancelled at once\n");
    }
}

#[test]
fn a_pending_cancellation_aborted_the_program_inside_a_hook() {
    let both = Both::new();
    let calls = [
        "connect",
        "connect again",
        "dissolve",
        "sendto",
        "sendmmsg",
        "fast open",
        "getaddrinfo",
        "getnameinfo",
        "gethostbyname",
        "system",
        "popen",
    ];
    let lives: String = calls.iter().map(|call| format!("{call}: lives\n")).collect();
    for mode in crate::MODES {
        both.write("r_cancelled", &["v4", mode, "1", "7007"], &lives);
    }
}

/// When it is cancelled is another matter: a hand-off is first ended.
#[test]
fn a_thread_cancelled_during_a_hand_off_aborted_the_program() {
    let both = Both::new();
    both.proxy.on(port::ECHO, Behaviour::Delay(std::time::Duration::from_secs(1)));
    both.write_lines("r_cancel", &["v4", "blocking", "66", "7007", "connect"], "cleaned up\n");
}

#[test]
fn a_second_ld_preload_entry_took_the_library_out() {
    let both = Both::new();
    let greeting = underpass_tests::artifacts::program("greeting").display().to_string();
    for entry in ["LD_PRELOAD=", "LD_PRELOAD=/nowhere.so"] {
        let arguments = [entry, &greeting, "v4", "blocking", "1", "7006"];
        both.write("r_environment", &arguments, GREETED);
        assert_eq!(both.proxy.requests().len(), 1, "{entry}: it did not go through the proxy");
        both.proxy.forget();
    }
}

#[test]
fn a_signal_during_a_hand_off_lost_the_connection() {
    let both = Both::new();
    for how in ["interrupt", "restart"] {
        both.proxy.on(port::ECHO, Behaviour::Delay(std::time::Duration::from_millis(120)));
        both.write("r_handler", &["v4", "blocking", "1", "7007", how], "good 20\n");
    }
}

#[test]
fn an_attempt_that_was_given_up_ended_the_sockets_next_connection() {
    let both = Both::new();
    let good = ["recv 1\npeer the listener\n"; 3].concat();
    let expected = format!("first EINPROGRESS\ndissolve 0\nloopback good\n{good}");
    // The old attempt fails, or succeeds, a second later.
    for port in ["8099", "8007"] {
        both.write("r_abandon", &["v4", "nonblocking", "1", port, "loopback"], &expected);
    }
}

#[test]
fn an_attempt_that_was_given_up_left_its_errno_to_the_next() {
    let both = Both::new();
    let expected = "first EINPROGRESS\ndissolve 0\nconnect EINPROGRESS\npoll 1 OUT\nSO_ERROR 0\n\
                    send 4\necho word\npeer 10.99.0.1 7007, 16 bytes\n";
    both.write("r_abandon", &["v4", "nonblocking", "1", "8099", "1", "7007"], expected);
}

#[test]
fn two_threads_that_connect_one_socket_left_it_hanging() {
    let both = Both::new();
    both.write("r_twice", &["v4", "nonblocking", "1", "7006"], "hung 0 failed 0\n");
}

#[test]
fn two_threads_that_connect_one_blocking_socket_ended_each_others_attempt() {
    let both = Both::new();
    both.write("r_twice", &["v4", "blocking", "1", "7006"], "hung 0 failed 0\n");
}

#[test]
fn the_limit_on_descriptors_stayed_raised() {
    let both = Both::new();
    for mode in ["nonblocking", "blocking"] {
        for _ in 0..3 {
            let expected = "soft 64 hard 4096 failures 0\n";
            both.write("r_limit", &["v4", mode, "1", "7008"], expected);
        }
    }
}

#[test]
fn an_exec_on_a_small_signal_stack_was_killed() {
    Both::new().write("r_small_stack", &[], "fine\n");
}

/// Chromium's processes are ended by their filter for a question about a socket's options.
#[test]
fn an_addition_to_an_epoll_set_ended_a_program_that_confines_itself() {
    let expected = "add 0\nadd 0\nadd 0\nadd 0\nsendmsg 5, wait 1, recvmsg 5 hello\nsend 1, recv 1\nwrite 2, read 2\n\
                    recv -1 Resource temporarily unavailable\ndup 1, shutdown 0, close 0\nchild 7\n";
    Both::new().write("r_confined", &[], expected);
}

#[test]
fn names_that_look_like_numbers_were_asked_of_the_name_server() {
    let both = Both::new();
    let names = [
        "0x7f.1",
        "1.0xdeadbeef",
        "0xdeadbeef",
        "1.2.3.4",
        "1.2.3.4.5",
        "1.2.3.4.",
        "1.2",
        "4294967296",
        "",
        ".",
        ".1",
        "..1",
        "1..2",
        "08.1",
        "a:b",
        "fe80::1%lo",
        "::1",
        "::ffff:1.2.3.4",
        "1:",
        "0x",
        "localhost",
    ];
    // The native answers need a name server; that none is asked is all that is wanted.
    let done = crate::redirected(&both.redirected, both.proxy.url(), "r_host", &names);
    assert!(done.status.success(), "{done}");
    assert!(done.stdout.contains("gethostbyname 1.2.3.4: found"), "{done}");
    both.no_leaks();
}
