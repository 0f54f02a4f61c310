//! The sessions of one chain: which one a connection takes, and who makes it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Request};
use parking_lot::Mutex;
use tokio::sync::watch;
use underpass_core::destination::Destination;
use underpass_core::failure::Failure;
use underpass_core::upstream::Isolation;

use super::muxed::Muxed;
use super::request::{self, Listening};
use super::session::{NotOpened, Session};
use crate::panics::{FAULT, caught};
use crate::relay::listen::request::LOCAL;
use crate::thread;
use crate::upstream::Far;
use crate::upstream::chain::Path;
use crate::upstream::hop::{Client, Hop};
use crate::upstream::path::{self, Progress};
use crate::upstream::stream::Stream;

/// Sessions side by side for one path: where streams are used up, or sessions stall.
const MOST: usize = 8;
/// How many isolated groups there are before those that are not used have to go.
const GROUPS: usize = 256;
/// How often a dial looks for a session, or for one in the place of one that has broken.
const TRIES: usize = 8;
/// How often a session may be cut while it is made, or before it has answered: a relay behind a balancer ends, and
/// it takes the balancer a moment to know.
const CUTS: u32 = 3;
/// How long the first of them is waited out; each further one twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a relay that does not speak HTTP/2 is taken at its word.
const HTTP_1: Duration = Duration::from_secs(600);

/// Who shares a session.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    path: Path,
    program: Option<String>,
    host: Option<String>,
}

/// The way of a connection, to the last relay of its path.
pub(crate) struct Through<'a> {
    pub(crate) path: &'a [usize],
    pub(crate) hops: &'a [Arc<Hop>],
    pub(crate) client: &'a Client,
    /// Where the program wants to go, wherever the hops lead.
    pub(crate) destination: &'a Destination,
    pub(crate) patience: Duration,
}

#[derive(Default)]
struct Group {
    sessions: Vec<Arc<Session>>,
    opening: Option<Opening>,
    /// Its relay has said so then.
    speaks_http_1: Option<Instant>,
}

/// A session that is being made, for everybody who waits for it.
#[derive(Clone)]
struct Opening {
    progress: Arc<Progress>,
    ended: watch::Receiver<Option<Result<(), Failure>>>,
}

/// All sessions of a chain.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<Key, Group>>);

/// A stream, the address that its session leaves from, and what the relay has said with it.
struct Opened {
    stream: Muxed,
    local: Option<SocketAddr>,
    said: HeaderMap,
}

/// What there is for a connection.
enum Found {
    Session(Arc<Session>),
    Opening {
        opening: Opening,
        /// For the one who has asked, that is, and not for another.
        is_ours: bool,
    },
    /// The relay speaks HTTP/1.1.
    Single,
}

impl Sessions {
    /// A connection from the last of the hops to `asked`; `None` if each needs a tunnel of its own there.
    pub(crate) async fn dial(
        sessions: &Arc<Self>,
        through: &Through<'_>,
        asked: &Destination,
        progress: &Progress,
    ) -> Result<Option<Far>, Failure> {
        let request = through.asked(request::connection(asked), progress)?;
        let opened = Self::open(sessions, through, request, progress).await?;
        Ok(opened.map(|Opened { mut stream, local, said }| {
            stream.exits_here = through.hops.first().is_some_and(|hop| hop.is_inside());
            let (exit, stream) = (request::address(&said, LOCAL), Stream::Muxed(Box::new(stream)));
            Far { exit, stream, local, one_flight: false }
        }))
    }

    /// A stream for datagrams between the last of the hops and the destination.
    pub(crate) async fn datagrams(
        sessions: &Arc<Self>,
        through: &Through<'_>,
        progress: &Progress,
    ) -> Result<Muxed, Failure> {
        let relay = through.hops.last().and_then(|hop| hop.destination());
        let relay = relay.ok_or(Failure::Socket("the chain has no hop"))?;
        let request = through.asked(request::datagrams(&relay, through.destination), progress)?;
        let opened = Self::open(sessions, through, request, progress).await?;
        let opened = opened.ok_or(Failure::NoDatagrams("it speaks no HTTP/2, which datagrams need"))?;
        Ok(opened.stream)
    }

    /// A listener at the last of the hops, or, by its id, a connection to one. With it what the relay says.
    pub(crate) async fn listening(
        sessions: &Arc<Self>,
        through: &Through<'_>,
        asked: &Listening,
        progress: &Progress,
    ) -> Result<(Muxed, HeaderMap), Failure> {
        let relay = through.hops.last().and_then(|hop| hop.destination());
        let relay = relay.ok_or(Failure::Socket("the chain has no hop"))?;
        let request = through.asked(request::listening(&relay, asked), progress)?;
        let opened = Self::open(sessions, through, request, progress).await?;
        let opened = opened.ok_or(Failure::Socket("it speaks no HTTP/2, which listeners need"))?;
        Ok((opened.stream, opened.said))
    }

    /// A stream of a session; `None` if there are no sessions.
    async fn open(
        sessions: &Arc<Self>,
        through: &Through<'_>,
        request: Request<()>,
        progress: &Progress,
    ) -> Result<Option<Opened>, Failure> {
        let key = through.key();
        let mut cuts = 0;
        let mut tries = 0;
        while tries < TRIES {
            tries += 1;
            let session = match Self::find(sessions, &key, through)? {
                Found::Session(session) => session,
                Found::Single => return Ok(None),
                Found::Opening { mut opening, is_ours } => {
                    progress.follows(opening.progress);
                    let ended = opening.ended.wait_for(Option::is_some).await;
                    match ended.ok().and_then(|ended| ended.clone()).unwrap_or(Err(Failure::UpstreamClosed)) {
                        Err(Failure::UpstreamClosed) if cuts < CUTS => wait_out(&mut cuts).await,
                        // Whoever began it had less time left.
                        Err(Failure::TimedOut) if !is_ours => tries -= 1,
                        ended => ended?,
                    }
                    continue;
                }
            };
            progress.asks(through.hops.len() - 1);
            match session.open(request.clone()).await {
                // It was cut together with the answer, and nothing of the program's has been sent.
                Ok(_) if session.has_ended() && cuts < CUTS => wait_out(&mut cuts).await,
                Ok((stream, said)) => return Ok(Some(Opened { stream, local: session.local, said })),
                Err(NotOpened::Failed(Failure::UpstreamClosed)) if session.has_ended() && cuts < CUTS => {
                    wait_out(&mut cuts).await;
                }
                Err(NotOpened::Failed(failure)) => return Err(failure),
                Err(NotOpened::Elsewhere) => tracing::debug!("a session with a relay was of no use"),
            }
        }
        Err(Failure::UpstreamClosed)
    }

    fn find(sessions: &Arc<Self>, key: &Key, through: &Through<'_>) -> Result<Found, Failure> {
        let mut groups = sessions.0.lock();
        if groups.len() >= GROUPS && !groups.contains_key(key) {
            groups.retain(|_, group| !group.is_unused());
            if groups.len() >= GROUPS {
                return Err(Failure::Socket("as many programs or hosts are kept apart as can be"));
            }
        }
        let group = groups.entry(key.clone()).or_default();
        group.sessions.retain(|session| !session.has_ended());
        let well = || group.sessions.iter().filter(|session| session.is_well());
        if let Some(session) = well().find(|session| session.has_room()) {
            return Ok(Found::Session(Arc::clone(session)));
        }
        if let Some(opening) = &group.opening {
            return Ok(Found::Opening { opening: opening.clone(), is_ours: false });
        }
        if group.speaks_http_1.is_some_and(|since| since.elapsed() < HTTP_1) {
            return Ok(Found::Single);
        }
        if group.sessions.len() >= MOST
            && let Some(session) = well().min_by_key(|session| session.streams())
        {
            return Ok(Found::Session(Arc::clone(session)));
        }
        let (tell, ended) = watch::channel(None);
        let opening = Opening { progress: Arc::default(), ended };
        group.opening = Some(opening.clone());
        let progress = Arc::clone(&opening.progress);
        let (sessions, key, patience) = (Arc::clone(sessions), key.clone(), through.patience);
        let (hops, client) = (through.hops.to_vec(), through.client.clone());
        // With the connections, and not with the dial: others wait for it, too.
        drop(thread::on_thread(async move {
            let opened = tokio::time::timeout(patience, caught(begin(&hops, &client, &progress))).await;
            let opened = opened.unwrap_or(Ok(Err(Failure::TimedOut))).unwrap_or(Err(FAULT));
            let ended = sessions.opened(&key, opened);
            tell.send_replace(Some(ended));
        }));
        Ok(Found::Opening { opening, is_ours: true })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().values().map(|group| group.sessions.len()).sum()
    }

    fn opened(&self, key: &Key, opened: Result<Option<Session>, Failure>) -> Result<(), Failure> {
        let mut groups = self.0.lock();
        let group = groups.entry(key.clone()).or_default();
        group.opening = None;
        match opened? {
            Some(session) => {
                group.speaks_http_1 = None;
                group.sessions.push(Arc::new(session));
            }
            None => group.speaks_http_1 = Some(Instant::now()),
        }
        Ok(())
    }
}

async fn wait_out(cuts: &mut u32) {
    tokio::time::sleep(PAUSE * 2u32.pow(*cuts)).await;
    *cuts += 1;
}

impl Group {
    fn is_unused(&self) -> bool {
        self.opening.is_none() && self.sessions.iter().all(|session| session.streams() == 0)
    }
}

/// Whether the last of the hops, a relay, lets us in.
pub(crate) async fn check(hops: &[Arc<Hop>]) -> Result<(), Failure> {
    let (client, progress) = <(Client, Progress)>::default();
    match path::answering(|| begin(hops, &client, &progress)).await? {
        Some(session) => session.proven().await,
        // In HTTP/1.1 it has nothing to say before it is asked.
        None => Ok(()),
    }
}

/// A session, or nothing if the relay speaks HTTP/1.1 alone.
async fn begin(hops: &[Arc<Hop>], client: &Client, progress: &Progress) -> Result<Option<Session>, Failure> {
    let (stream, is_session, local) = path::open_session(hops, client, progress).await?;
    if !is_session {
        return Ok(None);
    }
    Session::begin(stream, local).await.map(Some)
}

impl Through<'_> {
    /// What the last of the hops is to be asked: where it cannot even be, no hop before it has to do with that.
    fn asked<T>(&self, request: Result<T, Failure>, progress: &Progress) -> Result<T, Failure> {
        request.inspect_err(|_| progress.asks(self.hops.len() - 1))
    }

    fn key(&self) -> Key {
        let apart = |by: Isolation, what: &Option<String>| {
            let is_apart = self.hops.iter().any(|hop| hop.isolation() == by);
            is_apart.then(|| what.clone().unwrap_or_default())
        };
        let program = apart(Isolation::Program, &self.client.program);
        let host = apart(Isolation::Destination, &self.client.host);
        Key { path: self.path.to_vec(), program, host }
    }
}
