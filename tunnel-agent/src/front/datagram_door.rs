//! A door for datagrams, which lead to one destination, or to where the kernel was to send them (TPROXY). Each pair of ends
//! is a flow: a socket that is connected to the client, from the address that it has sent to, and one of the agent's own
//! for what is beyond. The door itself sees the first datagrams of each alone.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use libc::{IPPROTO_IP, IPPROTO_IPV6};
use parking_lot::Mutex;
use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::AbortHandle;
use underpass_core::destination::{Destination, is_local};
use underpass_core::wire::Token;

use crate::agent::Agent;
use crate::datagram::{Own, Sent, pass};
use crate::lifetime::Lifetime;
use crate::plan::Plan;
use crate::socket::local_address;
use crate::sys::{self, MANY};

/// A flow in which nothing moves for so long has ended: as conntrack has it with one that has gone both ways.
const IDLE: Duration = Duration::from_secs(120);
/// Datagrams that wait, in bytes as the kernel counts them.
const BUFFER: usize = 1 << 20;
/// Flows of one door. Of more, and where descriptors are short, those end that were idle for longest.
const MAX_FLOWS: usize = 4096;
/// A flow in which something has moved within this time is not ended for another, whose datagrams are lost rather.
const IN_USE: Duration = Duration::from_millis(250);

/// A door that listens.
pub(super) struct DatagramDoor {
    socket: OwnedFd,
    port: u16,
    /// `None`: where the kernel was to send them.
    to: Option<Destination>,
}

/// The client, and where it has sent to.
type Pair = (SocketAddr, SocketAddr);

/// A flow, as the door knows it.
struct Flow {
    /// What leads to its destination, while it lasts.
    socket: Weak<AsyncFd<OwnedFd>>,
    used: Arc<Used>,
    task: AbortHandle,
}

/// When something has moved last.
struct Used(Mutex<Instant>);

impl Used {
    fn touch(&self) {
        *self.0.lock() = Instant::now();
    }
}

impl DatagramDoor {
    /// Begins to listen. Without a destination it takes what is for others, which needs CAP_NET_ADMIN.
    pub(super) fn open(address: SocketAddr, to: Option<Destination>) -> io::Result<Self> {
        // The port is nobody's yet: what shares a port is not asked.
        drop(bound(address, to.is_none(), false)?);
        Self::of(bound(address, to.is_none(), true)?, to)
    }

    /// With what is bound already.
    pub(super) fn of(socket: OwnedFd, to: Option<Destination>) -> io::Result<Self> {
        let address = local_address(&socket)?;
        // The sockets of its flows are at the same port.
        rustix::net::sockopt::set_socket_reuseport(&socket, true)?;
        for (level, name) in
            [(IPPROTO_IP, libc::IP_RECVORIGDSTADDR), (IPPROTO_IPV6, libc::IPV6_RECVORIGDSTADDR)]
        {
            if level == IPPROTO_IP || address.is_ipv6() {
                sys::set_option(&socket, level, name, 1)?;
            }
        }
        Ok(Self { socket, port: address.port(), to })
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Serves for ever.
    pub(super) async fn serve(self: Arc<Self>, agent: Arc<Agent>, session: Token) -> io::Result<()> {
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
            for (ends, bytes) in came {
                let known = flows.get(&ends).and_then(|flow: &Flow| flow.socket.upgrade());
                let socket = match known {
                    Some(socket) => socket,
                    None => {
                        if flows.len() >= MAX_FLOWS || agent.datagrams.is_short() {
                            make_room(&mut flows).await;
                        }
                        if flows.len() >= MAX_FLOWS {
                            continue;
                        }
                        let Some((socket, flow)) = self.begin(&agent, &plan, ends) else { continue };
                        flows.insert(ends, flow);
                        socket
                    }
                };
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                let _ = rustix::net::send(socket.get_ref(), &bytes, flags);
            }
        }
    }

    /// Begins a flow of a client that has sent to an address.
    fn begin(
        &self,
        agent: &Arc<Agent>,
        plan: &Arc<Plan>,
        (client, at): Pair,
    ) -> Option<(Arc<AsyncFd<OwnedFd>>, Flow)> {
        let transparent = self.to.is_none();
        let destination = self.to.clone().unwrap_or(Destination::Address(at));
        if self.is_self(at, &destination) {
            return None;
        }
        let own = Own::towards(agent, plan, &destination, transparent)?;
        let back = back(client, at, transparent);
        let back = back.inspect_err(|error| tracing::debug!(%error, "no answers can be sent")).ok()?;
        let (socket, agent) = (own.watched(), Arc::clone(agent));
        let used = Arc::new(Used(Mutex::new(Instant::now())));
        let moves = Arc::clone(&used);
        let task = tokio::spawn(async move {
            let _usage = Lifetime::begin(&agent);
            carry(&agent, &own, &back, &moves).await;
        });
        let flow = Flow { socket: Arc::downgrade(&socket), used, task: task.abort_handle() };
        Some((socket, flow))
    }

    /// Whether what is sent there would come in by this door again, and so for ever.
    fn is_self(&self, at: SocketAddr, destination: &Destination) -> bool {
        let Destination::Address(to) = destination else { return false };
        let is_here = |ip| is_local(ip) || sys::interface_addresses().is_ok_and(|ours| ours.contains(&ip));
        to.port() == self.port && (*to == at || self.to.is_none()) && is_here(to.ip())
    }
}

/// Ends a sixteenth of the flows: those that have been idle for longest, as far as they are idle. At least what has ended
/// already is forgotten.
async fn make_room(flows: &mut HashMap<Pair, Flow>) {
    flows.retain(|_, flow| flow.socket.strong_count() > 0);
    let mut idle: Vec<_> = flows.iter().map(|(ends, flow)| (*flow.used.0.lock(), *ends)).collect();
    idle.retain(|(used, _)| used.elapsed() >= IN_USE);
    let count = idle.len().min(flows.len() / 16 + 1);
    if count == 0 {
        return;
    }
    idle.select_nth_unstable(count - 1);
    for (_, ends) in &idle[..count] {
        if let Some(flow) = flows.remove(ends) {
            flow.task.abort();
        }
    }
    // They end when the runtime comes to them.
    tokio::task::yield_now().await;
}

/// Carries datagrams until none has passed for a while, or one end refuses them: the next begins a flow anew.
async fn carry(agent: &Agent, own: &Own, back: &AsyncFd<OwnedFd>, used: &Used) {
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
        used.touch();
    }
}

/// What answers leave by: from where the client has sent to, and to it alone.
fn back(client: SocketAddr, at: SocketAddr, transparent: bool) -> io::Result<AsyncFd<OwnedFd>> {
    let socket = bound(at, transparent, true)?;
    rustix::net::connect(&socket, &client)?;
    // What somebody else sent before it was connected.
    while rustix::net::recv(&socket, &mut [0; 1], RecvFlags::DONTWAIT | RecvFlags::TRUNC).is_ok() {}
    sys::watch(socket, Interest::READABLE)
}

fn bound(address: SocketAddr, transparent: bool, shared: bool) -> io::Result<OwnedFd> {
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
    socket.set_reuse_port(shared)?;
    // No more than the system allows is had, which is no fault.
    let _ = socket.set_recv_buffer_size(BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}
