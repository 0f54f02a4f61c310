//! Names as DNS asks for them: what a program sends to port 53, on loopback too, is answered here.
//!
//! # Layout
//!
//! - [`message`]: questions and answers, without I/O.
//! - [`here`]: what this agent knows by itself; [`elsewhere`]: what is asked through the chain, over connections
//!   that are [`kept`]; [`settings`]: resolv.conf.
//! - [`lookup`]: the addresses of a name, for the resolver functions; [`cache`]: those that were found.
//! - [`serve`]: the other end of a program's connection to port 53.

mod cache;
mod elsewhere;
mod here;
mod kept;
pub(crate) mod lookup;
pub(crate) mod message;
mod serve;
mod settings;

use std::net::SocketAddr;
use std::sync::Arc;

use domain::base::iana::OptRcode;

use crate::agent::Agent;
use crate::plan::Plan;
use crate::upstream::hop::Client;

pub(crate) use serve::{far, is_served};

/// What an answer is sent over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// A datagram: it is truncated to the size that the question names, or to 512 bytes.
    Udp,
    /// Anything that has room for every message.
    Tcp,
}

/// What one agent needs to have names answered elsewhere.
pub(crate) struct Resolver {
    settings: settings::Settings,
    kept: Arc<kept::Kept>,
    cache: cache::Cache,
}

impl Default for Resolver {
    fn default() -> Self {
        Self {
            settings: settings::Settings::new("/etc/resolv.conf"),
            kept: Arc::default(),
            cache: cache::Cache::default(),
        }
    }
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
    let answer = match here::answer(agent, plan, &question) {
        here::Known::Answer(answer) => answer,
        here::Known::ByThisMachine(name) => lookup::answer(&question, &name).await,
        here::Known::Elsewhere => {
            let answer = match elsewhere::server(agent, plan, asked) {
                Some(server) => elsewhere::ask(agent, plan, client, &server, &question).await,
                None => None,
            };
            answer.unwrap_or_else(|| question.failed(OptRcode::SERVFAIL))
        }
    };
    Some(if over == Over::Udp { question.fitted(answer) } else { answer })
}
