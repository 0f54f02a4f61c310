//! One connection at the front door: asked, dialled, answered, and relayed.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use underpass_core::destination::Destination;
use underpass_core::failure::Failure;

use super::door::Kind;
use super::{http, socks5};
use crate::agent::Agent;
use crate::attempt::{self, along, trip, way};
use crate::facts::FarOptions;
use crate::flow::{Flows, Trip};
use crate::lifetime::Lifetime;
use crate::log;
use crate::loopback;
use crate::plan::Plan;
use crate::upstream::Far;
use crate::upstream::hop::Client;
use crate::upstream::stream::Stream;

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one that was refused may take to close.
const LEAVE: Duration = Duration::from_secs(1);

/// Serves a client on the thread that relays.
pub(super) fn begin(
    agent: &Arc<Agent>,
    kind: Kind,
    stream: TcpStream,
    plan: Arc<Plan>,
    room: OwnedSemaphorePermit,
) {
    let Ok(stream) = stream.into_std() else { return };
    let (splicer, agent) = (agent.splicer.clone(), Arc::clone(agent));
    splicer.spawn(async move {
        let _usage = (Lifetime::begin(&agent), room);
        // Boxed, so that a long-lived connection does not keep the room of its dial.
        match Box::pin(carried(&agent, kind, stream, plan)).await {
            Ok(Some((client, far, trip))) => {
                let listed = Flows::begin(&agent, trip);
                let ended = agent.splicer.relay(client, far, &listed.flow).await;
                log::ended(&listed.flow, &ended);
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "a client at the front door went away"),
        }
    });
}

/// Both ends of a relay, if there is one.
async fn carried(
    agent: &Arc<Agent>,
    kind: Kind,
    stream: std::net::TcpStream,
    plan: Arc<Plan>,
) -> io::Result<Option<(OwnedFd, Stream, Trip)>> {
    let mut stream = TcpStream::from_std(stream)?;
    stream.set_nodelay(true)?;
    loopback::accepted(&stream, stream.peer_addr()?.ip());
    let asked = async {
        match kind {
            Kind::Socks5 => socks5::asked(&mut stream).await,
            Kind::Http => http::asked(&mut stream).await,
        }
    };
    let Some(destination) = tokio::time::timeout(PATIENCE, asked).await?? else {
        take_leave(stream).await;
        return Ok(None);
    };
    let client = Client::default();
    let dialled = dial(agent, &plan, &client, &destination).await;
    let trip = trip(agent, &plan, &client, destination);
    let (answer, far) = match dialled {
        Ok(far) => (answer(kind, None), Some(far)),
        Err(failure) => {
            log::failed(&trip, &failure);
            (answer(kind, Some(&failure)), None)
        }
    };
    tokio::time::timeout(PATIENCE, stream.write_all(&answer)).await??;
    let Some(far) = far else {
        take_leave(stream).await;
        return Ok(None);
    };
    log::relayed(&trip);
    Ok(Some((stream.into_std()?.into(), far.stream, trip)))
}

/// Ends a connection so that the last answer is read: to close it over bytes that nobody has read would be a
/// reset, which can overtake the answer (RFC 9112 section 9.6).
async fn take_leave(mut stream: TcpStream) {
    let mut rest = [0; 1024];
    let drained = async {
        stream.shutdown().await?;
        for _ in 0..64 {
            if stream.read(&mut rest).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(LEAVE, drained).await;
}

fn answer(kind: Kind, failure: Option<&Failure>) -> Vec<u8> {
    match (kind, failure) {
        (Kind::Socks5, failure) => socks5::answer(failure.map_or(0, Failure::errno)).to_vec(),
        (Kind::Http, None) => http::CARRIED.to_vec(),
        (Kind::Http, Some(failure)) => http::failed(failure),
    }
}

async fn dial(
    agent: &Arc<Agent>,
    plan: &Arc<Plan>,
    client: &Client,
    destination: &Destination,
) -> Result<Far, Failure> {
    let deadline = Duration::from_secs(plan.config.deadline.into());
    // A fake address stands for a name here, too, and is never dialled.
    let destination = &match destination {
        Destination::Address(address) => attempt::destination(agent, *address)?,
        Destination::Name { .. } => destination.clone(),
    };
    let options = FarOptions::default();
    let far = along(way(plan, client, destination), client, destination, &options, deadline);
    tokio::time::timeout(deadline, far).await.unwrap_or(Err(Failure::TimedOut))
}

/// A host as a client writes it: an address, or a name.
pub(super) fn named(host: &[u8], port: u16) -> Option<Destination> {
    let host = std::str::from_utf8(host).ok()?;
    if let Ok(ip) = host.parse::<std::net::IpAddr>() {
        return Some(Destination::Address((ip, port).into()));
    }
    let is_name = (1..=255).contains(&host.len())
        && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:@[]?#\\".contains(&byte));
    is_name.then(|| Destination::Name { host: host.to_owned(), port })
}
