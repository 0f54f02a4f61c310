//! gethostbyname(3), getnameinfo(3) and their relatives.

use crate::both::{Both, Known, lines};

#[test]
fn an_entry_is_as_libc_makes_it() {
    let mut calls = Vec::new();
    for function in ["gethostbyname", "gethostbyname2", "gethostbyname_r", "gethostbyname2_r"] {
        let families: &[i32] = if function.contains('2') { &[2, 10, 1, 99] } else { &[2] };
        for name in [
            "echo.test", "ECHO.test", "echo.test.", "v6.test", "127.0.0.1", "1.2.3.4", "1.2", "::1", "localhost",
            "listed.test", "first-alias", "listed6.test", "=", ".", "a..b", "L64", "L256", "L1200",
        ] {
            for family in families {
                calls.push(format!("host {function} {name} {family} 1024"));
            }
        }
    }
    for size in [0, 1, 8, 16, 24, 32, 40, 41] {
        calls.push(format!("host gethostbyname_r echo.test 2 {size}"));
    }
    Both::new().compare(&calls, &[]);
}

#[test]
fn an_address_has_the_name_that_it_was_given_for() {
    let calls = lines(
        "addr gethostbyaddr of:listed.test 2 1024
        addr gethostbyaddr_r of:listed.test 2 1024
        addr gethostbyaddr_r of:listed6.test 10 1024
        addr gethostbyaddr_r 127.0.0.1 2 1024
        addr gethostbyaddr_r 127.0.0.1 2 10
        addr gethostbyaddr_r ::1 10 1024
        addr gethostbyaddr_r :: 10 1024
        addr gethostbyaddr :: 10 1024
        addr gethostbyaddr_r 10.99.0.9 2 1024
        addr gethostbyaddr 10.99.0.9 2 1024
        info of:listed.test 80 100 100 0
        info of:listed.test 80 100 100 1
        info of:listed.test 80 100 100 2
        info of:listed.test 80 100 100 3
        info of:listed.test 80 100 100 4
        info of:listed.test 80 100 100 8
        info of:listed.test 69 100 100 16
        info of:listed.test 80 100 100 32
        info of:listed.test 80 100 100 0x100
        info of:listed.test 80 100 100 0x1000
        info of:listed.test 80 12 100 0
        info of:listed.test 80 11 100 0
        info of:listed.test 80 100 3 0
        info of:listed.test 80 -1 100 0
        info of:listed.test 80 100 -1 0
        info of:listed.test 80 -1 -1 0
        info of:listed.test 80 -1 -1 8
        info of:listed.test 80 0 100 0
        info 10.98.0.1 80 100 100 0
        info 10.98.0.1 80 100 100 8
        info 10.98.0.1 80 8 100 0
        info ::1 80 100 100 0
        info unix 80 100 100 0
        info short 80 100 100 0
        info foreign 80 100 100 0",
    );
    Both::new().compare(&calls, &[]);
}
