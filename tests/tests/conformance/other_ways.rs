//! The same calls by their number (`syscall`), and by libc's other names for them.

use underpass_tests::servers::port;

use crate::worlds::{Both, Case};

const WAYS: [&str; 2] = ["by_number", "by_alias"];
const SLOW: u16 = port::slow(port::ECHO);

#[test]
fn connections() {
    let both = Both::new();
    for way in WAYS {
        both.compare(&[
            Case::new("outcome", port::ECHO).by(way),
            Case::new("outcome", SLOW).by(way),
            Case::new("outcome", port::REFUSED).more(&["errno"]).by(way),
            Case::new("reconnect", port::ECHO).by(way),
            Case::new("options", port::ECHO).by(way),
            Case::new("bound", port::ECHO).more(&["any"]).by(way),
        ]);
        both.compare(&[Case::new("watch", port::late(port::ECHO)).more(&["epoll"]).by(way)]);
        assert!(both.proxy.requests().len() > 12);
    }
}

#[test]
fn fast_open() {
    for way in WAYS {
        Both::new().compare(&[
            Case::new("fastopen", port::ECHO).more(&["sendto"]).by(way),
            Case::new("fastopen", port::ECHO).more(&["sendmsg"]).by(way),
            Case::new("fastopen", port::ECHO).more(&["sendmmsg"]).by(way),
            Case::new("fastopen", port::ECHO).more(&["option"]).by(way),
        ]);
    }
}

#[test]
fn datagrams() {
    let both = Both::dante();
    for way in WAYS {
        let case = |what| Case::new("datagrams", port::ECHO).more(what).by(way);
        both.compare(&[
            case(&["unconnected"]),
            case(&["several"]),
            case(&["controlled"]),
            case(&["connected"]),
            case(&["sizes"]),
        ]);
    }
}

#[test]
fn programs_that_a_program_starts() {
    let both = Both::new();
    let number: [&[&str]; 4] = [&["execve"], &["execve-null"], &["fexecve"], &["leaf"]];
    let alias: [&[&str]; 5] = [&["system"], &["system-unset"], &["popen"], &["popen-unset"], &["leaf"]];
    let case = |way| move |what| Case::new("environment", port::ECHO).more(what).by(way);
    both.compare_in(&number.map(case("by_number")), &["v4"], &["blocking"]);
    both.compare_in(&alias.map(case("by_alias")), &["v4"], &["blocking"]);
    assert_eq!(both.proxy.requests().len(), number.len() + alias.len());
}

#[test]
fn numbers_that_are_no_concern_of_ours() {
    Both::new().compare_in(&[Case::new("numbers", 0)], &["v4"], &["blocking"]);
}
