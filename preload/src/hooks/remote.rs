//! Commands on other machines: refused, since libc connects inside, where no hook sees it.

use libc::{c_char, c_int};

use super::hooks;

fn no_remote_command() -> c_int {
    crate::errno::fail(libc::ENETUNREACH)
}

hooks! {
    /// rcmd(3): refused.
    fn rcmd(_host: *mut *mut c_char, _port: u16, _local: *const c_char, _remote: *const c_char, _command: *const c_char, _errors: *mut c_int) -> c_int,
        closed no_remote_command() => no_remote_command();
    /// rcmd_af(3): refused.
    fn rcmd_af(_host: *mut *mut c_char, _port: u16, _local: *const c_char, _remote: *const c_char, _command: *const c_char, _errors: *mut c_int, _family: u16) -> c_int,
        closed no_remote_command() => no_remote_command();
    /// rexec(3): refused.
    fn rexec(_host: *mut *mut c_char, _port: c_int, _user: *const c_char, _password: *const c_char, _command: *const c_char, _errors: *mut c_int) -> c_int,
        closed no_remote_command() => no_remote_command();
    /// rexec_af(3): refused.
    fn rexec_af(_host: *mut *mut c_char, _port: c_int, _user: *const c_char, _password: *const c_char, _command: *const c_char, _errors: *mut c_int, _family: u16) -> c_int,
        closed no_remote_command() => no_remote_command();
}
