//! A door for datagrams, which lead to one destination, or to where the kernel was to send them (TPROXY). Each pair of ends
//! is a flow: a socket that is connected to the client, from the address that it has sent to, and one of the agent's own
//! for what is beyond. The door itself sees the first datagrams of each alone.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use libc::{IPPROTO_IP, IPPROTO_IPV6};
use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use underpass_core::destination::Destination;
use underpass_core::wire::Token;

use crate::agent::Agent;
use crate::datagram::{Own, Sent, pass};
use crate::lifetime::Lifetime;
use crate::plan::Plan;
use crate::sys::{self, MANY};

/// A flow in which nothing moves for so long has ended: as conntrack has it with one that has gone both ways.
const IDLE: Duration = Duration::from_secs(120);
/// Datagrams that wait, in bytes as the kernel counts them.
const BUFFER: usize = 1 << 20;
/// Flows of one door; the datagrams of more are lost.
const MAX_FLOWS: usize = 4096;

/// A door that listens.
pub(super) struct DatagramDoor {
    socket: OwnedFd,
    /// `None`: where the kernel was to send them.
    to: Option<Destination>,
}

/// A flow, as the door knows it.
struct Flow {
    own: Arc<AsyncFd<OwnedFd>>,
    ended: Arc<AtomicBool>,
}

impl DatagramDoor {
    /// Begins to listen. Without a destination it takes what is for others, which needs CAP_NET_ADMIN.
    pub(super) fn open(address: SocketAddr, to: Option<Destination>) -> io::Result<Self> {
        let socket = bound(address, to.is_none())?;
        for (level, name) in
            [(IPPROTO_IP, libc::IP_RECVORIGDSTADDR), (IPPROTO_IPV6, libc::IPV6_RECVORIGDSTADDR)]
        {
            if level == IPPROTO_IP || address.is_ipv6() {
                sys::set_option(&socket, level, name, 1)?;
            }
        }
        Ok(Self { socket, to })
    }

    /// Serves for ever.
    pub(super) async fn serve(self, agent: Arc<Agent>, session: Token) -> io::Result<()> {
        let watched = sys::watch(self.socket.as_fd(), Interest::READABLE)?;
        let mut flows = HashMap::new();
        loop {
            let mut ready = watched.readable().await?;
            // A reload gives the session another plan.
            let Some(plan) = agent.sessions.plan(&session) else { return Ok(()) };
            let came: Vec<_> = {
                let mut batch = agent.datagrams.batch.lock();
                match batch.receive_from(ready.get_inner()) {
                    Ok(count) if count < MANY => ready.clear_ready(),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                    // Told of one that was sent.
                    Err(_) => continue,
                }
                batch.with_ends().filter_map(|(ends, bytes)| Some((ends.pair()?, bytes.to_vec()))).collect()
            };
            for ((client, at), bytes) in came {
                let known =
                    flows.get(&(client, at)).filter(|flow: &&Flow| !flow.ended.load(Ordering::Relaxed));
                let flow = match known {
                    Some(flow) => flow,
                    None => {
                        flows.retain(|_, flow| !flow.ended.load(Ordering::Relaxed));
                        let Some(flow) = self.begin(&agent, &plan, client, at, flows.len()) else { continue };
                        flows.entry((client, at)).insert_entry(flow).into_mut()
                    }
                };
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                let _ = rustix::net::send(flow.own.get_ref(), &bytes, flags);
            }
        }
    }

    /// Begins a flow of a client that has sent to `at`.
    fn begin(
        &self,
        agent: &Arc<Agent>,
        plan: &Arc<Plan>,
        client: SocketAddr,
        at: SocketAddr,
        flows: usize,
    ) -> Option<Flow> {
        let destination = self.to.clone().unwrap_or(Destination::Address(at));
        let own =
            (flows < MAX_FLOWS).then(|| Own::towards(agent, plan, &destination, self.to.is_none()))??;
        let back = back(client, at, self.to.is_none());
        let back = back.inspect_err(|error| tracing::debug!(%error, "no answers can be sent")).ok()?;
        let (socket, ended) = (own.watched(), Arc::new(AtomicBool::new(false)));
        let (agent, has_ended) = (Arc::clone(agent), Arc::clone(&ended));
        tokio::spawn(async move {
            let _usage = Lifetime::begin(&agent);
            carry(&agent, &own, &back).await;
            has_ended.store(true, Ordering::Relaxed);
        });
        Some(Flow { own: socket, ended })
    }
}

/// Carries datagrams until none has passed for a while, or one end refuses them: the next begins a flow anew.
async fn carry(agent: &Agent, own: &Own, back: &AsyncFd<OwnedFd>) {
    let watched = own.watched();
    loop {
        let sent = tokio::select! {
            ready = back.readable() => pass(&agent.datagrams, ready, &watched),
            ready = watched.readable() => pass(&agent.datagrams, ready, back),
            () = tokio::time::sleep(IDLE) => return,
        };
        if !matches!(sent, Ok(Sent::Done)) {
            return;
        }
    }
}

/// What answers leave by: from where the client has sent to, and to it alone.
fn back(client: SocketAddr, at: SocketAddr, transparent: bool) -> io::Result<AsyncFd<OwnedFd>> {
    let socket = bound(at, transparent)?;
    rustix::net::connect(&socket, &client)?;
    // What somebody else sent before it was connected.
    while rustix::net::recv(&socket, &mut [0; 1], RecvFlags::DONTWAIT | RecvFlags::TRUNC).is_ok() {}
    sys::watch(socket, Interest::READABLE)
}

fn bound(address: SocketAddr, transparent: bool) -> io::Result<OwnedFd> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if transparent {
        let (level, name) = match address {
            SocketAddr::V4(_) => (IPPROTO_IP, libc::IP_TRANSPARENT),
            SocketAddr::V6(_) => (IPPROTO_IPV6, libc::IPV6_TRANSPARENT),
        };
        sys::set_option(&socket, level, name, 1)?;
    }
    // With the flows' sockets, and with nobody else's: the port is this user's.
    socket.set_reuse_port(true)?;
    // No more than the system allows is had, which is no fault.
    let _ = socket.set_recv_buffer_size(BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}
