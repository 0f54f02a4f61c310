//! The way along one path: the first hop is connected to, and each hop is asked for the next.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use underpass_core::destination::Destination;
use underpass_core::failure::{Failure, errno, reason};
use underpass_core::upstream::{HopHost, Upstream};

use super::hop::{Client, Hop};
use super::stream::{Bare, Spoken, Stream, converse};
use super::{Far, local, ssh};
use crate::facts::{Facts, FarOptions};
use crate::hold::connect_without_waiting;

/// How far a dial has come: read by whoever ends one that takes too long.
#[derive(Debug, Default)]
pub(crate) struct Progress(AtomicUsize);

impl Progress {
    /// The hop that is being dealt with, from 0.
    pub(crate) fn hop(&self) -> usize {
        self.0.load(Ordering::Relaxed) / 2
    }

    /// Whether it has been asked for what comes after it.
    pub(crate) fn has_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed) % 2 == 1
    }

    fn reaches(&self, hop: usize) {
        self.0.store(hop * 2, Ordering::Relaxed);
    }

    pub(super) fn asks(&self, hop: usize) {
        self.0.store(hop * 2 + 1, Ordering::Relaxed);
    }
}

/// Dials `destination` along `hops` with a socket of the agent's.
pub(crate) async fn dial(
    hops: &[Arc<Hop>],
    destination: &Destination,
    options: &FarOptions,
    client: &Client,
    progress: &Progress,
) -> Result<Far, Failure> {
    if let [only] = hops
        && only.upstream == Upstream::Local
    {
        return local::dial(destination, options).await;
    }
    let opened = open(hops, options, client, progress).await?;
    ask(hops, opened, destination, progress).await
}

/// A connection to the last hop of a path, greeted: as far as one can go without knowing the destination.
pub(crate) async fn open(
    hops: &[Arc<Hop>],
    options: &FarOptions,
    client: &Client,
    progress: &Progress,
) -> Result<Far, Failure> {
    let mut far = Far { stream: Stream::Unopened, local: None, one_flight: false };
    for (number, hop) in hops.iter().enumerate() {
        match (&hop.upstream, number) {
            (Upstream::Proxy(proxy), 0) => {
                progress.reaches(0);
                far = connect(hop, &proxy.host, proxy.port, options).await?;
            }
            (Upstream::Proxy(_), _) => {
                let next = hop.destination().ok_or(LOCAL)?;
                progress.asks(number - 1);
                far.stream = ask_hop(hops, number - 1, far.stream, far.one_flight, &next).await?;
                progress.reaches(number);
            }
            // Where it is reached is known to its configuration: it is asked for with what comes after it.
            (Upstream::Ssh(_), _) => progress.reaches(number),
            _ => return Err(LOCAL),
        }
        if let (Some(tls), Some(proxy)) = (hop.tls(), hop.proxy()) {
            far.stream = tls.wrap(far.stream, &proxy.host).await?;
        }
        // ssh says only later where it wants to go.
        let before_ssh = matches!(hops.get(number + 1).map(|next| &next.upstream), Some(Upstream::Ssh(_)));
        far.one_flight = hop.flights.one() && !before_ssh;
        if let Some(mut greeting) = hop.greeting(client).filter(|_| !far.one_flight) {
            converse(&mut far.stream, &mut *greeting).await?;
        }
    }
    Ok(far)
}

const LOCAL: Failure = Failure::Socket("local: has to be a chain of its own");

/// Asks the last hop for the destination.
pub(crate) async fn ask(
    hops: &[Arc<Hop>],
    opened: Far,
    destination: &Destination,
    progress: &Progress,
) -> Result<Far, Failure> {
    let last = hops.len().checked_sub(1).ok_or(Failure::Socket("the chain has no hop"))?;
    progress.asks(last);
    let Far { stream, local, one_flight } = opened;
    let stream = ask_hop(hops, last, stream, one_flight, destination).await?;
    Ok(Far { stream, local, one_flight: false })
}

/// Asks hop `at` for what comes after it, over the connection to it, or to the hop before it if it is ssh.
async fn ask_hop(
    hops: &[Arc<Hop>],
    at: usize,
    mut stream: Stream,
    one_flight: bool,
    next: &Destination,
) -> Result<Stream, Failure> {
    if let Upstream::Ssh(ssh) = &hops[at].upstream {
        return match at.checked_sub(1) {
            None => ssh::dial(ssh, next).await,
            Some(before) => ssh::dial_over(ssh, next, Arc::clone(&hops[before]), stream).await,
        };
    }
    let mut trial = hops[at].flights.trial(one_flight);
    for mut handshake in hops[at].request(next, one_flight)? {
        trial.ended(converse(&mut stream, &mut *handshake).await)?;
    }
    Ok(stream)
}

/// Connects to the first hop, trying each address of its name, and measures the round trip.
pub(super) async fn connect(
    hop: &Hop,
    host: &HopHost,
    port: u16,
    options: &FarOptions,
) -> Result<Far, Failure> {
    let mut failure = Failure::UpstreamName(host.to_string());
    for address in addresses(host, port).await? {
        let start = Instant::now();
        match Bare::connect(address, options).await {
            Ok(bare) => {
                let local = bare.local();
                // A hop on this machine is near however busy that is.
                let is_here = local.is_some_and(|local| local.ip() == address.ip());
                hop.measured(if is_here { Duration::ZERO } else { start.elapsed() });
                return Ok(Far { stream: Stream::Bare(bare), local, one_flight: false });
            }
            Err(error) => failure = unreachable(&error),
        }
    }
    Err(failure)
}

/// The addresses of a first hop: the one name that is resolved on this machine.
pub(crate) async fn addresses(host: &HopHost, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    match host {
        HopHost::Address(ip) => Ok(vec![SocketAddr::new(*ip, port)]),
        HopHost::Name(name) => match tokio::net::lookup_host((name.as_str(), port)).await {
            Ok(found) => Ok(found.collect()),
            Err(_) => Err(Failure::UpstreamName(name.clone())),
        },
    }
}

/// A hop whose round trip is shorter is on this machine, or as good as that.
const NEAR: Duration = Duration::from_micros(200);
/// How long its answer is looked for before it is waited for.
const LOOK: Duration = Duration::from_micros(60);

/// Connects the program's own socket to the first hop. With `is_alone` nobody else is kept waiting by an
/// eager look for its answers. After a failure the socket is in an undefined state, here and in [`drive`]: the
/// caller dissolves it.
pub(crate) async fn reach<'a, T: AsFd>(
    hop: &Hop,
    socket: &'a T,
    first: SocketAddr,
    is_alone: bool,
) -> Result<Bare<BorrowedFd<'a>>, Failure> {
    let start = Instant::now();
    let mut bare = connect_own(socket, first).await.map_err(|error| unreachable(&error))?;
    let round_trip = start.elapsed();
    hop.measured(round_trip);
    if is_alone && round_trip < NEAR {
        bare.look_for(LOOK);
    }
    Ok(bare)
}

/// Drives the program's own socket, which has reached the first hop, along a path of plain proxies. `let_go` is
/// called as soon as it is connected, before anything is tidied up.
pub(crate) async fn drive(
    hops: &[Arc<Hop>],
    mut bare: Bare<BorrowedFd<'_>>,
    destination: &Destination,
    client: &Client,
    progress: &Progress,
    let_go: impl FnOnce(Spoken),
) -> Result<(), Failure> {
    for (number, hop) in hops.iter().enumerate() {
        progress.reaches(number);
        let one_flight = hop.flights.one();
        if let Some(mut greeting) = hop.greeting(client).filter(|_| !one_flight) {
            converse(&mut bare, &mut *greeting).await?;
        }
        let next = match hops.get(number + 1) {
            Some(next) => &next.destination().ok_or(LOCAL)?,
            None => destination,
        };
        progress.asks(number);
        let mut trial = hop.flights.trial(one_flight);
        for mut handshake in hop.request(next, one_flight)? {
            trial.ended(converse(&mut bare, &mut *handshake).await)?;
        }
    }
    let_go(bare.spoken());
    Ok(())
}

async fn connect_own<T: AsFd>(socket: &T, to: SocketAddr) -> std::io::Result<Bare<BorrowedFd<'_>>> {
    let connected = connect_without_waiting(socket, &to);
    let bare = Bare::new(socket.as_fd())?;
    match connected {
        Ok(()) => Ok(bare),
        Err(Errno::INPROGRESS) => {
            let _ready = bare.get().writable().await?;
            rustix::net::sockopt::socket_error(socket)??;
            // A second call finds the connection made, and so tells the kernel that connect() has
            // succeeded: a further one of the program's gives EISCONN. Another thread of the program's may
            // have made that call.
            match rustix::net::connect(socket, &to) {
                Ok(()) | Err(Errno::ISCONN) => Ok(bare),
                Err(error) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Which of the first hop's addresses the program's socket reaches; `None` if its family cannot.
pub(crate) async fn first_address(hops: &[Arc<Hop>], facts: &Facts) -> Result<Option<SocketAddr>, Failure> {
    let Some(proxy) = hops.first().and_then(|hop| hop.proxy()) else { return Ok(None) };
    let found = addresses(&proxy.host, proxy.port).await?;
    Ok(found.into_iter().find_map(|address| facts.reachable(address)))
}

/// The first hop cannot be connected to. A time-out is one; anything else says nothing about the
/// destination.
fn unreachable(error: &std::io::Error) -> Failure {
    match error.raw_os_error() {
        Some(errno::ETIMEDOUT) => Failure::TimedOut,
        // Only who has accepted can reset.
        Some(errno::ECONNRESET) => Failure::UpstreamClosed,
        _ => Failure::UpstreamUnreachable(reason(error)),
    }
}
