//! The way along one path: the first hop is connected to, and each hop is asked for the next.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::Errno;
use tokio_rustls::client::TlsStream;
use underpass_core::destination::{Destination, canonical};
use underpass_core::failure::Failure;
use underpass_core::upstream::{HopHost, Upstream};

use super::hop::{Client, HTTP_2, Hop};
use super::relay::one_flight::{Answered, OneFlight};
use super::stream::{Bare, Duplex, Spoken, Stream, converse};
use super::trouble::{at, shortage, unreachable};
use super::{Far, happy_eyeballs, ssh};
use crate::facts::{Facts, FarOptions};
use crate::relay::ahead::Ahead;
use crate::socket::connect_without_waiting;

/// How far a dial has come: read by whoever ends one that takes too long.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    at: AtomicUsize,
    /// Somebody else dials for this one as well.
    of: Mutex<Option<Arc<Progress>>>,
}

impl Progress {
    /// The hop that is being dealt with, from 0.
    pub(crate) fn hop(&self) -> usize {
        self.get() / 2
    }

    /// Whether it has been asked for what comes after it.
    pub(crate) fn has_asked(&self) -> bool {
        self.get() % 2 == 1
    }

    fn get(&self) -> usize {
        match &*self.of.lock() {
            Some(of) => of.get(),
            None => self.at.load(Ordering::Relaxed),
        }
    }

    fn reaches(&self, hop: usize) {
        self.is_at(hop * 2);
    }

    pub(super) fn asks(&self, hop: usize) {
        self.is_at(hop * 2 + 1);
    }

    fn is_at(&self, at: usize) {
        *self.of.lock() = None;
        self.at.store(at, Ordering::Relaxed);
    }

    /// From now on it is as far as `of`.
    pub(super) fn follows(&self, of: Arc<Self>) {
        *self.of.lock() = Some(of);
    }
}

/// How often the proxies of a path may ask who we are: each once, and once more where another connection
/// has used up what it had asked.
const MAX_CHALLENGES: usize = 8;

/// Makes an attempt, and makes it again where a proxy has asked who we are: the answer is known then.
pub(crate) async fn answering<T, F: Future<Output = Result<T, Failure>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<T, Failure> {
    for _ in 0..MAX_CHALLENGES {
        match attempt().await {
            Err(Failure::Challenged) => {}
            ended => return ended,
        }
    }
    attempt().await
}

/// Dials `destination` along `hops` with a socket of the agent's.
pub(crate) async fn dial(
    hops: &[Arc<Hop>],
    destination: &Destination,
    options: &FarOptions,
    client: &Client,
    progress: &Progress,
) -> Result<Far, Failure> {
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
    let far = Far { stream: Stream::Unopened, local: None, exit: None, one_flight: false };
    go_on(hops, 0, far, options, client, progress).await
}

/// The same from hop `from` on, where `far` leads to.
pub(super) async fn go_on(
    hops: &[Arc<Hop>],
    from: usize,
    mut far: Far,
    options: &FarOptions,
    client: &Client,
    progress: &Progress,
) -> Result<Far, Failure> {
    for (number, hop) in hops.iter().enumerate().skip(from) {
        match (&hop.upstream, number) {
            // Where it is reached is known to its configuration: it is asked for with what comes after it.
            (Upstream::Ssh(_), _) => progress.reaches(number),
            (Upstream::Proxy(_), _) => far = step(hops, number, from, far, options, progress).await?,
            _ => return Err(LOCAL),
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

/// Reaches proxy `number`, through the hop before it unless that is done, and puts its TLS around the connection.
async fn step(
    hops: &[Arc<Hop>],
    number: usize,
    from: usize,
    far: Far,
    options: &FarOptions,
    progress: &Progress,
) -> Result<Far, Failure> {
    let (hop, Some(proxy)) = (&hops[number], hops[number].proxy()) else { return Err(LOCAL) };
    let (mut far, answered) = approach(hops, number, from, far, options, progress).await?;
    if let Some(tls) = hop.tls() {
        let wrapped = tls.wrap(far.stream, &proxy.host).await;
        if answered.is_none_or(|answered| answered.yes()) {
            progress.reaches(number);
        }
        far.stream = wrapped?;
    }
    Ok(far)
}

/// A connection to proxy `number`, with no TLS yet. Where that travels together with the request for the connection,
/// it is known only later whether there is one.
async fn approach(
    hops: &[Arc<Hop>],
    number: usize,
    from: usize,
    mut far: Far,
    options: &FarOptions,
    progress: &Progress,
) -> Result<(Far, Option<Answered>), Failure> {
    let (hop, Some(proxy)) = (&hops[number], hops[number].proxy()) else { return Err(LOCAL) };
    let Some(before) = number.checked_sub(1) else {
        progress.reaches(0);
        far = match hop.enter() {
            Some(entered) => {
                let stream = Stream::Bare(entered.map_err(|error| unreachable(&error))?);
                Far { stream, local: None, exit: None, one_flight: false }
            }
            None => connect(hop, &proxy.host, proxy.port, options).await?,
        };
        if hop.is_relay() {
            far.stream = read_ahead(far.stream);
        }
        return Ok((far, None));
    };
    if number == from {
        progress.reaches(number);
        return Ok((far, None));
    }
    let next = hop.destination().ok_or(LOCAL)?;
    progress.asks(before);
    if hop.tls().is_some() && hops[before].takes_one_flight() {
        let request = hops[before].request(&next, false)?;
        let (stream, answered) = OneFlight::new(far.stream.into_duplex(), request)?;
        far.stream = Stream::wrapped(stream);
        return Ok((far, Some(answered)));
    }
    (far.stream, _) = ask_hop(hops, before, far.stream, far.one_flight, &next).await?;
    progress.reaches(number);
    Ok((far, None))
}

/// Records are longer than what TLS reads of its own: several are taken in one call.
fn read_ahead(stream: Stream) -> Stream {
    match stream {
        Stream::Bare(bare) => Stream::wrapped(Ahead::new(bare)),
        other => other,
    }
}

/// A connection to the last hop, a relay, inside TLS; whether it speaks HTTP/2 there. And the address that it leaves
/// from.
pub(super) async fn open_session(
    hops: &[Arc<Hop>],
    client: &Client,
    progress: &Progress,
) -> Result<(TlsStream<Box<dyn Duplex>>, bool, Option<SocketAddr>), Failure> {
    let Some((last, before)) = hops.split_last() else { return Err(LOCAL) };
    let (Some(tls), Some(proxy)) = (last.sessions(), last.proxy()) else { return Err(LOCAL) };
    // It is shared: what one program wants of its connection does not concern it.
    let options = FarOptions::default();
    let far = open(before, &options, client, progress).await?;
    let (far, answered) = approach(hops, before.len(), 0, far, &options, progress).await?;
    let connected = tls.connect(far.stream.into_duplex(), &proxy.host).await;
    if answered.is_none_or(|answered| answered.yes()) {
        progress.reaches(before.len());
    }
    let stream = connected?;
    let is_session = stream.get_ref().1.alpn_protocol() == Some(HTTP_2.as_bytes());
    Ok((stream, is_session, far.local))
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
    let Far { stream, local, one_flight, .. } = opened;
    let (stream, exit) = ask_hop(hops, last, stream, one_flight, destination).await?;
    Ok(Far { stream, local, exit, one_flight: false })
}

/// Asks hop `at` for what comes after it, and where it leaves from if that is told, over the connection to it, or to the hop before it if it is ssh.
async fn ask_hop(
    hops: &[Arc<Hop>],
    at: usize,
    mut stream: Stream,
    one_flight: bool,
    next: &Destination,
) -> Result<(Stream, Option<SocketAddr>), Failure> {
    if let Upstream::Ssh(ssh) = &hops[at].upstream {
        let stream = match at.checked_sub(1) {
            None => ssh::dial(ssh, next).await?,
            Some(before) => ssh::dial_over(ssh, next, Arc::clone(&hops[before]), stream).await?,
        };
        return Ok((stream, None));
    }
    let mut trial = hops[at].flights.trial(one_flight);
    let mut request = hops[at].request(next, one_flight)?;
    trial.ended(converse(&mut stream, &mut *request).await)?;
    Ok((stream, request.leaves_from()))
}

/// Connects to the first hop, at the address of its name that answers first, and measures the round trip.
pub(super) async fn connect(
    hop: &Hop,
    host: &HopHost,
    port: u16,
    options: &FarOptions,
) -> Result<Far, Failure> {
    let addresses = addresses(hop, host, port).await?;
    let connect = |address| async move {
        let start = Instant::now();
        let bare = Bare::connect(address, options).await.map_err(|error| at(address, error))?;
        Ok((bare, start.elapsed()))
    };
    match happy_eyeballs::first(addresses, connect).await {
        Ok((address, (bare, round_trip))) => {
            let local = bare.local();
            // A hop on this machine is near however busy that is.
            let is_here = local.is_some_and(|local| local.ip() == address.ip());
            hop.measured(address, if is_here { Duration::ZERO } else { round_trip });
            Ok(Far { stream: Stream::Bare(bare), local, exit: None, one_flight: false })
        }
        Err(Some(error)) => Err(unreachable(&error)),
        Err(None) => Err(Failure::UpstreamName(host.to_string())),
    }
}

/// The addresses of a first hop, the one name that is resolved on this machine, in the order in which they are tried.
async fn addresses(hop: &Hop, host: &HopHost, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    match host {
        HopHost::Address(ip) => Ok(vec![SocketAddr::new(*ip, port)]),
        HopHost::Name(name) => match tokio::net::lookup_host((name.as_str(), port)).await {
            Ok(found) => Ok(happy_eyeballs::ordered(found.collect(), hop.health().address)),
            Err(error) => Err(shortage(&error).unwrap_or_else(|| Failure::UpstreamName(name.clone()))),
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
pub(crate) async fn reach_first<'a, T: AsFd>(
    hop: &Hop,
    socket: &'a T,
    first: SocketAddr,
    is_alone: bool,
) -> Result<Bare<BorrowedFd<'a>>, Failure> {
    let start = Instant::now();
    let mut bare = connect_own(socket, first).await.map_err(|error| unreachable(&at(first, error)))?;
    let round_trip = start.elapsed();
    hop.measured(canonical(first), round_trip);
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
        let mut request = hop.request(next, one_flight)?;
        trial.ended(converse(&mut bare, &mut *request).await)?;
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

/// Which of the first hop's addresses the program's socket reaches, in the order in which they are tried; none if its
/// family cannot.
pub(crate) async fn first_addresses(hop: &Hop, facts: &Facts) -> Result<Vec<SocketAddr>, Failure> {
    let Some(proxy) = hop.proxy() else { return Ok(Vec::new()) };
    let found = addresses(hop, &proxy.host, proxy.port).await?;
    Ok(found.into_iter().filter_map(|address| facts.reachable(address)).collect())
}
