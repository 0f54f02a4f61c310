//! Listeners for clients: whoever connects to one is told to its client, which takes the connection as a stream.
//!
//! 1. An extended CONNECT ([`request`]) asks for a listener; a rule of `[[expose]]` lets the client have it, or none
//!    does. The answer says where it listens. It lives as long as the stream, and is closed with it; where the rule names
//!    a grace time it outlives a stream that was cut ([`table`]).
//! 2. Each connection gets an id that nobody can guess, and is told of on that stream ([`announced`]). So many wait at
//!    most; then nothing more is accepted, and the kernel's queue fills.
//! 3. The client asks for the id, by another extended CONNECT of any of its sessions, and has the connection. One that
//!    nobody takes is reset.

pub(crate) mod announced;
pub(crate) mod request;
mod serve;
mod table;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use rustix::io::Errno;
use socket2::{Domain, Protocol as Transport, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::Relay;
use super::policy::client::Client;
use super::policy::exposing::{Exposing, Wish};
use super::policy::host::Host;
use super::policy::rules::Protocol;
use super::refusal::Refusal;
use super::request::Request;
use super::ticket::{Listens, Ticket};
use crate::ends::keep_alive;
use crate::upstream::stream::Bare;
use request::Id;
pub(super) use serve::{serve, unanswered};
pub(crate) use table::Listeners;
use table::{Claim, Parked};

/// Connections in the kernel's queue, beside those that wait here.
const BACKLOG: i32 = 1024;
/// Connections of one listener that nobody has taken yet.
const MOST_WAITING: usize = 128;
/// Ports that are tried of those that a rule has.
const TRIES: usize = 256;

/// A listener that its client may have.
pub(crate) struct Listener {
    parked: Parked,
    client: Arc<Client>,
    /// By which it is taken up again, where that is possible.
    claim: Option<Claim>,
    /// Whether its client has had it before.
    is_resumed: bool,
}

impl Listener {
    /// Where it listens.
    pub(super) fn bound(&self) -> SocketAddr {
        self.parked.bound
    }

    pub(super) fn token(&self) -> Option<Id> {
        self.claim.as_ref().map(|claim| claim.id)
    }
}

/// A listener for a client, or the one that it had.
pub(super) async fn open(
    relay: &Arc<Relay>,
    client: &Arc<Client>,
    neighbour: Option<IpAddr>,
    wish: Wish,
    token: Option<Id>,
) -> Result<(Listener, Ticket), Refusal> {
    let wished = wish.ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    let mut ticket = Ticket::new(relay, client, neighbour, &at(SocketAddr::new(wished, wish.port)))?;
    ticket.listens(Listens::Listener);
    let opened = match token {
        Some(token) => match relay.listeners.resume(token, &client.name).await {
            Some((parked, claim)) => Ok((parked, Some(claim))),
            None => Err(Refusal::no_listener()),
        },
        None => new(relay, client, wish),
    };
    match opened {
        Ok((parked, claim)) => {
            ticket.exposed(&parked.rule.label, at(parked.bound));
            let client = Arc::clone(client);
            Ok((Listener { parked, client, claim, is_resumed: token.is_some() }, ticket))
        }
        Err(refusal) => {
            ticket.refused(&refusal);
            Err(refusal)
        }
    }
}

type Opened = (Parked, Option<Claim>);

fn new(relay: &Arc<Relay>, client: &Arc<Client>, wish: Wish) -> Result<Opened, Refusal> {
    let rules = relay.exposing.read();
    let found = rules.iter().find_map(|rule| Some((rule, rule.bind(&client.name, wish)?)));
    let (rule, address) = found.ok_or_else(Refusal::may_not_listen)?;
    let place = relay.listeners.place(&client.name, rule.most).ok_or_else(Refusal::listeners_used_up)?;
    let bound = bind(rule, address).or_else(|error| {
        let four = Wish { ip: Some(Ipv4Addr::UNSPECIFIED.into()), ..wish };
        match rule.bind(&client.name, four) {
            // Any address would do, and this system has no IPv6.
            Some(four) if wish.ip.is_none() && is_no_family(&error) => bind(rule, four),
            _ => Err(error),
        }
    });
    let (listener, bound) = bound.map_err(|error| Refusal::bind(&error))?;
    let claim = match rule.grace.is_zero() {
        true => None,
        false => {
            let id = new_id().map_err(|error| Refusal::bind(&error))?;
            Some(relay.listeners.keep(id, &client.name))
        }
    };
    let (rule, born, places) = (rule.clone(), Instant::now(), Arc::new(Semaphore::new(MOST_WAITING)));
    Ok((Parked { listener, bound, rule, born, _place: place, places, untaken: Vec::new() }, claim))
}

/// Listens at the address; for port 0, at one of the rule's ports that nobody has.
fn bind(rule: &Exposing, address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let mut ports: Vec<u16> = rule.ports().collect();
    if address.port() != 0 || ports.is_empty() {
        return listen(address);
    }
    fastrand::shuffle(&mut ports);
    let mut error = Errno::ADDRINUSE.into();
    for port in ports.into_iter().take(TRIES) {
        match listen(SocketAddr::new(address.ip(), port)) {
            Ok(listening) => return Ok(listening),
            Err(other) => error = other,
        }
    }
    Err(error)
}

fn is_no_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
}

fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Transport::TCP))?;
    // A port whose last connections have ended a moment ago is free.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

fn new_id() -> io::Result<Id> {
    let mut id = [0; 16];
    let mut filled = 0;
    while filled < id.len() {
        filled += rustix::rand::getrandom(&mut id[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(Id(id))
}

/// The connection with this id.
pub(super) fn take(
    relay: &Arc<Relay>,
    client: &Arc<Client>,
    neighbour: Option<IpAddr>,
    id: Id,
) -> Result<(Bare<OwnedFd>, Ticket), Refusal> {
    let peer = relay.listeners.peer(id, &client.name).ok_or_else(Refusal::no_listener)?;
    // It goes on waiting where the client may have no more streams for now.
    let mut ticket = Ticket::new(relay, client, neighbour, &at(peer))?;
    ticket.listens(Listens::Connection);
    let Some(waiting) = relay.listeners.take(id) else {
        let refusal = Refusal::no_listener();
        ticket.refused(&refusal);
        return Err(refusal);
    };
    ticket.exposed(&waiting.label, at(waiting.peer));
    let stream = waiting.stream.into_std().map(OwnedFd::from).and_then(Bare::new);
    let far = stream.map_err(|error| Refusal::dial(&error))?;
    keep_alive(far.get());
    Ok((far, ticket))
}

fn at(address: SocketAddr) -> Request {
    let host = Host::Address(address.ip().to_canonical());
    Request { host, port: address.port(), protocol: Protocol::Tcp }
}
