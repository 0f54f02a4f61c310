//! The hooks: every symbol that the library exports, and nothing else.
//!
//! A hook translates and decides nothing: pointers to values, outcome to return value and errno.

mod connect;
mod datagram;
mod exec;
mod execl;
mod hostname;
mod name_info;
mod peer;
mod resolve;
mod resolver;

use libc::c_int;

use crate::redirect::Outcome;
use crate::{errno, real, session};

/// Exports hooks: `fn name(arguments) -> type, closed answer => body`. Each goes through the fence,
/// which answers `closed` after a panic. What a closed answer says is chosen so that no packet leaves.
macro_rules! hooks {
    ($(
        $(#[$doc:meta])*
        fn $name:ident($($arg:ident: $t:ty),* $(,)?) -> $r:ty, closed $closed:expr => $body:expr;
    )*) => {$(
        $(#[$doc])*
        #[allow(unused_unsafe, reason = "refusals need none")]
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name($($arg: $t),*) -> $r {
            crate::fence::fenced(
                // SAFETY: the arguments are the program's own call, which keeps the contract of the
                // function of this name; the body relies on that contract and on nothing else.
                || unsafe { $body },
                || $closed,
            )
        }
    )*};
}
pub(crate) use hooks;

/// The dynamic linker calls this when the library is loaded, before the program's `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = {
    extern "C" fn constructor() {
        crate::fence::fenced(
            || {
                // The default hook prints to the program's standard error.
                std::panic::set_hook(Box::new(|_| {}));
                real::resolve_all();
                session::load();
            },
            || (),
        );
    }
    constructor
};

/// An outcome as a return value and errno; `pass` is the real call.
fn finish(outcome: Outcome, pass: impl FnOnce() -> c_int) -> c_int {
    match outcome {
        Outcome::Done => 0,
        Outcome::Pass(_) => pass(),
        Outcome::Fail(errno) => errno::fail(errno),
    }
}
