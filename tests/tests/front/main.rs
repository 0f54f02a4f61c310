//! The front door: programs that know a proxy come in by it, and are carried by the agent's chain.
//!
//! # Layout
//!
//! | file | is |
//! | --- | --- |
//! | `place` | a world with doors |
//! | `doors` | what real programs and odd ones say at them |
//! | `socks` | the protocols: every version and split, logins, ends and resets |
//! | `datagrams` | associations |
//! | `forwards` | one door, one destination |
//! | `transparent` | what the kernel redirects |

mod datagrams;
mod doors;
mod forwards;
mod place;
mod socks;
mod transparent;
