//! One connection from the exit to the program.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use underpass_core::destination::Destination;
use underpass_core::wire::FROM;

use super::known::course;
use super::reverse::reset;
use super::{Ends, Exposure};
use crate::agent::Agent;
use crate::flow::Trip;
use crate::lifetime::Lifetime;
use crate::upstream::stream::{Bare, Stream};
use crate::{log, loopback};

/// How long a program may take to have room in its queue.
const PATIENCE: Duration = Duration::from_secs(60);
/// A program that is about to listen is asked again after this.
const SOON: Duration = Duration::from_millis(20);
const TRIES: u32 = 50;

/// Connects to the program, and relays until both ends have ended. Without the program the far end is reset.
pub(super) async fn carry(agent: &Arc<Agent>, exposure: &Arc<Exposure>, far: Stream, peer: SocketAddr) {
    let Some(mut room) = agent.take_room() else {
        tracing::warn!(%peer, "no room for a connection from the exit");
        return reset(far);
    };
    let connected = tokio::time::timeout(PATIENCE, connected(agent, exposure, peer)).await;
    let (program, _shown) = match connected {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => {
            tracing::debug!(%error, %peer, "the program takes no connection");
            return reset(far);
        }
        Err(_) => {
            tracing::debug!(%peer, "the program takes no connection in time");
            return reset(far);
        }
    };
    exposure.known.comes();
    room.keep(1 + far.descriptors());
    let _usage = (Lifetime::begin(agent), room);
    let client = &exposure.bound.client;
    let program_name = client.program.as_deref().filter(|_| log::is_on()).map(Into::into);
    let destination = Destination::Address(peer);
    let course = Some(course(agent, &exposure.bound.plan, &exposure.bound.chain));
    let tally = agent.courses.tally(course.as_deref());
    let trip = Trip { pid: client.pid, program: program_name, destination, course, tally };
    let listed = agent.flows.begin(trip);
    let ended = agent.splicer.relay(program, far, &listed.flow).await;
    log::ended(&listed.flow, &ended);
}

/// As long as this lives the program is told who is behind the connection.
struct Shown {
    agent: Arc<Agent>,
    connection: (u64, Ends),
    is_made: bool,
}

impl Drop for Shown {
    fn drop(&mut self) {
        match self.is_made {
            true => self.agent.exposures.ends(self.connection),
            false => self.agent.exposures.goes(self.connection),
        }
    }
}

type Connected = (Bare<OwnedFd>, Shown);

async fn connected(agent: &Arc<Agent>, exposure: &Exposure, peer: SocketAddr) -> io::Result<Connected> {
    let mut tries = 0;
    loop {
        match connect(agent, exposure, peer).await {
            // Between bind() and listen(), or between two of a program that starts again.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && tries < TRIES => {
                tries += 1;
                tokio::time::sleep(SOON).await;
            }
            ended => return ended,
        }
    }
}

async fn connect(agent: &Arc<Agent>, exposure: &Exposure, peer: SocketAddr) -> io::Result<Connected> {
    let to = exposure.local;
    let from: IpAddr = match to {
        SocketAddr::V4(_) => FROM.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    let from = crate::socket::local_address(&socket)?;
    // Before the program can ask.
    let connection = agent.exposures.comes(from, to, peer, exposure.exit);
    let mut shown = Shown { agent: Arc::clone(agent), connection, is_made: false };
    let connecting = crate::socket::connect_nonblocking(&socket, &to);
    let stream = Bare::new(OwnedFd::from(socket))?;
    match connecting {
        Ok(()) => {}
        Err(Errno::INPROGRESS) => {
            let _ready = stream.get().writable().await?;
            rustix::net::sockopt::socket_error(stream.get().get_ref())??;
        }
        Err(error) => return Err(error.into()),
    }
    loopback::to_proxy(stream.get().get_ref());
    shown.is_made = true;
    Ok((stream, shown))
}
