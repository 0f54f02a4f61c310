//! `libunderpass.so`: hands each intercepted call to the agent.
//!
//! # The path of one `connect()`
//!
//! 1. The program calls `connect`; the dynamic linker gives it [`hooks`]' function of that name,
//!    which goes through the [`fence`] (a panic fails closed) and turns pointers into values
//!    ([`address`]).
//! 2. [`redirect::connect`] judges: not inet, loopback, a socket that is connecting or connected
//!    already; or a destination to carry. It reaches the world only through [`redirect::Socket`].
//! 3. To carry, [`link`] opens a fresh connection to the agent, sends one frame with the program's
//!    own socket (`SCM_RIGHTS`), and waits for one frame.
//!    A non-blocking socket is held [`ahead`] of the question, which then needs no answer.
//! 4. *Handed off*: the agent has connected the program's socket through the upstream; done.
//!    *Held*: the socket is in `SYN_SENT` and will be completed when the far end has accepted;
//!    a non-blocking program gets `EINPROGRESS`, a blocking one waits in the kernel's own `connect`.
//!    *Refused*: the errno; nothing was sent.
//! 5. When a held socket fails, `getsockopt(SO_ERROR)` and a second `connect` ask the agent for the
//!    true errno by socket cookie.
//!
//! The library keeps nothing per descriptor, starts no thread (but for a `getaddrinfo_a` that is not answered at
//! once), prints nothing, and allocates
//! nothing outside the resolver functions, which hand allocated memory to the program, and the repair of
//! an environment for `execl*`, `system` and `popen`.
//!
//! # Layout
//!
//! Unsafe code lives in `hooks/`, [`real`], [`fence`], [`address`], [`socket`], [`environment`],
//! [`variables`], [`host_entry`], [`entries`], [`session`], [`started`] and [`pointers`]; [`redirect`], [`link`], [`loads`] and
//! [`paths`] are safe.

#![cfg_attr(test, allow(dead_code, reason = "what only the hooks use"))]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "nothing here may end the program that it is loaded into"
    )
)]

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("underpass runs on Linux on x86-64 and aarch64");

mod address;
mod ahead;
mod done;
mod entries;
mod environment;
mod errno;
mod fence;
#[cfg(not(test))]
mod hooks;
mod host_entry;
mod link;
mod loads;
mod name;
mod paths;
mod pointers;
mod real;
mod redirect;
mod session;
mod socket;
mod started;
mod variables;
