//! The fence that every hook goes through: nothing unwinds into the program, and a panic in a call
//! that could send a packet fails it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use libc::c_int;

/// Runs `body`; if it panics, `closed` says what the caller gets instead.
///
/// The default panic message is suppressed by the constructor, since the program's terminal is not
/// ours to write to.
///
/// Meanwhile the thread cannot be cancelled (pthread_cancel(3)): a cancellation unwinds, and an unwind
/// that is caught here would end the program. It takes effect at the next cancellation point outside.
pub(crate) fn fenced<T>(body: impl FnOnce() -> T, closed: impl FnOnce() -> T) -> T {
    let before = cancellation(PTHREAD_CANCEL_DISABLE);
    let answer = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| closed());
    cancellation(before);
    answer
}

/// Lets a cancellation that came meanwhile take effect: for calls that are cancellation points by POSIX
/// and do not always reach one of libc's.
pub(crate) fn cancellation_point() {
    // SAFETY: the callers are outside the fence, and no frame from here to the program has a destructor.
    unsafe { pthread_testcancel() }
}

/// pthread.h
const PTHREAD_CANCEL_DISABLE: c_int = 1;

unsafe extern "C-unwind" {
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
    fn pthread_testcancel();
}

/// Sets the thread's cancelability, and gives what it was.
fn cancellation(state: c_int) -> c_int {
    let mut before = 0;
    // SAFETY: `before` is ours; in glibc the call changes one word of the thread's own.
    unsafe { pthread_setcancelstate(state, &mut before) };
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_the_closed_answer() {
        let quiet = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let answer = fenced(|| if true { panic!("inside") } else { 1 }, || -1);
        std::panic::set_hook(quiet);
        assert_eq!(answer, -1);
        assert_eq!(fenced(|| 7, || -1), 7);
    }
}
