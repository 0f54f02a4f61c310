//! Programs of C that have all of their library in them, or another one than glibc.

use underpass_tests::artifacts;
use underpass_tests::servers::port;

use crate::{PAGES, Place};

/// `by_name` in each of its ways: blocking, by epoll, and by system calls without a function around them.
#[track_caller]
fn connects_by_name(compiler: &str, output: &str, arguments: &[&str]) {
    let place = Place::new();
    let program = artifacts::compiled_by(compiler, "by_name", output, arguments);
    let there = ["echo.test", &port::BANNER.to_string()];
    for tier in ["guard", "sealed", "auto"] {
        for way in ["blocking", "epoll", "numbers"] {
            let done = place.under(tier, &program).args(there).arg(way).run();
            assert_eq!(done.stdout, "hello\n", "{output}, {tier}, {way}: {done}");
        }
    }
    place.no_leaks();
}

#[test]
fn a_static_program_of_glibc() {
    connects_by_name("gcc", "by_name-static", &["-static"]);
}

#[test]
fn a_program_of_musl() {
    connects_by_name("musl-gcc", "by_name-musl", &[]);
}

#[test]
fn a_static_program_of_musl() {
    connects_by_name("musl-gcc", "by_name-musl-static", &["-static"]);
}

#[test]
fn busyboxs_wget() {
    let place = Place::new().pages();
    let there = format!("http://web.test:{}/page", PAGES + 1);
    for tier in ["guard", "sealed", "auto"] {
        let done = place.under(tier, "busybox").args(["wget", "-q", "-O", "-", &there]).run();
        assert_eq!(done.stdout, "a page of its own", "{tier}: {done}");
    }
    place.no_leaks();
}
