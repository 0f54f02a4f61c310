//! Associations (RFC 1928 section 7) along a path: each hop is asked for a relay, over a connection of its
//! own through the hops before it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use underpass_core::destination::Destination;
use underpass_core::failure::Failure;
use underpass_core::upstream::Protocol;

use super::chain::Chain;
use super::hop::{Client, Hop};
use super::path::{self, Progress};
use super::socks5_udp::{self, Associate};
use super::stream::{Stream, converse};
use crate::facts::FarOptions;
use crate::socket::remote_address;

/// What is there once every hop has agreed.
pub(crate) struct Associated {
    /// One connection a hop: when one ends, its proxy forgets the association.
    pub(crate) controls: Vec<Stream>,
    /// Where datagrams leave this machine for.
    pub(crate) relay: SocketAddr,
    /// The relays of the hops after the first.
    pub(crate) later: Vec<Destination>,
    /// The headers that lead to the last of them.
    pub(crate) headers: Vec<u8>,
}

impl Chain {
    /// Makes an association, by other paths where hops fail; `first` is where its first datagram goes.
    pub(crate) async fn associate(
        &self,
        client: &Client,
        first: &Destination,
        deadline: Duration,
    ) -> Result<Associated, Failure> {
        let start = Instant::now();
        self.measure().await;
        let client = &*self.bound_for(client, first);
        let odd = |place: &usize| !makes_associations(&self.hops()[*place]);
        let mut failed: Vec<usize> = (0..self.hops().len()).filter(odd).collect();
        let mut last = None;
        loop {
            let left = deadline.saturating_sub(start.elapsed());
            let Some(path) = self.path(&failed).filter(|_| !left.is_zero()) else { break };
            let hops = self.along(&path);
            let (progress, mut asked) = (Progress::default(), None);
            let attempt = along(&hops, client, &progress, &mut asked);
            let attempt = tokio::time::timeout(self.patience(failed.len(), left), attempt).await;
            let failure = match attempt {
                Ok(Ok(associated)) => {
                    hops.iter().for_each(|hop| hop.has_served());
                    return Ok(associated);
                }
                Ok(Err(failure)) => failure,
                Err(_) => Failure::TimedOut,
            };
            let (at, failure) = match asked {
                // It may carry connections all the same.
                Some(at) => (at, self.named(&path, at, failure)),
                None => match self.accuse(failure, &path, &progress) {
                    (None, failure) => return Err(failure),
                    (Some(at), failure) => {
                        self.hops()[path[at]].has_failed(&failure);
                        (at, failure)
                    }
                },
            };
            failed.push(path[at]);
            last = Some(failure);
        }
        Err(last.unwrap_or(Failure::TimedOut))
    }
}

/// Whether a hop may be asked for an association: SOCKS5 alone has them.
pub(super) fn makes_associations(hop: &Arc<Hop>) -> bool {
    hop.proxy().is_some_and(|proxy| proxy.protocol == Protocol::Socks5)
}

/// Whether the last of the hops may be asked for associations at all.
pub(crate) fn may_be_asked(hop: &Arc<Hop>) -> bool {
    makes_associations(hop)
}

/// Asks the last of the hops for an association, and gives it up.
pub(crate) async fn is_granted(hops: &[Arc<Hop>]) -> Result<(), Failure> {
    let (options, client, progress): (FarOptions, Client, Progress) = Default::default();
    let mut far = path::open(hops, &options, &client, &progress).await?;
    if let Some(mut greeting) = hops.last().and_then(|hop| hop.greeting(&client)).filter(|_| far.one_flight) {
        converse(&mut far.stream, &mut *greeting).await?;
    }
    converse(&mut far.stream, &mut Associate::new()).await
}

/// `asked` is set as long as a hop has been asked for an association and has not answered well.
async fn along(
    hops: &[Arc<Hop>],
    client: &Client,
    progress: &Progress,
    asked: &mut Option<usize>,
) -> Result<Associated, Failure> {
    let (mut controls, mut later, mut first) = (Vec::new(), Vec::new(), None);
    for (number, hop) in hops.iter().enumerate() {
        let options = FarOptions::default();
        let mut far = path::open(&hops[..=number], &options, client, progress).await?;
        *asked = Some(number);
        if let Some(mut greeting) = hop.greeting(client).filter(|_| far.one_flight) {
            converse(&mut far.stream, &mut *greeting).await?;
        }
        let mut associate = Associate::new();
        converse(&mut far.stream, &mut associate).await?;
        *asked = None;
        let bound = associate.bound().cloned().ok_or(Failure::Protocol("its reply names no relay"))?;
        match &first {
            None => first = Some(first_relay(peer_of(&far.stream), bound).await?),
            Some(_) => later.push(later_relay(hop, bound)),
        }
        controls.push(far.stream);
    }
    let relay = first.ok_or(Failure::Socket("the chain has no hop"))?;
    let headers = later.iter().flat_map(socks5_udp::header).collect();
    Ok(Associated { controls, relay, later, headers })
}

/// Where the first hop takes datagrams. One that names no address means its own, and so does one that
/// names our loopback without being there: nothing on this machine is its to name.
async fn first_relay(own: Option<SocketAddr>, bound: Destination) -> Result<SocketAddr, Failure> {
    let own = own.ok_or(Failure::UpstreamClosed)?;
    let bound = match bound {
        Destination::Address(address) => address,
        Destination::Name { host, port } => {
            let found = tokio::net::lookup_host((host.as_str(), port)).await;
            found.ok().and_then(|mut found| found.next()).ok_or(Failure::UpstreamName(host))?
        }
    };
    let is_elsewhere = bound.ip().to_canonical().is_loopback() && !own.ip().to_canonical().is_loopback();
    if bound.ip().is_unspecified() || is_elsewhere {
        return Ok(SocketAddr::new(own.ip(), bound.port()));
    }
    Ok(bound)
}

/// Where a connection leads to, if it is still there.
pub(super) fn peer_of(control: &Stream) -> Option<SocketAddr> {
    match control {
        Stream::Bare(bare) => remote_address(bare.get().get_ref()).ok(),
        Stream::Wrapped(_) | Stream::Muxed(_) | Stream::Unopened => None,
    }
}

/// The same for a later hop, as the hop before it knows it.
pub(super) fn later_relay(hop: &Hop, bound: Destination) -> Destination {
    match (&bound, hop.destination()) {
        (Destination::Address(address), Some(own)) if address.ip().is_unspecified() => match own {
            Destination::Address(own) => Destination::Address((own.ip(), address.port()).into()),
            Destination::Name { host, .. } => Destination::Name { host, port: address.port() },
        },
        _ => bound,
    }
}
