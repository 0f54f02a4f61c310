//! A datagram socket of the agent's own: what is sent by it is carried as a program's datagrams are. It is for those
//! who speak to the agent by another protocol.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use libc::SOL_SOCKET;
use socket2::{Domain, Protocol, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::OwnedSemaphorePermit;
use underpass_core::config::route::To as Route;
use underpass_core::destination::{DNS_PORT, Destination, canonical};
use underpass_core::failure::{Failure, errno};

use super::ask::{is_many, way};
use super::facts::Facts;
use super::peer::Peer;
use super::socket::{MAX_PEERS, Socket, To};
use super::{Course, sweep};
use crate::agent::Agent;
use crate::attempt;
use crate::log;
use crate::plan::Plan;
use crate::sys;
use crate::upstream::hop::Client;
use crate::upstream::socks5_udp;

/// Datagrams that wait at it, in bytes as the kernel counts them.
const BUFFER: usize = 1 << 20;

/// A socket of the agent's own, and its peers.
pub(crate) struct Own {
    agent: Arc<Agent>,
    client: Client,
    watched: Arc<AsyncFd<OwnedFd>>,
    local: SocketAddr,
    socket: Arc<Socket>,
    /// Each with the number of the plan that it was judged by. One that has ended is not kept open.
    peers: HashMap<Destination, (u32, Weak<Peer>)>,
    /// Names that have been peers so far.
    names: u32,
    /// Whether the agent answers what is sent to port 53, as for programs.
    with_dns: bool,
    _room: OwnedSemaphorePermit,
}

impl Own {
    /// Makes one on an address of this machine.
    pub(crate) fn open(agent: &Arc<Agent>, client: &Client, ip: IpAddr) -> Result<Self, Failure> {
        // With the client's own.
        let room = agent.datagrams.room(2)?;
        let (watched, local) = bound(ip).map_err(|error| failed(&error))?;
        let cookie = sys::option::<u64>(watched.get_ref(), SOL_SOCKET, libc::SO_COOKIE)
            .map_err(|error| failed(&error))?;
        let socket = Arc::new(Socket::new(Facts::own(cookie, local)));
        agent.datagrams.sockets.lock().insert(cookie, Arc::clone(&socket));
        sweep::begin(agent);
        let (agent, client) = (Arc::clone(agent), client.clone());
        let (watched, peers) = (Arc::new(watched), HashMap::new());
        Ok(Self { agent, client, watched, local, socket, peers, names: 0, with_dns: false, _room: room })
    }

    /// Makes one that is connected to a destination's peer; `with_dns`: names are answered as for programs. What is refused
    /// is said in the log.
    pub(crate) fn towards(
        agent: &Arc<Agent>,
        plan: &Arc<Plan>,
        destination: &Destination,
        with_dns: bool,
    ) -> Option<Self> {
        let client = Client::default();
        let opened = Self::open(agent, &client, Ipv4Addr::LOCALHOST.into());
        let opened =
            opened.inspect_err(|failure| log::no_datagrams(&agent.datagrams, plan, None, &client, failure));
        let mut own = opened.ok()?;
        own.with_dns = with_dns;
        let at = own.at(plan, destination.clone())?;
        rustix::net::connect(own.watched.get_ref(), &at).ok()?;
        Some(own)
    }

    pub(crate) fn watched(&self) -> Arc<AsyncFd<OwnedFd>> {
        Arc::clone(&self.watched)
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Where datagrams for a destination are sent by this plan: its peer, an old one or a new one. What is refused is said
    /// in the log, once for each reason.
    pub(crate) fn at(&mut self, plan: &Arc<Plan>, destination: Destination) -> Option<SocketAddr> {
        let known =
            self.peers.get(&destination).and_then(|(judged_by, peer)| Some((*judged_by, alive(peer)?)));
        if let Some((_, peer)) = known.as_ref().filter(|(judged_by, _)| *judged_by == plan.number) {
            return Some(peer.at);
        }
        let known = known.map(|(_, peer)| peer);
        match self.judge(plan, &destination, known.as_deref()) {
            Ok(peer) => {
                let at = peer.at;
                if self.peers.len() >= MAX_PEERS {
                    self.peers.retain(|_, (_, peer)| alive(peer).is_some());
                }
                self.peers.insert(destination, (plan.number, Arc::downgrade(&peer)));
                Some(at)
            }
            Err(failure) => {
                if let Some(known) = known {
                    self.socket.remove(&self.agent.datagrams, &known);
                }
                log::no_datagrams(&self.agent.datagrams, plan, None, &self.client, &failure);
                None
            }
        }
    }

    /// The peer of a destination as the plan has it; `known`: as another plan had it.
    fn judge(
        &mut self,
        plan: &Arc<Plan>,
        asked: &Destination,
        known: Option<&Peer>,
    ) -> Result<Arc<Peer>, Failure> {
        let (destination, given) = match asked {
            Destination::Address(address) => {
                let address = canonical(*address);
                if is_many(address.ip()) || address.port() == 0 {
                    return Err(Failure::Socket("broadcasts, multicasts and port 0 are not carried"));
                }
                (attempt::destination(&self.agent, address)?, address)
            }
            // No address that is carried has port 0.
            Destination::Name { .. } => {
                self.names = self.names.wrapping_add(1);
                let new = || (Ipv4Addr::from_bits(self.names), 0).into();
                (asked.clone(), known.map_or_else(new, |known| known.given))
            }
        };
        let to =
            if self.with_dns && destination.port() == DNS_PORT && answers(plan, &self.client, &destination) {
                To::Names(Arc::clone(plan))
            } else {
                let here = || Course { plan: Arc::clone(plan), chain: None };
                To::Course(way(plan, &self.client, &destination)?.unwrap_or_else(here))
            };
        Ok(self.socket.towards(&self.agent, &self.client, given, destination, to)?.peer)
    }

    /// Writes the header of datagrams from a peer (RFC 1928 section 7), whether it was asked for or not; `None` if
    /// nobody is there who is one.
    pub(crate) fn header_from(&self, at: SocketAddr, header: &mut Vec<u8>) -> Option<()> {
        let peer = self.agent.datagrams.sources.lock().get(&canonical(at))?.upgrade()?;
        peer.touch();
        match peer.given.port() {
            // A name: itself, or its address once that is known.
            0 => peer.with_header(|bytes| header.extend_from_slice(bytes)),
            _ => socks5_udp::put_header(header, &Destination::Address(peer.given)),
        }
        Some(())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.agent.datagrams.sockets.lock().remove(&self.socket.cookie);
        self.socket.close(&self.agent.datagrams);
    }
}

/// Whether the agent is the name server there, whatever the chain carries: where a route sends it direct or refuses it, that
/// holds, as for programs.
fn answers(plan: &Plan, client: &Client, server: &Destination) -> bool {
    match plan.config.decide(&attempt::asked(client, server)).1 {
        Route::Chain(_) => true,
        // The name is known here alone.
        Route::Direct => matches!(server, Destination::Name { .. }),
        Route::Refuse(_) => false,
    }
}

fn alive(peer: &Weak<Peer>) -> Option<Arc<Peer>> {
    peer.upgrade().filter(|peer| !peer.has_ended())
}

fn failed(error: &io::Error) -> Failure {
    Failure::Dial(error.raw_os_error().unwrap_or(errno::ENETUNREACH))
}

fn bound(ip: IpAddr) -> io::Result<(AsyncFd<OwnedFd>, SocketAddr)> {
    let domain = if ip.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = socket2::Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    // No more than the system allows is had, which is no fault.
    let _ = socket.set_recv_buffer_size(BUFFER);
    socket.bind(&SocketAddr::new(ip, 0).into())?;
    let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok((sys::watch(socket.into(), Interest::READABLE)?, local))
}
