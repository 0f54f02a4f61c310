//! resolver(3): the functions that send DNS questions themselves. Inside libc they would use sockets that no
//! hook sees; so libc only writes the question, and the agent answers it.

use std::ffi::{CStr, c_char, c_void};

use libc::{c_int, c_uchar};
use underpass_core::lookup::{self, Edns, Found, Head, Herror, Policy, Tried};

use super::hooks;
use super::hostname::set_h_errno;
use crate::{errno, link, real};

/// Who asks: a state of the resolver, which tells how, and where the reason of a failure is left.
struct Resolver {
    /// The thread's own, or one that the program keeps; initialised.
    state: *mut State,
    /// It is one that the program keeps.
    given: bool,
}

/// The part of `struct __res_state` that is read and written here (resolv.h of glibc; its layout is part of
/// the interface).
#[repr(C)]
struct State {
    retrans: c_int,
    retry: c_int,
    options: std::ffi::c_ulong,
    servers: [u8; 56],
    domains: [*const c_char; 7],
    default_domain: [c_char; 256],
    pf: std::ffi::c_ulong,
    /// The lowest four bits.
    ndots: u32,
    sorted: [u8; 84],
    hooks: [*const c_void; 2],
    error: c_int,
}

const _: () = assert!(std::mem::offset_of!(State, domains) == 72);
const _: () = assert!(std::mem::offset_of!(State, ndots) == 392);
const _: () = assert!(std::mem::offset_of!(State, error) == 496);

// resolv.h
const RES_DEFNAMES: u64 = 0x80;
const RES_DNSRCH: u64 = 0x200;
const RES_USE_EDNS0: u64 = 0x10_0000;
const RES_USE_DNSSEC: u64 = 0x80_0000;
const RES_NOTLDQUERY: u64 = 0x100_0000;
/// A question with the longest name (HFIXEDSZ, QFIXEDSZ, MAXCDNAME), and the record of EDNS.
const QUESTION: usize = 12 + 4 + 256 + 11;
/// The shortest answer.
const HEAD: usize = 12;
/// MAXDNAME: the longest name in text.
const MAX_TEXT: usize = 1025;

/// What is asked for: class and type.
type Kind = (c_int, c_int);

macro_rules! queries {
    ($($how:ident: $name:ident, $own:ident;)*) => { hooks! {$(
        /// resolver(3).
        fn $name(name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, size: c_int) -> c_int,
            closed refuse() => Resolver::of_thread().map_or_else(refuse, |resolver| {
                resolver.done(resolver.$how(CStr::from_ptr(name), (class, kind), buffer(answer, size)))
            });
        /// resolver(3).
        fn $own(state: *mut c_void, name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, size: c_int) -> c_int,
            closed refuse() => {
                let resolver = Resolver::given(state);
                resolver.done(resolver.$how(CStr::from_ptr(name), (class, kind), buffer(answer, size)))
            };
    )*} };
}

queries! {
    query: res_query, res_nquery;
    query: __res_query, __res_nquery;
    search: res_search, res_nsearch;
    search: __res_search, __res_nsearch;
}

macro_rules! domains {
    ($($name:ident, $own:ident;)*) => { hooks! {$(
        /// resolver(3).
        fn $name(name: *const c_char, domain: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, size: c_int) -> c_int,
            closed refuse() => Resolver::of_thread().map_or_else(refuse, |resolver| {
                resolver.done(resolver.in_domain(CStr::from_ptr(name), text(domain), (class, kind), buffer(answer, size)))
            });
        /// resolver(3).
        fn $own(state: *mut c_void, name: *const c_char, domain: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, size: c_int) -> c_int,
            closed refuse() => {
                let resolver = Resolver::given(state);
                resolver.done(resolver.in_domain(CStr::from_ptr(name), text(domain), (class, kind), buffer(answer, size)))
            };
    )*} };
}

domains! {
    res_querydomain, res_nquerydomain;
    __res_querydomain, __res_nquerydomain;
}

macro_rules! sends {
    ($($name:ident, $own:ident;)*) => { hooks! {$(
        /// resolver(3).
        fn $name(query: *const c_uchar, len: c_int, answer: *mut c_uchar, size: c_int) -> c_int,
            closed refuse() => exchange(message(query, len), buffer(answer, size));
        /// resolver(3).
        fn $own(_state: *mut c_void, query: *const c_uchar, len: c_int, answer: *mut c_uchar, size: c_int) -> c_int,
            closed refuse() => exchange(message(query, len), buffer(answer, size));
    )*} };
}

sends! {
    res_send, res_nsend;
    __res_send, __res_nsend;
}

/// No answer, and no use in asking again.
fn refuse() -> c_int {
    set_h_errno(Herror::NoRecovery as c_int);
    errno::fail(libc::ENETUNREACH)
}

/// # Safety
///
/// `answer` has `size` bytes, which are the caller's.
unsafe fn buffer<'a>(answer: *mut c_uchar, size: c_int) -> &'a mut [u8] {
    let size = usize::try_from(size).unwrap_or(0);
    // SAFETY: the caller's promise. Nothing is read but what an answer has been written to.
    if answer.is_null() { &mut [] } else { unsafe { std::slice::from_raw_parts_mut(answer, size) } }
}

/// # Safety
///
/// `query` has `len` bytes.
unsafe fn message<'a>(query: *const c_uchar, len: c_int) -> &'a [u8] {
    let len = usize::try_from(len).unwrap_or(0);
    // SAFETY: the caller's promise.
    if query.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(query, len) } }
}

/// # Safety
///
/// Null or a C string.
unsafe fn text<'a>(domain: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!domain.is_null()).then(|| unsafe { CStr::from_ptr(domain) }.to_bytes())
}

/// Sends a question; the length that is told of the answer, of which the buffer has as much as it holds.
fn send(question: &[u8], answer: &mut [u8]) -> Option<usize> {
    if answer.len() < HEAD {
        errno::set(libc::EINVAL);
        return None;
    }
    let Ok(length) = link::query(question, answer) else {
        errno::set(libc::ECONNREFUSED);
        return None;
    };
    let (told, cut) = lookup::told(length, answer.len());
    if cut && let Some(bits) = answer.get_mut(2) {
        // TC
        *bits |= 2;
    }
    Some(told)
}

/// res_send(3).
fn exchange(question: &[u8], answer: &mut [u8]) -> c_int {
    let told = send(question, answer);
    if told.is_some() && lookup::head(answer).is_none_or(Head::is_rejection) {
        return errno::fail(libc::ETIMEDOUT);
    }
    told.and_then(|told| c_int::try_from(told).ok()).unwrap_or(-1)
}

impl Resolver {
    /// # Safety
    ///
    /// `state` is one that res_ninit(3) has made.
    unsafe fn given(state: *mut c_void) -> Self {
        Self { state: state.cast(), given: true }
    }

    fn of_thread() -> Option<Self> {
        let state = real::__res_state.get()?;
        // SAFETY: gives the address of the thread's own state (resolv.h).
        let resolver = Self { state: unsafe { state() }.cast(), given: false };
        // libc reads resolv.conf when it makes a question, where it has not, or the file has changed.
        resolver.question(c".", (1, 1), &mut [0; QUESTION])?;
        Some(resolver)
    }

    fn options(&self) -> u64 {
        // SAFETY: the state is initialised, and this thread's or the caller's.
        unsafe { (*self.state).options }
    }

    /// Ends a call: the return value, and why there is none.
    fn done(&self, found: Found) -> c_int {
        match found {
            Ok(length) => c_int::try_from(length).unwrap_or(c_int::MAX),
            Err(why) => {
                // SAFETY: as in `options`.
                unsafe { (*self.state).error = why as c_int };
                set_h_errno(why as c_int);
                -1
            }
        }
    }

    /// Has libc write a question; its length.
    fn question(&self, name: &CStr, (class, kind): Kind, buffer: &mut [u8; QUESTION]) -> Option<usize> {
        let (none, name, room) = (std::ptr::null(), name.as_ptr(), QUESTION as c_int);
        let to = buffer.as_mut_ptr();
        // SAFETY: the state is as `given` requires, the name a C string, the buffer as long as it is said.
        let length = unsafe {
            if self.given {
                real::res_nmkquery.get()?(self.state.cast(), 0, name, class, kind, none, 0, none, to, room)
            } else {
                real::res_mkquery.get()?(0, name, class, kind, none, 0, none, to, room)
            }
        };
        usize::try_from(length).ok().filter(|length| *length > 0)
    }

    fn query(&self, name: &CStr, kind: Kind, answer: &mut [u8]) -> Found {
        match self.ask(name, kind, answer) {
            Tried::Found(length) => Ok(length),
            Tried::Not { why, .. } => Err(why),
        }
    }

    fn ask(&self, name: &CStr, kind: Kind, answer: &mut [u8]) -> Tried {
        let not = |why| Tried::Not { why, from_server: false };
        let mut buffer = [0; QUESTION];
        let Some(mut length) = self.question(name, kind, &mut buffer) else { return not(Herror::NoRecovery) };
        if self.options() & (RES_USE_EDNS0 | RES_USE_DNSSEC) != 0 {
            let edns = Edns { signatures: self.options() & RES_USE_DNSSEC != 0, room: answer.len() };
            length = edns.append(&mut buffer, length).unwrap_or(length);
        }
        let Some(got) = send(buffer.get(..length).unwrap_or_default(), answer) else {
            return not(Herror::TryAgain);
        };
        match lookup::head(answer) {
            Some(head) => head.judge(got),
            None => not(Herror::NoRecovery),
        }
    }

    /// res_querydomain(3): with a domain behind the name, or as it is.
    fn in_domain(&self, name: &CStr, domain: Option<&[u8]>, kind: Kind, answer: &mut [u8]) -> Found {
        self.query(Text::new(name.to_bytes(), domain).ok_or(Herror::NoRecovery)?.as_c(), kind, answer)
    }

    fn search(&self, name: &CStr, kind: Kind, answer: &mut [u8]) -> Found {
        errno::set(0);
        let options = self.options();
        // SAFETY: as in `options`; the list ends with a null, and its strings are the state's.
        let (ndots, domains) = unsafe { ((*self.state).ndots & 0xf, &(*self.state).domains) };
        let policy = Policy {
            ndots: ndots as usize,
            default_domain: options & RES_DEFNAMES != 0,
            search: options & RES_DNSRCH != 0,
            no_top_level: options & RES_NOTLDQUERY != 0,
        };
        // SAFETY: as above.
        let domains = domains.iter().map_while(|domain| unsafe { text(*domain) });
        lookup::search(name.to_bytes(), policy, domains, |domain| match Text::new(name.to_bytes(), domain) {
            Some(full) => self.ask(full.as_c(), kind, answer),
            None => Tried::Not { why: Herror::NoRecovery, from_server: false },
        })
    }
}

/// A name and a domain as one C string.
struct Text([u8; MAX_TEXT]);

impl Text {
    /// `None` where it is longer than a name may be.
    fn new(name: &[u8], domain: Option<&[u8]>) -> Option<Self> {
        let mut text = [0; MAX_TEXT];
        // The last byte stays zero.
        let room = text.get_mut(..MAX_TEXT - 1)?;
        room.get_mut(..name.len())?.copy_from_slice(name);
        if let Some(domain) = domain {
            let (dot, behind) = room.get_mut(name.len()..)?.split_first_mut()?;
            *dot = b'.';
            behind.get_mut(..domain.len())?.copy_from_slice(domain);
        }
        (!name.is_empty() || domain.is_some()).then_some(Self(text))
    }

    fn as_c(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}
