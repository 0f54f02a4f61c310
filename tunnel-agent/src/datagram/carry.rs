//! What a peer's task does: it takes what the program has sent to `at`, and passes it on.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::SendFlags;
use socket2::{Domain, Protocol, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Semaphore;
use underpass_core::destination::Destination;

use super::association::Association;
use super::batch::Sent;
use super::peer::Peer;
use super::socket::Socket;
use super::streamed::Streamed;
use super::{Datagrams, REMEMBERED};
use crate::agent::Agent;
use crate::dns::{self, Over};
use crate::plan::Plan;
use crate::sys::{self, MANY};
use crate::upstream::hop::Client;

/// How long a peer that refuses datagrams is said to do so.
const REFUSED: Duration = Duration::from_secs(1);
/// Questions of one peer at once; what comes beyond is lost, as on a network.
const MAX_QUESTIONS: usize = 64;

/// By an association.
pub(super) async fn through(
    agent: Arc<Agent>,
    socket: Arc<Socket>,
    association: Arc<Association>,
    peer: Arc<Peer>,
) {
    while let Ok(mut ready) = peer.socket().readable().await {
        match association.ready(&agent).await {
            Ok(relay) => {
                if relay.forward(&mut agent.datagrams.batch.lock(), &peer) {
                    ready.clear_ready();
                }
            }
            Err(_) if peer.is_connected() => {
                drain(&agent.datagrams, &peer);
                ready.clear_ready();
                rest(&peer, REMEMBERED).await;
            }
            // The next question for it is told why.
            Err(_) => return socket.remove(&agent.datagrams, &peer),
        }
    }
}

/// By a stream of its own.
pub(super) async fn by_stream(
    agent: Arc<Agent>,
    socket: Arc<Socket>,
    streamed: Arc<Streamed>,
    peer: Arc<Peer>,
) {
    loop {
        let mut ready = tokio::select! {
            ready = peer.socket().readable() => match ready {
                Ok(ready) => Some(ready),
                Err(_) => return,
            },
            () = streamed.wanted() => None,
        };
        let failed = match streamed.ready(&agent).await {
            Ok(()) if streamed.carry(&agent, &peer).await => continue,
            // No other is made for what this one has not carried.
            Ok(()) => false,
            Err(_) if peer.is_connected() => true,
            // The next question for it is told why.
            Err(_) => return socket.remove(&agent.datagrams, &peer),
        };
        drain(&agent.datagrams, &peer);
        if let Some(ready) = &mut ready {
            ready.clear_ready();
        }
        if failed {
            rest(&peer, REMEMBERED).await;
        }
    }
}

/// To the agent's own name server.
pub(super) async fn to_names(agent: Arc<Agent>, plan: Arc<Plan>, client: Client, peer: Arc<Peer>) {
    let room = Arc::new(Semaphore::new(MAX_QUESTIONS));
    while let Ok(mut ready) = peer.socket().readable().await {
        let mut batch = agent.datagrams.batch.lock();
        match batch.receive(peer.socket().get_ref()) {
            Ok(MANY) => {}
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => continue,
            _ => ready.clear_ready(),
        }
        peer.touch();
        for question in batch.datagrams() {
            let Ok(room) = Arc::clone(&room).try_acquire_owned() else { break };
            let (agent, plan, client, peer) =
                (Arc::clone(&agent), Arc::clone(&plan), client.clone(), Arc::clone(&peer));
            let question = question.to_vec();
            tokio::spawn(async move {
                let answer = dns::answer(&agent, &plan, &client, &question, peer.given, Over::Udp).await;
                if let Some(answer) = answer {
                    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                    let _ = rustix::net::send(peer.socket().get_ref(), &answer, flags);
                }
                drop(room);
            });
        }
    }
}

/// From this machine, with a socket of the agent's for each peer.
pub(super) async fn from_here(agent: Arc<Agent>, peer: Arc<Peer>) {
    while let Ok(mut ready) = peer.socket().readable().await {
        let far = match connected(&peer.destination).await {
            Ok(far) => far,
            Err(error) => {
                tracing::debug!(%error, destination = %peer.destination, "datagrams cannot leave");
                drain(&agent.datagrams, &peer);
                ready.clear_ready();
                rest(&peer, REMEMBERED).await;
                continue;
            }
        };
        drop(ready);
        loop {
            let sent = tokio::select! {
                ready = peer.socket().readable() => pass(&agent.datagrams, ready, &far),
                ready = far.readable() => pass(&agent.datagrams, ready, peer.socket()),
            };
            match sent {
                Ok(Sent::Done) => peer.touch(),
                // Nobody listens there, or the program has closed its socket.
                Ok(Sent::Refused) => rest(&peer, REFUSED).await,
                Err(_) => break,
            }
        }
    }
}

pub(crate) type Ready<'a> = tokio::io::unix::AsyncFdReadyGuard<'a, OwnedFd>;

/// Passes on what is there.
pub(crate) fn pass(
    datagrams: &Datagrams,
    ready: io::Result<Ready<'_>>,
    to: &AsyncFd<OwnedFd>,
) -> io::Result<Sent> {
    let mut ready = ready?;
    let mut batch = datagrams.batch.lock();
    match batch.receive(ready.get_inner()) {
        Ok(count) => {
            if count < MANY {
                ready.clear_ready();
            }
            Ok(batch.send_behind([&[], &[]], to.get_ref()))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            ready.clear_ready();
            Ok(Sent::Done)
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(Sent::Refused),
        Err(error) => Err(error),
    }
}

/// A socket that leads to the destination: to the first of its addresses that this machine has a way to.
async fn connected(destination: &Destination) -> io::Result<AsyncFd<OwnedFd>> {
    let addresses: Vec<SocketAddr> = match destination {
        Destination::Address(address) => vec![*address],
        Destination::Name { host, port } => tokio::net::lookup_host((host.as_str(), *port)).await?.collect(),
    };
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        let socket = socket2::Socket::new(
            Domain::for_address(address),
            Type::DGRAM.nonblocking(),
            Some(Protocol::UDP),
        )?;
        match socket.connect(&address.into()) {
            Ok(()) => return sys::watch(socket.into(), Interest::READABLE),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Lets the kernel refuse what the program sends, for a while.
async fn rest(peer: &Peer, pause: Duration) {
    peer.refuse();
    tokio::time::sleep(pause).await;
    peer.listen();
}

/// Takes what is there, and loses it.
fn drain(datagrams: &Datagrams, peer: &Peer) {
    let mut batch = datagrams.batch.lock();
    while batch.receive(peer.socket().get_ref()).is_ok_and(|count| count == MANY) {}
}
