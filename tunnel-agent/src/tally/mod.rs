//! What is counted, for [metrics](crate::metrics): numbers that grow while the process lives.
//!
//! # Layout
//!
//! - [`chains`]: of an agent's connections, chain by chain; [`histogram`]: how long they take to come about.
//! - [`clients`]: of a relay's streams, client by client.

pub(crate) mod chains;
pub(crate) mod clients;
pub(crate) mod histogram;

/// Chains or clients that have labels of their own; the others share [`OTHERS`]. No chain and no client can be
/// called so.
pub(crate) const MOST: usize = 256;
pub(crate) const OTHERS: &str = "(others)";
