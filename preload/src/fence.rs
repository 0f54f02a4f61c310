//! The fence that every hook goes through: nothing unwinds into the program, and a panic in a call
//! that could send a packet fails it.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`; if it panics, `closed` says what the caller gets instead.
///
/// The default panic message is suppressed by the constructor, since the program's terminal is not
/// ours to write to.
pub(crate) fn fenced<T>(body: impl FnOnce() -> T, closed: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| closed())
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
