//! The front door: programs that know a proxy come in by it, and are carried by the agent's chain.
//!
//! # Layout
//!
//! | file | is |
//! | --- | --- |
//! | `place` | a world with doors |
//! | `doors` | what real programs and odd ones say at them |
//! | `datagrams` | associations |

mod datagrams;
mod doors;
mod place;
