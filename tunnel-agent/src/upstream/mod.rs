//! What is dialled through, and the dial that gives a connection for the relay.

pub(crate) mod local;
pub(crate) mod socks5;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use underpass_core::destination::Destination;
use underpass_core::failure::{Failure, errno};
use underpass_core::upstream::{self as url, HopHost, Upstream};

use crate::facts::FarOptions;
use crate::loopback;
use socks5::{Handshake, Step};

/// How long an attempt may take from the program's call to the far end's answer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// A connection through an upstream, ready for the program's bytes.
#[derive(Debug)]
pub(crate) struct Far {
    /// A non-blocking stream socket.
    pub(crate) socket: OwnedFd,
    /// The address that it leaves this machine from, if it does.
    pub(crate) local: Option<SocketAddr>,
}

/// Dials `destination` through `upstream` with an agent's own socket.
pub(crate) async fn dial(
    upstream: &Upstream,
    destination: &Destination,
    options: &FarOptions,
) -> Result<Far, Failure> {
    match upstream {
        Upstream::Local => local::dial(destination, options).await,
        Upstream::Proxy(proxy) if proxy.protocol == url::Protocol::Socks5 => {
            let handshake = Handshake::new(destination, proxy.login.credentials());
            let mut failure = Failure::UpstreamName(String::new());
            for hop in hop_addresses(&proxy.host, proxy.port).await? {
                match connect(hop, options).await {
                    Ok(stream) => return through_socks5(stream, handshake).await,
                    Err(error) => failure = unreachable_hop(&error),
                }
            }
            Err(failure)
        }
        other => Err(Failure::UpstreamUnreachable(format!("this agent does not speak {other}"))),
    }
}

/// The addresses of a hop. The name of a hop is the one name that is resolved on this machine.
pub(crate) async fn hop_addresses(host: &HopHost, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    match host {
        HopHost::Address(ip) => Ok(vec![SocketAddr::new(*ip, port)]),
        HopHost::Name(name) => match tokio::net::lookup_host((name.as_str(), port)).await {
            Ok(found) => Ok(found.collect()),
            Err(_) => Err(Failure::UpstreamName(name.clone())),
        },
    }
}

/// Connects a socket of the agent's with what the program set on its own.
async fn connect(to: SocketAddr, options: &FarOptions) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    options.apply(&socket, to.is_ipv6())?;
    let stream = TcpSocket::from_std_stream(socket.into()).connect(to).await?;
    if stream.local_addr().is_ok_and(|local| local.ip() == to.ip()) {
        loopback::to_proxy(&stream);
    }
    Ok(stream)
}

async fn through_socks5(mut stream: TcpStream, mut handshake: Handshake) -> Result<Far, Failure> {
    let mut buffer = [0; Handshake::MAX_READ];
    loop {
        match handshake.step()? {
            Step::Send(bytes) => stream.write_all(bytes).await.map_err(|e| upstream_io(&e))?,
            Step::Receive(count) => {
                let bytes = &mut buffer[..count];
                stream.read_exact(bytes).await.map_err(|e| upstream_io(&e))?;
                handshake.received(bytes)?;
            }
            Step::Done => return far(stream),
        }
    }
}

fn far(stream: TcpStream) -> Result<Far, Failure> {
    let local = stream.local_addr().ok();
    let socket = stream.into_std().map_err(|e| upstream_io(&e))?.into();
    Ok(Far { socket, local })
}

/// The first hop cannot be connected to. A time-out is one; anything else says nothing about the
/// destination.
pub(crate) fn unreachable_hop(error: &io::Error) -> Failure {
    match error.raw_os_error() {
        Some(errno::ETIMEDOUT) => Failure::TimedOut,
        _ => Failure::UpstreamUnreachable(error.to_string()),
    }
}

/// The connection to the upstream broke during the handshake.
pub(crate) fn upstream_io(error: &io::Error) -> Failure {
    match error.raw_os_error() {
        Some(errno::ETIMEDOUT) => Failure::TimedOut,
        _ => Failure::UpstreamClosed,
    }
}
