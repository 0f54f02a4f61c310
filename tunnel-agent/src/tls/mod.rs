//! What all ends of TLS have in common: a proxy that is dialled, a relay that is dialled, and the relay itself.
//!
//! - [`provider`]: which algorithms, from which library.
//! - [`pin`]: a public key by its SHA-256, and certificates that are believed for it alone.
//! - [`key`]: a key of our own and its certificate, from files or made anew.
//! - [`signatures`]: those of a handshake.

pub(crate) mod key;
pub(crate) mod pin;
pub(crate) mod provider;
pub(crate) mod signatures;
