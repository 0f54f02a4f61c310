//! Metrics, as Prometheus and its like read them. `docs/metrics.md` lists them; what they are of is told by
//! [`crate::sight`] and by [`crate::relay`].
//!
//! # Layout
//!
//! - [`text`]: the exposition format. [`serve`]: an answer to whoever asks on this machine, as [`request`] reads it.
//! - [`process`]: what any process can tell of itself.

pub(crate) mod process;
pub(crate) mod request;
pub(crate) mod serve;
pub(crate) mod text;
