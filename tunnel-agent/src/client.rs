//! One intercepted call: a frame is read, judged and answered. What needs no waiting is answered on
//! the spot; a connection attempt becomes a task, [`attempt`].

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::SocketFlags;
use tokio::io::Interest;
use underpass_core::destination::DNS_PORT;
use underpass_core::failure::errno;
use underpass_core::wire::{self, Family, Purpose, Reply, Request};

use crate::agent::Agent;
use crate::attempt::{self, Attempt};
use crate::datagram::{self, Ask};
use crate::facts::Facts;
use crate::frames::{self, NoFrame, Received};
use crate::plan::Plan;
use crate::processes::numbered;
use crate::service::elder::{Elder, passed_on};
use crate::service::link::Message;
use crate::shortage;
use crate::socket::{cookie_of, network_of};
use crate::sys::{self, Asker};
use crate::upstream::hop::Client;
use crate::{dns, expose, log};

/// Serves programs for ever.
pub(crate) async fn accept(agent: &Arc<Agent>, listener: &OwnedFd) -> io::Result<()> {
    let listener = crate::sys::watch(listener.as_fd(), Interest::READABLE)?;
    loop {
        let mut ready = listener.readable().await?;
        match rustix::net::accept_with(listener.get_ref(), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(connection) => {
                begin(agent, connection);
                // What has begun sends its first packet before the next is looked for.
                tokio::task::yield_now().await;
            }
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(error) => {
                // Out of descriptors or memory: what is open goes on, who comes now is refused.
                if !shortage::refuse_next(agent, *listener.get_ref(), error).await {
                    ready.clear_ready();
                }
            }
        }
    }
}

/// Who asks. Another user has to be one whom root's programs have become, and to know a token.
fn peer(agent: &Agent, connection: &OwnedFd) -> Option<Asker> {
    let peer = sys::asker(connection).ok()?;
    (peer.uid == agent.uid || agent.uid == 0).then_some(peer)
}

fn begin(agent: &Arc<Agent>, connection: OwnedFd) {
    let Some(peer) = peer(agent, &connection) else { return };
    agent.lifetime.seen(peer.pid);
    match frames::try_receive(&connection) {
        Ok(received) => answer(agent, connection, received, peer),
        Err(NoFrame::Never) => {}
        Err(NoFrame::NoPlace) => drop(tokio::spawn(shortage::refuse(Arc::clone(agent), connection))),
        Err(NoFrame::NotYet) => {
            let agent = Arc::clone(agent);
            // Who has connected is answered, also while we drain.
            let unheard = Arc::clone(&agent.unheard);
            tokio::spawn(async move {
                match frames::receive(&connection).await {
                    Ok(received) => answer(&agent, connection, received, peer),
                    Err(NoFrame::NoPlace) => shortage::refuse(agent, connection).await,
                    Err(_) => {}
                }
                drop(unheard);
            });
        }
    }
}

/// Answers a question that has been received elsewhere.
pub(crate) fn answer_received(agent: &Arc<Agent>, connection: OwnedFd, received: Received) {
    if let Some(peer) = peer(agent, &connection) {
        answer(agent, connection, received, peer);
    }
}

/// A connection that shows no session, or no frame, is closed without an answer.
fn answer(agent: &Arc<Agent>, connection: OwnedFd, mut received: Received, peer: Asker) {
    if is_answered_by_elder(agent, &connection, &received, peer) {
        return;
    }
    let (socket, second) = (received.socket.take(), received.second.take());
    let session = Request::decode(received.frame()).ok();
    let session = session.and_then(|(token, request)| Some((agent.sessions.plan(&token)?, request)));
    let Some((plan, request)) = session else {
        // A socket may be held already, and would wait for ever.
        return socket.iter().for_each(sys::dissolve);
    };
    if socket.is_none()
        && let Some(told) = told(agent, &request)
    {
        return frames::reply(&connection, &told);
    }
    if second.is_some() && !matches!(request, Request::Sealed { .. }) {
        return socket.iter().for_each(sys::dissolve);
    }
    match (request, socket) {
        (
            asked @ (Request::Connect { .. } | Request::Supervised { .. } | Request::Sealed { .. }),
            Some(socket),
        ) => connect(agent, plan, connection, (socket, second), peer, asked),
        (Request::Datagram { address, purpose }, Some(socket)) => {
            let agent = Arc::clone(agent);
            let client = client(&plan, peer);
            let unknown = false;
            datagram::begin(Ask { agent, plan, client, unknown, connection, address, purpose }, socket);
        }
        (Request::SupervisedDatagram { process, address, program }, Some(socket)) => {
            let (agent, purpose) = (Arc::clone(agent), Purpose::Connect);
            let (client, unknown) = sender(&plan, peer, process as i32, program);
            datagram::begin(Ask { agent, plan, client, unknown, connection, address, purpose }, socket);
        }
        (Request::Barred(what), None) => {
            log::barred(&agent.datagrams, &plan, &client(&plan, peer), what);
        }
        (Request::Bind { cookie, address, v6_only }, None) => {
            let client = client(&plan, peer);
            let at = agent.exposures.binds(&plan, client, cookie, address, v6_only);
            frames::reply(&connection, &at.map_or(Reply::Direct, |at| Reply::Via { at, ready: true }));
        }
        (Request::Listen { listens }, Some(socket)) => {
            expose::begin(agent, connection, &socket, listens);
        }
        (Request::Resolve { name, family }, None) => match dns::lookup::known(agent, &plan, name, family) {
            Some(told) => frames::reply(&connection, &told.reply()),
            None => look_up(agent, plan, connection, peer, name, family),
        },
        (Request::Query { message }, None) => query(agent, plan, connection, peer, message),
        (Request::NameOf { ip }, None) => match name_of(agent, ip) {
            Some(name) => frames::reply(&connection, &Reply::Name { name: name.as_bytes() }),
            None => frames::reply(&connection, &Reply::Unknown),
        },
        // Convert belongs to a connection that waits for an attempt; a descriptor, only to Connect and
        // Datagram.
        _ => {}
    }
}

/// A successor has passed a request on, of one of its sessions, which need not be one of ours.
pub(crate) fn answer_passed(agent: &Arc<Agent>, message: Message) {
    let Some((connection, received, peer)) = passed_on(message) else { return };
    let request = Request::decode(received.frame()).ok().map(|(_, request)| request);
    let before = request.as_ref().and_then(|request| elder(agent, request, received.socket.as_ref()));
    if before.is_some_and(|elder| elder.answers(&connection, &received, peer)) {
        return;
    }
    if let Some(Request::Connect { held_at: port @ 1.., .. }) = request {
        agent.holds.is_successors(port);
    }
    match request.and_then(|request| told(agent, &request)) {
        Some(told) => frames::reply(&connection, &told),
        None => answer(agent, connection, received, peer),
    }
}

/// Whether a question of one of our sessions was the predecessor's to answer. Without one nothing is looked at.
fn is_answered_by_elder(agent: &Agent, connection: &OwnedFd, received: &Received, peer: Asker) -> bool {
    if agent.elder.get().is_none() {
        return false;
    }
    let asked = Request::decode(received.frame()).ok();
    let request = asked.and_then(|(token, request)| agent.sessions.plan(&token).map(|_| request));
    let elder = request.as_ref().and_then(|request| elder(agent, request, received.socket.as_ref()));
    elder.is_some_and(|elder| elder.answers(connection, received, peer))
}

/// The predecessor, if it knows more of that than we do.
fn elder<'a>(agent: &'a Agent, request: &Request<'_>, socket: Option<&OwnedFd>) -> Option<&'a Elder> {
    let elder = agent.elder.get()?;
    let is_its = match request {
        Request::Source { at } => agent.datagrams.source(*at).is_none(),
        Request::Accepted { from, at } => agent.exposures.accepted(*from, *at).is_none(),
        Request::Outcome { cookie } => !agent.carried.has_failed(*cookie),
        Request::Peer { cookie } => agent.carried.peer(*cookie).is_none(),
        _ => socket.and_then(cookie_of).is_some_and(|cookie| elder.has(cookie)),
    };
    is_its.then_some(elder)
}

/// The answer to what is asked about a socket that is known, or is not.
fn told(agent: &Agent, request: &Request<'_>) -> Option<Reply<'static>> {
    let peer = |(peer, local)| Reply::Peer { peer, local };
    Some(match request {
        Request::Source { at } => agent.datagrams.source(*at).map_or(Reply::Unknown, peer),
        Request::Accepted { from, at } => {
            let accepted = agent.exposures.accepted(*from, *at);
            accepted.map_or(Reply::Unknown, |(peer, exit)| Reply::Peer { peer, local: Some(exit) })
        }
        Request::Outcome { cookie } => {
            Reply::Outcome { errno: agent.carried.take_failure(*cookie).unwrap_or(0) }
        }
        Request::Peer { cookie } => agent.carried.peer(*cookie).map_or(Reply::Unknown, peer),
        _ => return None,
    })
}

/// A connection that a program or its supervisor asks for.
fn connect(
    agent: &Arc<Agent>,
    plan: Arc<Plan>,
    connection: OwnedFd,
    (socket, second): (OwnedFd, Option<OwnedFd>),
    peer: Asker,
    asked: Request<'_>,
) {
    let completing = second.filter(|completing| network_of(completing) != agent.network);
    let (address, watched, held_at, client, supervised) = match asked {
        Request::Connect { address, watched, held_at } => {
            (address, watched, held_at, client(&plan, peer), false)
        }
        Request::Supervised { process, watched, address } => {
            (address, watched, 0, supervised_by(&plan, peer, process as i32), true)
        }
        Request::Sealed { process, address } if completing.is_some() => {
            (address, true, 0, supervised_by(&plan, peer, process as i32), true)
        }
        _ => return frames::reply(&connection, &Reply::Refuse { errno: errno::ENETUNREACH }),
    };
    let (agent, since) = (Arc::clone(agent), Instant::now());
    let network = completing.as_ref().map_or(agent.network, network_of);
    let mut facts = match Facts::read(&socket, network) {
        Ok(facts) => facts,
        Err(_) => {
            // Nobody reads an answer about a socket that is held ahead.
            if held_at != 0 {
                sys::dissolve(&socket);
            }
            return frames::reply(&connection, &Reply::Refuse { errno: errno::ENETUNREACH });
        }
    };
    // Nothing leaves a network of a sealed program's.
    facts.confined |= completing.is_some();
    attempt::begin(Attempt {
        agent,
        plan,
        client,
        connection,
        socket,
        facts,
        address,
        watched,
        held_at,
        supervised,
        completing,
        drawn: None,
        since,
    });
}

/// Who asks, as far as anything depends on it.
fn client(plan: &Plan, peer: Asker) -> Client {
    client_of(plan, peer.pid, peer)
}

/// For whom a supervisor asks. In a process namespace of its own it knows its programs by numbers that are others' here: then nobody
/// knows which program it is.
fn supervised_by(plan: &Plan, peer: Asker, process: i32) -> Client {
    if tells(plan) && !has_our_numbers(peer.pid) {
        return Client { pid: peer.pid, user: Some(peer.uid), ..Client::default() };
    }
    client_of(plan, process, peer)
}

/// Who sends datagrams that a supervisor carries; and whether routes ask for its program, which nobody knows. Of a process that
/// has ended the supervisor has the file that it ran: a number may be another's by now.
fn sender(plan: &Plan, peer: Asker, process: i32, program: &[u8]) -> (Client, bool) {
    let mut client = supervised_by(plan, peer, process);
    if client.program.is_some() || !tells(plan) || !has_our_numbers(peer.pid) {
        return (client, false);
    }
    client.program = (!program.is_empty()).then(|| String::from_utf8_lossy(program).into_owned());
    let unknown = client.program.is_none() && plan.routes_ask_for_program();
    (client, unknown)
}

/// proc(5): NSpid has a number for each namespace, from that of /proc down to its own.
fn has_our_numbers(pid: i32) -> bool {
    let Some(process) = numbered(pid) else { return false };
    let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    numbers.is_some_and(|numbers| numbers.split_whitespace().count() == 1)
}

/// Whether anything depends on which program it is.
fn tells(plan: &Plan) -> bool {
    plan.asks_for_program() || crate::log::is_on()
}

/// With the rights of the peer's user.
fn client_of(plan: &Plan, pid: i32, peer: Asker) -> Client {
    let program = if tells(plan) { program_of(pid) } else { None };
    Client { pid, program, user: Some(peer.uid), host: None }
}

/// The file that a process runs.
pub(crate) fn program_of(pid: i32) -> Option<String> {
    let file = std::fs::read_link(numbered(pid)?.join("exe")).ok()?;
    Some(file.to_string_lossy().into_owned())
}

/// Asks others for the addresses of a name. Who waits for them is counted as a connection is.
fn look_up(
    agent: &Arc<Agent>,
    plan: Arc<Plan>,
    connection: OwnedFd,
    peer: Asker,
    name: &[u8],
    family: Family,
) {
    let Some(room) = agent.take_room() else { return frames::reply(&connection, &Reply::TryAgain) };
    let (agent, name, client) = (Arc::clone(agent), name.to_vec(), client(&plan, peer));
    tokio::spawn(async move {
        let told = dns::lookup::look_up(&agent, &plan, &client, &name, family).await;
        frames::reply(&connection, &told.reply());
        drop(room);
    });
}

/// Answers a message of DNS, which a program that knows no server would send to the one on this machine.
fn query(agent: &Arc<Agent>, plan: Arc<Plan>, connection: OwnedFd, peer: Asker, message: &[u8]) {
    let Some(room) = agent.take_room() else { return };
    let (agent, message, client) = (Arc::clone(agent), message.to_vec(), client(&plan, peer));
    tokio::spawn(async move {
        let asked = SocketAddr::from((Ipv4Addr::LOCALHOST, DNS_PORT));
        let answer = dns::answer(&agent, &plan, &client, &message, asked, dns::Over::Tcp).await;
        if let Some(answer) = answer {
            frames::send(&connection, &wire::answer(&answer));
        }
        drop(room);
    });
}

fn name_of(agent: &Agent, ip: IpAddr) -> Option<String> {
    match agent.names.meaning(ip) {
        crate::names::Meaning::Name(name) => Some(name),
        crate::names::Meaning::Unknown => None,
        crate::names::Meaning::Real => agent.hosts.name_of(ip),
    }
}
