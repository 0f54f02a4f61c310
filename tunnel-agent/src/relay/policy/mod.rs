//! Who may go where through a relay, and what is written down of it. Neither TLS nor HTTP is known here.
//!
//! # The path of one request
//!
//! 1. [`client`]: the digest of the key that was shown is a client's, or nobody's. [`keys`] reads the files.
//! 2. [`accounts`], [`limits`], [`bucket`]: the client may have one more stream; [`told`]: a no is written down, and not again and again.
//! 3. [`host`]: the host is a name or an address, and nothing between.
//! 4. [`judge`], step one: the client may have the name looked up.
//! 5. [`judge`], step two: each address that the look-up gives is judged, and what comes out of it is dialled.
//!    [`rules`]: one rule; [`special`]: addresses that must be named by one; [`own`]: those of the relay.
//! 6. [`accounts`]: bytes are paid for.
//! 7. [`audit`]: the decision is written down.
//!
//! [`settings`] is `relay.toml`; [`doubts`] is what in it its writer may not have meant; [`place`], [`size`], [`moment`] are what its texts are made of.

pub(crate) mod accounts;
pub(crate) mod audit;
mod bucket;
pub(crate) mod client;
pub(crate) mod doubts;
pub(crate) mod exposing;
pub(crate) mod host;
pub(crate) mod judge;
pub(crate) mod keys;
pub(crate) mod limits;
mod moment;
pub(crate) mod own;
mod place;
pub(crate) mod rules;
pub(crate) mod settings;
mod size;
mod special;
mod told;
