//! The front door: proxies for SOCKS and HTTP `CONNECT`, forwards to one destination, and listeners for what the kernel
//! redirects; for what the library cannot be loaded into. What comes in is carried by the routes and chains of one session, as
//! a program's connections are.
//!
//! # Layout
//!
//! - [`configuration`]: which session it serves, or [`given`]: a launcher says so. [`login`]: who may come in.
//! - [`visit`]: one connection from its first byte to its last; [`bind`]: one that is waited for; [`datagrams`]: an
//!   association.
//!   [`datagram_door`]: a door for datagrams that say nothing of where they go. [`held`]: connections that are dialled before
//!   the kernel redirects them, by its [`queue`].
//! - [`conversation`]: what is said first, read byte for byte by [`socks4`], [`socks5`] and [`http`], which have no I/O;
//!   [`asked`]: what comes of it. [`refused`]: why a door cannot be opened.
//!
//! HTTP's other methods are refused.

mod asked;
mod bind;
pub(crate) mod configuration;
mod conversation;
mod datagram_door;
mod datagrams;
mod given;
mod held;
mod http;
mod login;
mod queue;
mod refused;
mod socks4;
mod socks5;
mod visit;

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;
use underpass_core::config::expose::Reverse;
use underpass_core::config::listen::{Door, Place, Service};
use underpass_core::session_env::SessionEnv;
use underpass_core::upstream;
use underpass_core::wire::Token;

use crate::agent::Agent;
use crate::expose::reverse;
use crate::lifetime::Lifetime;
use crate::listening::Listener;
use crate::service::inherited::DOOR;
use crate::service::passed::{Named, Passed};
use crate::service::successor::Sockets;
use crate::session::{Keeper, Opened as Session};
use crate::socket::local_address;
use crate::sys;
use configuration::{Chosen, Fixed};
use datagram_door::DatagramDoor;
use held::Held;
use login::Login;
use visit::{Threshold, Visit};

/// How long accepting waits when there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a client may wait for room.
const PATIENCE: Duration = Duration::from_millis(500);

/// Doors that listen, and what is behind them.
pub(crate) struct Front {
    /// With their names for a successor.
    doors: Vec<(String, Opened)>,
    /// Listeners at exits.
    reverses: Vec<Reverse>,
    /// Until the session is open.
    chosen: Option<Chosen>,
    fixed: Option<Fixed>,
    session: Option<(Token, Keeper)>,
    /// Serves as long as this launcher wants it.
    launcher: Option<UnixStream>,
    served: Mutex<JoinSet<io::Result<()>>>,
}

/// A door that listens.
enum Opened {
    Connections(Arc<Listener>, Arc<Threshold>),
    Datagrams(Arc<DatagramDoor>),
}

impl Opened {
    fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Self::Connections(listener, _) => listener.socket(),
            Self::Datagrams(door) => door.socket(),
        }
    }

    /// Whether it is a Unix socket whose file somebody else has made, as a service manager does.
    fn is_anothers_path(&self) -> bool {
        match self {
            Self::Connections(listener, _) => !listener.has_path() && local_address(&self.socket()).is_err(),
            Self::Datagrams(_) => false,
        }
    }

    /// A port that the system has chosen is told, as that of a listener at an exit is.
    fn tell_port(&self, name: &str, service: &Service, place: &Place) {
        if let Place::Address(address) = place
            && address.port() == 0
            && let Ok(here) = local_address(&self.socket())
        {
            let port = here.port();
            let _ = match service {
                Service::Tcp(to) | Service::Udp(to) => {
                    writeln!(io::stderr(), "Allocated port {port} for {name} to {to}")
                }
                _ => writeln!(io::stderr(), "Allocated port {port} for {name}"),
            };
        }
    }
}

impl Front {
    /// Begins to listen at these doors and at those of the configuration, by a socket that was passed where one is there
    /// already. One that was passed for none of them is a door by its name. Nothing is accepted before [`serve`], nor do
    /// `reverses` and those of the configuration listen.
    pub(crate) fn open(
        given: Vec<Door>,
        mut reverses: Vec<Reverse>,
        mut chosen: Chosen,
        mut passed: Passed,
    ) -> io::Result<Self> {
        let fixed = Fixed::of(&chosen);
        reverses.append(&mut chosen.config.reverses);
        let doors = given.into_iter().chain(std::mem::take(&mut chosen.config.listen));
        let opened = doors.map(|door| one(door, &mut passed));
        let mut doors = opened.collect::<io::Result<Vec<_>>>()?;
        // A predecessor may have had a door that is none any more.
        for named in passed.rest().into_iter().filter(|named| !named.name.contains("://")) {
            doors.push((named.name.clone(), by_name(named)?));
        }
        if doors.is_empty() && reverses.is_empty() {
            return Err(io::Error::other(
                "no door: add --listen URL, or [[listen]] or [[expose]] with to = \"HOST:PORT\" to the file",
            ));
        }
        let served = Mutex::default();
        Ok(Self { doors, reverses, chosen: Some(chosen), fixed, session: None, launcher: None, served })
    }

    /// Opens the session that all doors have.
    pub(crate) fn begin(&mut self, agent: &Arc<Agent>) -> io::Result<()> {
        let Some(chosen) = self.chosen.take() else { return Ok(()) };
        if let Some(fixed) = self.fixed.take() {
            let _ = agent.fixed.set(fixed);
        }
        agent.names.add(&chosen.config.pool).map_err(io::Error::other)?;
        agent.metrics.open(agent, chosen.config.metrics.as_ref()).map_err(io::Error::other)?;
        let Session { value, keeper } =
            agent.sessions.open_session(chosen.config, chosen.source).map_err(io::Error::other)?;
        self.session = SessionEnv::parse(value.as_bytes()).map(|session| (session.token, keeper));
        Ok(())
    }

    /// What listens, for a successor.
    pub(crate) fn sockets(&self) -> io::Result<Sockets> {
        if self.launcher.is_some() {
            return Err(io::Error::other("the door is a launcher's"));
        }
        if !self.reverses.is_empty() {
            let why = "what listens at an exit would be asked for twice; restart it instead";
            return Err(io::Error::other(why));
        }
        let holds = |opened: &Opened| matches!(opened, Opened::Connections(_, at) if at.held.is_some());
        if self.doors.iter().any(|(_, opened)| holds(opened)) {
            let why =
                "what is dialled for packets that wait would be lost with the queue; restart it instead";
            return Err(io::Error::other(why));
        }
        let given = |(name, opened): &(String, Opened)| {
            // By its path alone, as we have got it.
            let mark = if opened.is_anothers_path() && name.contains("://") { "passed " } else { "" };
            Ok((format!("{DOOR}{mark}{name}"), opened.socket().try_clone_to_owned()?))
        };
        self.doors.iter().map(given).collect()
    }

    /// Waits until nothing more is accepted: what has been has its room by then.
    pub(crate) async fn stop(&self) {
        self.served.lock().await.shutdown().await;
    }

    /// A predecessor's doors are ours.
    pub(crate) fn keep(&self) {
        self.listeners().for_each(|listener| listener.keep());
    }

    /// A successor has them. The session stays.
    pub(crate) fn give(&mut self) {
        self.listeners().for_each(|listener| listener.give());
        self.doors.clear();
    }

    fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.doors.iter().filter_map(|(_, opened)| match opened {
            Opened::Connections(listener, _) => Some(&**listener),
            Opened::Datagrams(_) => None,
        })
    }

    /// What the launcher that has started us gives by standard input.
    pub(crate) fn given() -> io::Result<Self> {
        given::receive()
    }
}

/// Opens one, with its name.
fn one(door: Door, passed: &mut Passed) -> io::Result<(String, Opened)> {
    let (name, service, place) = (door.to_string(), door.service.clone(), door.place.clone());
    let opened = match passed.named(&name) {
        Some(socket) => open(door, Some(socket), true),
        None => {
            let connections = !matches!(service, Service::Udp(_) | Service::Tproxy);
            let socket = passed.at(&place, connections).map(|named| named.socket);
            let is_new = socket.is_none();
            open(door, socket, false).inspect(|opened| {
                if is_new {
                    opened.tell_port(&name, &service, &place);
                }
            })
        }
    };
    match opened {
        Ok(opened) => Ok((name, opened)),
        Err(error) => Err(refused::explained(&name, &service, &place, &error)),
    }
}

/// `passed` is what listens there already, if anything does; `ours`: one of us has made it.
fn open(door: Door, passed: Option<OwnedFd>, ours: bool) -> io::Result<Opened> {
    let Door { service, place, login } = door;
    if let (Service::Udp(_) | Service::Tproxy, Place::Address(address)) = (&service, &place) {
        let to = if let Service::Udp(to) = &service { Some(to.clone()) } else { None };
        return match passed {
            Some(socket) => DatagramDoor::of(socket, to),
            None => DatagramDoor::open(*address, to),
        }
        .map(|door| Opened::Datagrams(Arc::new(door)));
    }
    let listener = match (&place, passed) {
        (Place::Path(path), Some(socket)) if ours => Listener::taken(socket, path),
        (_, Some(socket)) => Listener::of(socket),
        (Place::Address(address), None) => Listener::tcp(*address)?,
        (Place::Path(path), None) => Listener::unix(path)?,
    };
    let held = match service {
        Service::Redirect(Some(queue)) => Some(Arc::new(Held::open(queue)?)),
        _ => None,
    };
    let login = login.credentials().map(Login::new);
    Ok(Opened::Connections(Arc::new(listener), Arc::new(Threshold { service, login, held })))
}

/// A door that nobody has described but by the name of its socket.
fn by_name(named: Named) -> io::Result<Opened> {
    let described = named.place().ok_or_else(|| "it is at no address and no path".to_owned());
    let door = described
        .and_then(|place| Door::new(&format!("{}://{place}", named.name), None, upstream::Login::Nobody));
    let door = door.map_err(|why| {
        io::Error::other(format!(
            "the socket {:?} that was passed: {why}\n\
             hint: FileDescriptorName=socks5, http, any or redirect, or a [[listen]] at its address",
            named.name
        ))
    })?;
    open(door, Some(named.socket), false)
}

/// Serves the doors for ever, or as long as their launcher is there; without any it waits for ever. What it has begun
/// goes on until [`Front::stop`].
pub(crate) async fn serve(agent: &Arc<Agent>, front: Option<&Front>) -> io::Result<()> {
    let Some((front, session)) = front.and_then(|front| Some((front, front.session.as_ref()?.0))) else {
        return std::future::pending().await;
    };
    let _usage = Lifetime::begin(agent);
    let mut served = front.served.lock().await;
    for (_, door) in &front.doors {
        let agent = Arc::clone(agent);
        match door {
            Opened::Connections(listener, threshold) => {
                if let Some(held) = &threshold.held {
                    served.spawn(Arc::clone(held).serve(Arc::clone(&agent), session));
                }
                let accepted =
                    accept(Arc::clone(&agent), Arc::clone(listener), Arc::clone(threshold), session);
                agent.splicer.spawn_into(&mut served, accepted);
            }
            Opened::Datagrams(door) => {
                served.spawn(Arc::clone(door).serve(agent, session));
            }
        }
    }
    for reverse in &front.reverses {
        served.spawn(reverse::serve(Arc::clone(agent), session, reverse.clone()));
    }
    let left = async {
        match &front.launcher {
            Some(launcher) => given::until_left(launcher).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        // One ends only with an error, or with its session.
        Some(ended) = served.join_next() => ended.map_err(io::Error::other)?,
        left = left => left,
    }
}

/// On the thread that relays, so that no connection changes threads.
async fn accept(
    agent: Arc<Agent>,
    listener: Arc<Listener>,
    threshold: Arc<Threshold>,
    session: Token,
) -> io::Result<()> {
    let watched = sys::watch(listener.socket(), Interest::READABLE)?;
    if let Ok(address) = local_address(&watched.get_ref()) {
        tracing::info!(at = %address, "listening");
    }
    loop {
        let mut ready = watched.readable().await?;
        let room = match threshold.held {
            // It has its room from when it was dialled.
            Some(_) => None,
            // Until there is some they wait in the kernel's queue.
            None => match timeout(PATIENCE, agent.room.wait()).await {
                Ok(Some(room)) => Some(room),
                Ok(None) => return Ok(()),
                Err(_) => {
                    send_away(ready.get_inner());
                    ready.clear_ready();
                    continue;
                }
            },
        };
        match accept_one(ready.get_inner()) {
            Ok(Some(stream)) => {
                // A reload gives the session another plan.
                let Some(plan) = agent.sessions.plan(&session) else { return Ok(()) };
                let (agent, threshold) = (Arc::clone(&agent), Arc::clone(&threshold));
                visit::begin(Visit { agent, plan, session, threshold }, stream, room);
            }
            Ok(None) => ready.clear_ready(),
            Err(error) => {
                tracing::warn!(%error, "the front door waits");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Resets all who wait: to hear at once that there is no room is better than to wait for others to leave.
fn send_away(listener: &impl AsFd) {
    let mut count = 0;
    while let Ok(Some(stream)) = accept_one(listener) {
        let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
        count += 1;
    }
    tracing::warn!(count, "the front door has no room, and sent clients away");
}

/// The next that waits, if one does.
fn accept_one(listener: &impl AsFd) -> io::Result<Option<OwnedFd>> {
    use rustix::io::Errno;
    use rustix::net::{SocketFlags, accept_with};
    loop {
        match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(stream) => return Ok(Some(stream)),
            Err(Errno::AGAIN) => return Ok(None),
            // It has gone already.
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
