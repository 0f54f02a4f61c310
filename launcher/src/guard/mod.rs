//! The guard tier: the kernel asks about each internet socket, connection and truth about one (seccomp_unotify(2)),
//! whatever the program is made of, and we stay to answer. docs/guard-measurements.md says why it is made so.
//!
//! # The path of one `connect()`
//!
//! 1. The program's `socket()` was answered by [`socket`]: a TCP socket of ours, bound to the loopback device, from
//!    which nothing can leave, whatever the program does with it.
//! 2. `connect()` stops in the kernel ([`filter`]). [`supervisor`] is told ([`notification`]), and [`connect`] reads
//!    the address once ([`memory`]).
//! 3. A resolver's Unix socket is refused. Others, loopback and what the kernel refuses by itself go on in the kernel. It is safe,
//!    though a second thread may change the address meanwhile: the socket cannot leave.
//! 4. Else [`link`] asks the agent, with a copy of the socket (pidfd_getfd(2)). The agent holds it, and a program that does
//!    not wait is told EINPROGRESS at once; one that waits is answered with the outcome.
//!    For a signal that comes meanwhile ([`pending`]) the wait is left to the kernel, which ends it as any other.
//! 5. [`truth`] answers `SO_ERROR` and `getpeername`, which would show the hold; [`begun`] knows of whom nobody need be
//!    asked.
//!
//! # Layout
//!
//! - [`life`]: the processes: the launcher waits, the supervisor stays, the program is its child; [`family`]: what they tell each other.
//! - [`stopped`]: whether a process is. [`numbers`]: where /proc has it. [`probe`]: whether this system has what is needed. [`listener`]: where the kernel asks.
//! - [`socket`] and [`pair`]: the sockets that a program gets; [`bind`]: what they are bound to. [`datagram`]: datagram sockets, and what carries them. [`sealed`]: a network and files of its own besides.

mod begun;
mod bind;
mod connect;
mod datagram;
mod family;
mod filter;
mod kept;
mod life;
mod link;
#[allow(unsafe_code, reason = "seccomp has no safe form in rustix")]
mod listener;
mod memory;
mod notification;
mod numbers;
mod pair;
mod pending;
mod probe;
mod sealed;
mod socket;
mod sockets;
mod stopped;
mod supervisor;
mod truth;

pub(crate) use datagram::check as check_datagrams;
pub(crate) use datagram::{LOOPBACK, Own, V1, bind_to_card, lay_dead_end};
pub(crate) use life::{Start, run};
pub(crate) use probe::check;
pub(crate) use sealed::Seal;
pub(crate) use sockets::Copies;
pub(crate) use stopped::is_stopped;
