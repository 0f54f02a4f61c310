//! Names as DNS asks for them: what a program sends to port 53 is answered here.
//!
//! # Layout
//!
//! - [`message`]: questions and answers, without I/O.

pub(crate) mod message;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::agent::Agent;
use crate::plan::Plan;
use crate::upstream::hop::Client;

/// What an answer is sent over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// A datagram: it is truncated to the size that the question names, or to 512 bytes.
    Udp,
    /// Anything that has room for every message.
    Tcp,
}

/// What a resolver answers to a message that a program has sent to port 53 of `asked`; `None`: nothing.
pub(crate) async fn answer(
    agent: &Arc<Agent>,
    plan: &Arc<Plan>,
    client: &Client,
    question: &[u8],
    asked: SocketAddr,
    over: Over,
) -> Option<Vec<u8>> {
    let question = match message::read(question) {
        Ok(question) => question,
        Err(answer) => return answer,
    };
    let _ = (agent, plan, client, asked);
    let answer = question.failed(domain::base::iana::OptRcode::SERVFAIL);
    Some(if over == Over::Udp { question.fitted(answer) } else { answer })
}
