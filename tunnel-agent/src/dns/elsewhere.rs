//! Questions that are asked elsewhere: over TCP, by the way that the plan has for the resolver.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::base::iana::OptRcode;
use underpass_core::destination::{Destination, canonical, is_local};
use underpass_core::failure::Failure;

use super::kept::{Connection, Kept, Key};
use super::message::Question;
use crate::agent::Agent;
use crate::attempt;
use crate::facts::FarOptions;
use crate::names::Meaning;
use crate::plan::{Plan, Way};
use crate::room::NO_ROOM;
use crate::upstream::hop::Client;
use crate::upstream::local;
use crate::upstream::stream::{Conversation, Stream};

/// How long an answer may take. Programs give up after five seconds, or twice that.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom a question is for that a program has sent to `asked`; `None` where that stands for nothing.
pub(super) fn server(agent: &Agent, plan: &Plan, asked: SocketAddr) -> Option<Destination> {
    match agent.names.meaning(asked.ip()) {
        Meaning::Name(host) => Some(Destination::Name { host, port: asked.port() }),
        Meaning::Unknown => None,
        Meaning::Real => {
            let asked = canonical(asked);
            let settings = agent.resolver.settings.read();
            // The system's own name server is asked by whoever has not chosen; the configuration may have.
            let has_chosen = !settings.names(asked.ip());
            Some(Destination::Address(match plan.config.dns.server {
                _ if !is_local(asked.ip()) && has_chosen => asked,
                Some(server) => server,
                None if !is_local(asked.ip()) => asked,
                None => settings.server(),
            }))
        }
    }
}

const HINT: &str = "the resolver of /etc/resolv.conf is asked from the far end of the chain; name one that is \
                    reached from there: --dns exit:ADDRESS";

/// The resolver of a plan.
pub(super) fn default_server(agent: &Agent, plan: &Plan) -> Destination {
    let server = plan.config.dns.server;
    Destination::Address(server.unwrap_or_else(|| agent.resolver.settings.read().server()))
}

/// Asks `server`, and waits for its answer; `None` if there is none.
pub(super) async fn ask(
    agent: &Arc<Agent>,
    plan: &Arc<Plan>,
    client: &Client,
    server: &Destination,
    question: &Question,
) -> Option<Vec<u8>> {
    let patience = PATIENCE.min(Duration::from_secs(plan.config.deadline.into()));
    let asking = async {
        // As many as may ask at once; the others wait here, as long as they would for an answer.
        let _one = plan.questions.acquire().await.map_err(|_| Failure::TimedOut)?;
        exchange(agent, plan, client, server, question, patience).await
    };
    match tokio::time::timeout(patience, asking).await.unwrap_or(Err(Failure::TimedOut)) {
        Ok(answer) => Some(answer),
        Err(Failure::Route(_)) => Some(question.failed(OptRcode::REFUSED)),
        Err(failure) => {
            // It may be of a network that only this machine is in.
            let unnamed = plan.config.dns.server.is_none() && *server == default_server(agent, plan);
            let hint = unnamed.then_some(HINT);
            tracing::info!(%server, reason = %failure, hint, "a question was not answered");
            None
        }
    }
}

async fn exchange(
    agent: &Arc<Agent>,
    plan: &Arc<Plan>,
    client: &Client,
    server: &Destination,
    question: &Question,
    patience: Duration,
) -> Result<Vec<u8>, Failure> {
    let since = Instant::now();
    let key = Key::new(plan, server, client);
    let is_good = |ip: IpAddr| agent.names.meaning(ip) == Meaning::Real && !is_local(ip);
    let id = fastrand::u16(..);
    let sent = question.asked_by(id);
    let kept = agent.resolver.kept.take(&key);
    let mut is_kept = kept.is_some();
    let mut connection = match kept {
        Some(connection) => connection,
        None => dial(agent, plan, client, server, patience).await?,
    };
    loop {
        match converse(&mut connection.stream, &sent).await {
            Ok(answer) => {
                let answer = question.passed_on(&answer, id, &is_good);
                let answer = answer.ok_or(Failure::Protocol("its answer is none to the question"))?;
                Kept::put(&agent.resolver.kept, key, connection);
                return Ok(answer);
            }
            // It was closed while nobody asked: as if it had never been.
            Err(_) if is_kept => {
                is_kept = false;
                connection =
                    dial(agent, plan, client, server, patience.saturating_sub(since.elapsed())).await?;
            }
            Err(_) => return Err(Failure::UpstreamClosed),
        }
    }
}

async fn dial(
    agent: &Agent,
    plan: &Arc<Plan>,
    client: &Client,
    server: &Destination,
    patience: Duration,
) -> Result<Connection, Failure> {
    let mut room = agent.take_room().ok_or(NO_ROOM)?;
    let options = FarOptions::default();
    let far = match attempt::way(plan, client, server) {
        Way::Chain(chain) => chain.dial(None, server, &options, client, patience).await?,
        Way::Direct => local::dial(server, &options).await?,
        Way::Refuse(errno) => return Err(Failure::Route(errno)),
    };
    room.keep(far.stream.descriptors());
    Ok(Connection { stream: far.stream, _room: room })
}

/// One question and its answer, each behind its length (RFC 1035 section 4.2.2).
async fn converse(stream: &mut Stream, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let length = u16::try_from(question.len()).map_err(std::io::Error::other)?;
    stream.send_all(&[&length.to_be_bytes(), question].concat()).await?;
    let mut length = [0; 2];
    stream.receive_exactly(&mut length).await?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.receive_exactly(&mut answer).await?;
    Ok(answer)
}
