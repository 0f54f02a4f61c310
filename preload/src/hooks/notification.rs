//! sigevent(7): how a program is told that an asynchronous look-up is done.

use std::ffi::c_void;
use std::mem::MaybeUninit;

use libc::{c_int, pthread_attr_t};

/// `struct sigevent`, with the member that SIGEV_THREAD uses.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Event {
    /// `union sigval`, which is passed as a pointer is.
    value: *mut c_void,
    signal: c_int,
    notify: c_int,
    function: Option<extern "C" fn(*mut c_void) -> *mut c_void>,
    attributes: *const pthread_attr_t,
}

/// The part of `siginfo_t` that sigqueue(3) fills in.
#[repr(C)]
struct Info {
    signal: c_int,
    error: c_int,
    code: c_int,
    pad: c_int,
    pid: c_int,
    user: u32,
    value: *mut c_void,
    rest: [u64; 12],
}

const _: () = assert!(size_of::<Info>() == size_of::<libc::siginfo_t>());

/// asm-generic/siginfo.h
const SI_ASYNCNL: c_int = -60;

/// Tells the program.
///
/// # Safety
///
/// `event` is null or the program's, as getaddrinfo_a(3) requires it.
pub(super) unsafe fn send(event: *const Event) {
    // SAFETY: the caller's promise.
    let Some(event) = (unsafe { event.as_ref() }) else { return };
    match (event.notify, event.function) {
        (libc::SIGEV_SIGNAL, _) => signal(event),
        (libc::SIGEV_THREAD, Some(function)) => {
            let mut own = MaybeUninit::<pthread_attr_t>::uninit();
            let mut thread = 0;
            // SAFETY: the program's attributes, or ours, initialised here; the function takes one word.
            unsafe {
                libc::pthread_attr_init(own.as_mut_ptr());
                libc::pthread_attr_setdetachstate(own.as_mut_ptr(), libc::PTHREAD_CREATE_DETACHED);
                let given = event.attributes;
                let attributes = if given.is_null() { own.as_ptr() } else { given };
                libc::pthread_create(&mut thread, attributes, function, event.value);
                libc::pthread_attr_destroy(own.as_mut_ptr());
            }
        }
        _ => {}
    }
}

/// To the process, as glibc does it, so that `si_code` says what it is about.
fn signal(event: &Event) {
    // SAFETY: both always succeed.
    let (pid, user) = unsafe { (libc::getpid(), libc::getuid()) };
    let info = Info {
        signal: event.signal,
        error: 0,
        code: SI_ASYNCNL,
        pad: 0,
        pid,
        user,
        value: event.value,
        rest: [0; 12],
    };
    let before = crate::errno::get();
    // SAFETY: the structure has the size of a siginfo_t, and is read only.
    unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, pid, event.signal, &raw const info) };
    crate::errno::set(before);
}
