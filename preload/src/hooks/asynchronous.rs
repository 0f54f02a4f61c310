//! `getaddrinfo_a`: libc would ask by threads of its own and by its inner `getaddrinfo`, which no hook sees.
//!
//! What the agent answers at once, and that is nearly everything, is looked up here before the call
//! returns, without a thread. For the rest, and for `SIGEV_THREAD`, there is one as libc has it: detached,
//! with all signals blocked, gone when its list is done. `gai_error` is libc's own: it reads the entry.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use libc::{addrinfo, c_char, c_int, pthread_attr_t, timespec};

use super::resolve::{self, EAI_INPROGRESS};
use super::{hooks, notification};
use crate::{done, errno};

/// One look-up (netdb.h `struct gaicb`).
#[repr(C)]
struct Entry {
    name: *const c_char,
    service: *const c_char,
    request: *const addrinfo,
    result: *mut addrinfo,
    code: AtomicI32,
    reserved: [c_int; 5],
}

// netdb.h
const GAI_WAIT: c_int = 0;
const GAI_NOWAIT: c_int = 1;
const EAI_AGAIN: c_int = -3;
const EAI_NOTCANCELED: c_int = -102;
const EAI_ALLDONE: c_int = -103;
const EAI_INTR: c_int = -104;

/// How long a call that is not to wait does wait for the agent: less than a program notices, and long
/// enough for what it knows.
const PATIENCE: Duration = Duration::from_millis(20);

hooks! {
    /// getaddrinfo_a(3).
    fn getaddrinfo_a(mode: c_int, list: *mut *mut c_void, count: c_int, event: *mut c_void) -> c_int,
        // Outside of the fence: a signal's handler may leave by siglongjmp(3).
        closed libc::EAI_SYSTEM => start(mode, entries(list, count), event.cast()), real {
            notification::send(event.cast());
            0
        };

    /// gai_suspend(3).
    fn gai_suspend(list: *const *const c_void, count: c_int, timeout: *const timespec) -> c_int,
        closed libc::EAI_SYSTEM => suspend(entries(list.cast(), count), if timeout.is_null() { None } else { Some(*timeout) });

    /// gai_cancel(3).
    fn gai_cancel(entry: *mut c_void) -> c_int,
        closed EAI_NOTCANCELED => if Entry::is_pending(entry.cast()) { EAI_NOTCANCELED } else { EAI_ALLDONE };
}

/// # Safety
///
/// `list` has `count` pointers.
unsafe fn entries<'a>(list: *const *mut c_void, count: c_int) -> &'a [*mut Entry] {
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: the caller's promise; pointers to different types have one size.
    if list.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(list.cast(), count) } }
}

impl Entry {
    /// # Safety
    ///
    /// Null or an entry of getaddrinfo_a(3).
    unsafe fn is_pending(this: *const Self) -> bool {
        // SAFETY: the caller's promise.
        !this.is_null() && unsafe { (*this).code.load(Ordering::Acquire) } == EAI_INPROGRESS
    }

    /// Looks it up; says whether it is done.
    ///
    /// # Safety
    ///
    /// An entry of getaddrinfo_a(3), which the program leaves alone meanwhile.
    unsafe fn look_up(this: *mut Self, patience: Option<Duration>) -> bool {
        // SAFETY: the caller's promise; the fields are as getaddrinfo(3) requires.
        unsafe {
            let result = &raw mut (*this).result;
            let code = resolve::find((*this).name, (*this).service, (*this).request, result, patience);
            (*this).code.store(code, Ordering::Release);
            code != EAI_INPROGRESS
        }
    }
}

/// Answers `None` where all is looked up and the program is to be told.
///
/// # Safety
///
/// As getaddrinfo_a(3) requires.
unsafe fn start(mode: c_int, list: &[*mut Entry], event: *const notification::Event) -> Option<c_int> {
    if mode != GAI_WAIT && mode != GAI_NOWAIT {
        errno::set(libc::EINVAL);
        return Some(libc::EAI_SYSTEM);
    }
    let given = || list.iter().copied().filter(|entry| !entry.is_null());
    for entry in given() {
        // SAFETY: the caller's promise.
        unsafe { (*entry).code.store(EAI_INPROGRESS, Ordering::Release) };
    }
    let begun = Instant::now();
    let mut left = Vec::new();
    for entry in given() {
        let patience = (mode == GAI_NOWAIT).then(|| PATIENCE.saturating_sub(begun.elapsed()));
        // SAFETY: the caller's promise. No time at all would be for ever.
        if patience == Some(Duration::ZERO) || !unsafe { Entry::look_up(entry, patience) } {
            left.push(entry);
        }
    }
    if mode == GAI_WAIT {
        return Some(0);
    }
    if left.is_empty() {
        return None;
    }
    // SAFETY: null or an event of the program's.
    let event = (!event.is_null()).then(|| unsafe { *event });
    let work = Box::into_raw(Box::new(Work { left, event }));
    // SAFETY: the thread takes the work; without a thread it is still ours.
    unsafe {
        if !detached(work_off, work.cast()) {
            work_off(work.cast());
        }
    }
    Some(0)
}

/// What the agent did not answer at once, for a thread.
struct Work {
    left: Vec<*mut Entry>,
    event: Option<notification::Event>,
}

extern "C" fn work_off(work: *mut c_void) -> *mut c_void {
    crate::fence::fenced(
        || {
            // SAFETY: `start` has given it away, to this call alone.
            let work = unsafe { Box::from_raw(work.cast::<Work>()) };
            for entry in work.left {
                // SAFETY: the program keeps an entry until it is done.
                unsafe { Entry::look_up(entry, None) };
                done::one_more();
            }
            let event = work.event.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
            // SAFETY: a copy of the program's event.
            unsafe { notification::send(event) };
        },
        || (),
    );
    null_mut()
}

/// Starts a thread that gets no signal; says whether there is one.
///
/// # Safety
///
/// `main` is right for `argument`, in another thread.
unsafe fn detached(main: extern "C" fn(*mut c_void) -> *mut c_void, argument: *mut c_void) -> bool {
    let (mut attributes, mut thread) = (MaybeUninit::<pthread_attr_t>::uninit(), 0);
    let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: each is initialised by the call that gets it first, and is ours alone.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        libc::pthread_attr_init(attributes.as_mut_ptr());
        libc::pthread_attr_setdetachstate(attributes.as_mut_ptr(), libc::PTHREAD_CREATE_DETACHED);
        let started = libc::pthread_create(&mut thread, attributes.as_ptr(), main, argument) == 0;
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), null_mut());
        started
    }
}

/// # Safety
///
/// Entries of getaddrinfo_a(3), or null.
unsafe fn suspend(list: &[*mut Entry], timeout: Option<timespec>) -> c_int {
    let pending = || {
        // SAFETY: the caller's promise.
        list.iter().filter(|entry| unsafe { Entry::is_pending(**entry) }).count()
    };
    let mut count = done::count();
    let first = pending();
    if first == 0 {
        return EAI_ALLDONE;
    }
    // Beyond what can be told is for ever.
    let limit = timeout.and_then(|t| {
        let (seconds, nanoseconds) = (t.tv_sec.try_into().unwrap_or(0), t.tv_nsec.try_into().unwrap_or(0));
        Instant::now()
            .checked_add(Duration::from_secs(seconds))?
            .checked_add(Duration::from_nanos(nanoseconds))
    });
    while pending() == first {
        let left = limit.map(|limit| limit.saturating_duration_since(Instant::now()));
        match done::wait(count, left) {
            done::Waited::TooLong => return EAI_AGAIN,
            done::Waited::Interrupted => return EAI_INTR,
            done::Waited::Perhaps => count = done::count(),
        }
    }
    0
}
