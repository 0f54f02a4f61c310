//! The hooks: every symbol that the library exports, and nothing else.
//!
//! A hook translates and decides nothing: pointers to values, outcome to return value and errno.

mod asynchronous;
mod connect;
mod control;
mod datagram;
mod exec;
mod execl;
mod foreign;
mod hostname;
mod idn;
mod inner;
mod listening;
mod load;
mod name_info;
mod notification;
mod number;
mod open;
mod peer;
mod receive;
mod remote;
mod resolve;
mod resolver;
mod variadic;

use crate::{real, session};

/// Exports hooks: `fn name(arguments) -> type, closed answer => judge, real call`.
///
/// `name(arguments) -> type, open body` has no fence around it: for hot calls, whose bodies fence what they
/// judge.
///
/// `judge` runs inside the fence and answers `Some`, or `None` for the real call, which is made
/// outside it: a cancelled thread unwinds from there, and nothing may catch that. Without `real`, the
/// judgement is the answer. After a panic the answer is `closed`, chosen so that no packet leaves.
macro_rules! hooks {
    ($(
        $(#[$doc:meta])*
        fn $name:ident($($arg:ident: $t:ty),* $(,)?) -> $r:ty, closed $closed:expr => $judge:expr $(, real $real:expr)?;
    )*) => {$(
        $(#[$doc])*
        #[allow(unused_unsafe, reason = "refusals need none")]
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C-unwind" fn $name($($arg: $t),*) -> $r {
            hooks!(@body $r, $closed, $judge $(, $real)?)
        }
    )*};
    ($(
        $(#[$doc:meta])*
        fn $name:ident($($arg:ident: $t:ty),* $(,)?) -> $r:ty, open $body:expr;
    )*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C-unwind" fn $name($($arg: $t),*) -> $r {
            // SAFETY: as below.
            unsafe { $body }
        }
    )*};
    (@body $r:ty, $closed:expr, $judge:expr) => {
        // SAFETY: the arguments are the program's own call, which keeps the contract of the function
        // of this name; the body relies on that contract and on nothing else.
        crate::fence::fenced(|| unsafe { $judge }, || $closed)
    };
    (@body $r:ty, $closed:expr, $judge:expr, $real:expr) => {{
        // SAFETY: as above.
        let judged: Option<$r> = crate::fence::fenced(|| unsafe { $judge }, || Some($closed));
        match judged {
            Some(answer) => answer,
            // SAFETY: as above; nothing with a destructor lives in this frame.
            None => unsafe { $real },
        }
    }};
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
