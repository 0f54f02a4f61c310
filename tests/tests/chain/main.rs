//! Chains of relays of our own, alone and among proxies that other people wrote.
//!
//! In each test the program gets the right bytes or the right errno, each relay's own record names the next hop and
//! nothing beyond it, and no packet goes by any other way.
//!
//! # Layout
//!
//! | file | is |
//! | --- | --- |
//! | `relays` | relays in a row, and their clients' keys |
//! | `lengths` | one to eight of them |
//! | `datagrams` | datagrams by the relay at the end |
//! | `answers` | what the exit says is what the program gets |
//! | `apart` | which connections share a chain |
//! | `keys` | wrong pins, keys that nobody knows, and none |
//! | `mixes` | relays behind proxies, and proxies behind relays |
//! | `killed` | relays that end while they carry, and come back |

mod answers;
mod apart;
mod datagrams;
mod keys;
mod killed;
mod lengths;
mod mixes;
#[path = "../upstreams/place.rs"]
mod place;
mod relays;
