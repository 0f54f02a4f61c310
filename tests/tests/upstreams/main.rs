//! Proxies that other people wrote, alone and in chains, and scripted ones that break their protocol.
//!
//! In each test the program gets the right bytes or the right errno (core/src/failure.rs), each
//! proxy's own record names what it was asked for, and no packet goes by any other way.
//!
//! # Layout
//!
//! | file | is |
//! | --- | --- |
//! | `place` | a world with servers, `visit.py`, and the checks |
//! | `control` | the proxies without underpass |
//! | `socks` | microsocks, Dante, `ssh -D`, tor |
//! | `web` | squid, tinyproxy, privoxy |
//! | `ssh` | hops by the user's own OpenSSH |
//! | `chains` | mixes of them, up to five |
//! | `kinds` | each kind of chain while hops are killed and revived |
//! | `distance` | `nearest` with hops that are truly far |
//! | `loopback` | routes that name loopback |
//! | `odd_names` | host names that would break a request |
//! | `routes` | what routes ask about |
//! | `warm` | connections that are kept ready |
//! | `recipes`, `guide` | docs/recipes.md and docs/guide.md as they stand there |
//! | `faults`, `fault_tables` | proxies that break their protocol, and how |

mod chains;
mod control;
mod distance;
mod fault_tables;
mod faults;
mod flights;
mod guide;
mod kinds;
mod loopback;
mod odd_names;
mod place;
mod recipes;
mod routes;
mod socks;
mod ssh;
mod warm;
mod web;
