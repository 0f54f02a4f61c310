//! BIND of SOCKS5 (RFC 1928 section 4): the last hop of a path listens for one connection.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use underpass_core::destination::Destination;
use underpass_core::failure::Failure;
use underpass_core::upstream::Protocol;

use super::associate::{later_relay, peer_of};
use super::hop::{Client, Hop};
use super::path::{self, Progress};
use super::socks5::Request;
use super::socks5_udp::told;
use super::stream::{Stream, converse};
use crate::facts::FarOptions;

/// A proxy that listens, and says so over this connection.
pub(crate) struct Bound {
    stream: Stream,
    pub(crate) address: SocketAddr,
}

/// Whether a hop may be asked: only SOCKS5 is, which says who has connected.
pub(super) fn binds(hop: &Arc<Hop>) -> bool {
    hop.proxy().is_some_and(|proxy| proxy.protocol == Protocol::Socks5)
}

/// Asks the last of the hops. It chooses the port: its protocol has no word for one that is wished. Where it is known who
/// will connect that is said: some proxies choose the address by it, and let nobody else in.
pub(super) async fn bind(
    hops: &[Arc<Hop>],
    expected: Option<&Destination>,
    client: &Client,
    progress: &Progress,
) -> Result<Bound, Failure> {
    let last = hops.last().ok_or(Failure::Socket("the chain has no hop"))?;
    let anybody = Destination::Address((Ipv4Addr::UNSPECIFIED, 0).into());
    let mut far = path::open(hops, &FarOptions::default(), client, progress).await?;
    progress.asks(hops.len() - 1);
    if let Some(mut greeting) = last.greeting(client).filter(|_| far.one_flight) {
        converse(&mut far.stream, &mut *greeting).await?;
    }
    let mut request = Request::bind(expected.unwrap_or(&anybody));
    converse(&mut far.stream, &mut request).await?;
    let bound = told(request.bound()).ok_or(NOWHERE)?;
    // An unspecified address means the proxy's own.
    let own = peer_of(&far.stream).filter(|_| hops.len() == 1);
    let address = match (later_relay(last, bound), own) {
        (Destination::Address(address), _) if !address.ip().is_unspecified() => address,
        (other, Some(own)) => SocketAddr::new(own.ip(), other.port()),
        _ => return Err(NOWHERE),
    };
    Ok(Bound { stream: far.stream, address })
}

const NOWHERE: Failure = Failure::Protocol("its reply does not say where it listens");

impl Bound {
    /// Waits for the one connection: its bytes, and who has connected.
    pub(crate) async fn accept(mut self) -> Result<(Stream, SocketAddr), Failure> {
        let mut second = Request::second_reply();
        converse(&mut self.stream, &mut second).await?;
        match told(second.bound()) {
            Some(Destination::Address(peer)) => Ok((self.stream, peer)),
            _ => Err(Failure::Protocol("its second reply does not say who has connected")),
        }
    }
}
