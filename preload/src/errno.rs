//! The calling thread's errno, which hooks leave as they found it unless they fail.

use libc::c_int;

pub(crate) fn get() -> c_int {
    // SAFETY: __errno_location returns the address of this thread's errno, valid while the thread lives.
    unsafe { *libc::__errno_location() }
}

pub(crate) fn set(value: c_int) {
    // SAFETY: as in `get`; nobody else writes this thread's errno while we do.
    unsafe { *libc::__errno_location() = value }
}

/// Sets errno and returns the −1 that goes with it.
pub(crate) fn fail(value: c_int) -> c_int {
    set(value);
    -1
}
