//! What others learn, and what they can do: those who watch the cables of a chain, its relays themselves, and
//! whoever changes what is carried.
//!
//! # Layout
//!
//! | file | is |
//! | --- | --- |
//! | `relays` | relays on machines that the test chooses |
//! | `line` | a chain in which each machine has cables to its neighbours, and nothing else |
//! | `capture` | what goes over a cable |
//! | `links` | no cable but the last carries the destination or what is said to it |
//! | `memory` | no relay but the exit has them in its memory or its record |
//! | `balancer` | two relays behind HAProxy, of which one is killed |
//! | `damage` | flipped bits |
//! | `browser` | a browser, with a token |
//! | `others` | squid and nghttpx, taken for relays |

mod balancer;
mod browser;
mod capture;
mod damage;
mod line;
mod links;
mod memory;
mod others;
#[expect(dead_code, reason = "others use the rest of it")]
#[path = "../upstreams/place.rs"]
mod place;
mod relays;
