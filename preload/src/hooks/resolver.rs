//! The resolver functions that send DNS queries themselves. They are refused until names of every
//! record type can be asked through the chain: inside libc they use sockets that no hook sees.

use std::ffi::c_void;

use libc::{c_char, c_int, c_uchar};

use super::hooks;
use super::hostname::set_h_errno;

/// No answer, and no use in asking again (netdb.h `NO_RECOVERY`).
fn refuse() -> c_int {
    set_h_errno(3);
    crate::errno::fail(libc::ENETUNREACH)
}

macro_rules! refused_queries {
    ($($name:ident, $own:ident;)*) => { hooks! {$(
        /// resolver(3): refused.
        fn $name(_name: *const c_char, _class: c_int, _kind: c_int, _answer: *mut c_uchar, _size: c_int) -> c_int,
            closed refuse() => refuse();
        /// resolver(3): refused.
        fn $own(_state: *mut c_void, _name: *const c_char, _class: c_int, _kind: c_int, _answer: *mut c_uchar, _size: c_int) -> c_int,
            closed refuse() => refuse();
    )*} };
}

refused_queries! {
    res_query, res_nquery;
    res_search, res_nsearch;
    __res_query, __res_nquery;
    __res_search, __res_nsearch;
}

macro_rules! refused_domains {
    ($($name:ident, $own:ident;)*) => { hooks! {$(
        /// resolver(3): refused.
        fn $name(_name: *const c_char, _domain: *const c_char, _class: c_int, _kind: c_int, _answer: *mut c_uchar, _size: c_int) -> c_int,
            closed refuse() => refuse();
        /// resolver(3): refused.
        fn $own(_state: *mut c_void, _name: *const c_char, _domain: *const c_char, _class: c_int, _kind: c_int, _answer: *mut c_uchar, _size: c_int) -> c_int,
            closed refuse() => refuse();
    )*} };
}

refused_domains! {
    res_querydomain, res_nquerydomain;
    __res_querydomain, __res_nquerydomain;
}

macro_rules! refused_sends {
    ($($name:ident, $own:ident;)*) => { hooks! {$(
        /// resolver(3): refused.
        fn $name(_query: *const c_uchar, _len: c_int, _answer: *mut c_uchar, _size: c_int) -> c_int,
            closed refuse() => refuse();
        /// resolver(3): refused.
        fn $own(_state: *mut c_void, _query: *const c_uchar, _len: c_int, _answer: *mut c_uchar, _size: c_int) -> c_int,
            closed refuse() => refuse();
    )*} };
}

refused_sends! {
    res_send, res_nsend;
    __res_send, __res_nsend;
}

hooks! {
    /// getaddrinfo_a(3): refused, as if no thread could be had for it.
    fn getaddrinfo_a(_mode: c_int, _list: *mut *mut c_void, _count: c_int, _event: *mut c_void) -> c_int,
        closed libc::EAI_AGAIN => libc::EAI_AGAIN;
}

/// The Berkeley remote commands connect inside libc, where no hook sees it.
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
