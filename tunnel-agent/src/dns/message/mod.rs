//! DNS messages (RFC 1035, RFC 6891), without I/O: what is asked, and what a resolver answers.
//!
//! # Layout
//!
//! - [`question`]: what a program asks, and what it is told where that is no question.
//! - [`reply`]: the answers that are made here, and the question that is asked elsewhere.
//! - [`foreign`]: answers from elsewhere. Nobody there is trusted with more than the question.

pub(crate) mod foreign;
pub(crate) mod question;
pub(crate) mod reply;
#[cfg(test)]
mod tests;

pub(crate) use question::{Question, read};
