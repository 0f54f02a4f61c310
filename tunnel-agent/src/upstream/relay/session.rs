//! One HTTP/2 session with the last relay of a path: each connection is a stream of it.
//!
//! A task of its own drives it, asks for a sign of life from time to time, and sets the size of windows by what
//! comes. It ends with the session: when the relay is gone, when nobody has used it for a while, or when nobody
//! holds it any more and its last stream has ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::ext::Protocol;
use h2::{Ping, PingPong};
use http::{HeaderMap, Request, StatusCode};
use underpass_core::failure::Failure;

use super::muxed::Muxed;
use super::noting::Noting;
use super::vitals::{OLD, State, Vitals};
use super::window::{self, Window};
use crate::relay::rooms::ANSWERS;
use crate::upstream::http::told;
use crate::upstream::stream::Duplex;
use crate::watched::Watched;

/// Streams have windows of their own; that of the connection must not let those who do not read hold up the
/// others.
const CONNECTION_WINDOW: u32 = 1 << 30;
/// Whole records of TLS, and few calls. Nothing of a frame is passed on before all of it has come.
const FRAME: u32 = 128 << 10;
/// What a stream may have written that the connection has not taken.
const SEND_BUFFER: usize = 512 << 10;
/// A head of an answer is no longer.
const MAX_HEADERS: u32 = 64 << 10;
/// How often a session is asked for a sign of life where nothing else calls for it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Pings that measure come at most so often.
const MEASURE: Duration = Duration::from_millis(5);
/// A session that takes longer to answer is not used for what comes new.
const STALL: Duration = Duration::from_secs(2);
/// One that takes this long is given up, and its streams are reset.
const DEAD: Duration = Duration::from_secs(30);
/// How long one that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(300);

const NO_LISTENERS: Failure = Failure::Socket("it lets none of its clients listen ([[expose]])");
const NOT_ALLOWED: &str = "it carries no datagrams for its clients (allow-udp)";

/// A session.
pub(crate) struct Session {
    sender: SendRequest<Bytes>,
    vitals: Arc<Vitals>,
    /// The address that it leaves this machine from.
    pub(super) local: Option<SocketAddr>,
}

/// Why a stream has not been opened.
pub(super) enum NotOpened {
    /// What the relay says, or how it has failed.
    Failed(Failure),
    /// The session is of no use any more: another one may be.
    Elsewhere,
}

impl Session {
    /// Makes one over `io`, and leaves it to its task.
    pub(super) async fn begin(io: impl Duplex + 'static, local: Option<SocketAddr>) -> Result<Self, Failure> {
        let mut builder = Builder::new();
        builder
            .initial_window_size(window::FIRST)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(MAX_HEADERS)
            .enable_push(false);
        let vitals = Arc::new(Vitals::new());
        let io = Watched::new(io, Noting(Arc::clone(&vitals)));
        let (sender, mut connection) = builder.handshake(io).await.map_err(|error| failure(&error))?;
        if let Some(pings) = connection.ping_pong() {
            tokio::spawn(Task::new(connection, pings, Arc::clone(&vitals)).run());
        }
        Ok(Self { sender, vitals, local })
    }

    /// Whether a new connection is well served by it.
    pub(super) fn is_well(&self) -> bool {
        self.vitals.is_well()
    }

    /// Waits until it is known whether the relay serves us.
    pub(super) async fn proven(&self) -> Result<(), Failure> {
        match self.vitals.known().await {
            State::Ended => Err(self.vitals.failure()),
            _ => Ok(()),
        }
    }

    /// Whether it is of no use to anybody.
    pub(super) fn has_ended(&self) -> bool {
        self.vitals.state() == State::Ended
    }

    pub(super) fn streams(&self) -> usize {
        self.vitals.streams()
    }

    /// Whether the relay lets it have another stream.
    pub(super) fn has_room(&self) -> bool {
        self.streams() < self.sender.current_max_send_streams()
    }

    /// Asks for a stream, and gives what the relay says with it.
    pub(super) async fn open(&self, request: Request<()>) -> Result<(Muxed, HeaderMap), NotOpened> {
        let asked = self.ask(request);
        tokio::pin!(asked);
        loop {
            self.vitals.nudge();
            tokio::select! {
                biased;
                opened = &mut asked => return opened,
                state = self.vitals.unwell() => return Err(self.given_up(state)),
                // The last sign of life may have been just before the line went dead.
                () = tokio::time::sleep(OLD) => {}
            }
        }
    }

    async fn ask(&self, request: Request<()>) -> Result<(Muxed, HeaderMap), NotOpened> {
        let listens = request.extensions().get::<Protocol>().is_some_and(|it| it.as_str() != "connect-udp");
        if let Some(protocol) = request.extensions().get::<Protocol>() {
            let is_udp = protocol.as_str() == "connect-udp";
            // Nobody asks so before the relay has said that it knows the protocol (RFC 8441 section 3), and by now
            // it has said all that it says by itself.
            if self.vitals.known().await == State::Ended {
                return Err(self.given_up(State::Ended));
            }
            if !self.sender.is_extended_connect_protocol_enabled() {
                let why = if is_udp { Failure::NoDatagrams(NOT_ALLOWED) } else { NO_LISTENERS };
                return Err(NotOpened::Failed(why));
            }
        }
        let mut sender = self.sender.clone().ready().await.map_err(|error| self.broken(&error))?;
        let (answer, send) = sender.send_request(request, false).map_err(|error| self.broken(&error))?;
        // It counts from here: the relay knows of it.
        let stream = super::muxed::Counted::new(Arc::clone(&self.vitals));
        let answer = answer.await.map_err(|error| self.broken(&error))?;
        self.vitals.hears();
        match answer.status() {
            status if status.is_success() => {
                let (head, body) = answer.into_parts();
                Ok((Muxed::new(send, body, stream), head.headers))
            }
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => Err(NotOpened::Failed(Failure::UnknownKey)),
            status => {
                let headers = answer.headers();
                let values = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
                if listens {
                    let why = told::details(values("proxy-status")).unwrap_or_default();
                    return Err(NotOpened::Failed(Failure::NotListening { status: status.as_u16(), why }));
                }
                let told = told::errno(values);
                Err(NotOpened::Failed(Failure::Http { status: status.as_u16(), told }))
            }
        }
    }

    fn given_up(&self, state: State) -> NotOpened {
        match state {
            State::Ended if !self.vitals.has_heard() => NotOpened::Failed(self.vitals.failure()),
            _ => NotOpened::Elsewhere,
        }
    }

    /// A stream's error, or that of the session.
    fn broken(&self, error: &h2::Error) -> NotOpened {
        let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM);
        if error.is_reset() && error.is_remote() && !refused {
            // The relay has taken the request, and has ended it.
            return NotOpened::Failed(Failure::UpstreamClosed);
        }
        if !refused {
            self.vitals.ends(Some(failure(error)));
        }
        if self.vitals.has_heard() { NotOpened::Elsewhere } else { NotOpened::Failed(self.vitals.failure()) }
    }
}

/// What ended a session, as far as HTTP/2 knows.
fn failure(error: &h2::Error) -> Failure {
    match error.get_io() {
        Some(_) => Failure::UpstreamClosed,
        None if error.is_go_away() || error.is_reset() => Failure::UpstreamClosed,
        None => Failure::Protocol("it does not speak HTTP/2 as it has promised"),
    }
}

/// What drives a session.
struct Task<T> {
    connection: Connection<T, Bytes>,
    pings: PingPong,
    vitals: Arc<Vitals>,
    window: Window,
    /// The size that waits for the relay to have taken the one before.
    wanted: Option<u32>,
    /// The one that it was told last, and after how many more answers to pings what it leaves is told anew.
    told: u32,
    untold: u8,
    /// When the ping that is under way was sent, and what had come by then.
    asked: Option<(Instant, u64)>,
    /// When one was answered last, and what had come by then.
    answered: (Instant, u64),
    used: Instant,
}

impl<T: Duplex> Task<T> {
    fn new(connection: Connection<T, Bytes>, pings: PingPong, vitals: Arc<Vitals>) -> Self {
        let now = Instant::now();
        let window = Window::new(now);
        Self {
            connection,
            pings,
            vitals,
            window,
            wanted: None,
            told: window::FIRST,
            untold: 0,
            asked: None,
            answered: (now, 0),
            used: now,
        }
    }

    async fn run(mut self) {
        self.ping();
        let vitals = Arc::clone(&self.vitals);
        loop {
            let due = tokio::time::Instant::from_std(self.due());
            let is_asked = self.asked.is_some();
            tokio::select! {
                biased;
                ended = &mut self.connection => {
                    let failure = ended.as_ref().err().map(failure);
                    tracing::debug!(?failure, "a session with a relay has ended");
                    return vitals.ends(failure);
                }
                pong = std::future::poll_fn(|cx| self.pings.poll_pong(cx)), if is_asked => match pong {
                    Ok(_) => self.pong(),
                    Err(error) => return vitals.ends(Some(failure(&error))),
                },
                () = vitals.poke.notified(), if !is_asked => if self.answered.0.elapsed() >= MEASURE {
                    self.ping();
                },
                () = tokio::time::sleep_until(due) => if self.is_over() {
                    return vitals.ends(Some(Failure::TimedOut));
                },
            }
        }
    }

    /// When there is something to do if nothing happens.
    fn due(&self) -> Instant {
        match self.asked {
            Some((since, _)) if self.vitals.state() == State::Well => since + self.patience(),
            Some((since, _)) => since + DEAD,
            None if self.is_busy() || self.untold > 0 => self.answered.0 + MEASURE,
            None => self.answered.0 + KEEP_ALIVE,
        }
    }

    /// How long an answer may take that is neither the first nor the last.
    fn patience(&self) -> Duration {
        STALL.max(self.window.shortest() * 4).min(DEAD)
    }

    /// Whether something has come since the last measurement: an idle session is measured seldom.
    fn is_busy(&self) -> bool {
        self.vitals.received() != self.answered.1
    }

    /// Does what is due. Whether that was the end.
    fn is_over(&mut self) -> bool {
        let now = Instant::now();
        if let Some((since, _)) = self.asked {
            let silent = now.duration_since(since);
            if self.vitals.state() == State::Well && silent >= self.patience() {
                self.vitals.becomes(State::Stalled);
            }
            return silent >= DEAD;
        }
        if self.vitals.streams() > 0 {
            self.used = now;
        }
        if now.duration_since(self.used) >= IDLE {
            return true;
        }
        self.ping();
        false
    }

    fn ping(&mut self) {
        if self.asked.is_none() && self.pings.send_ping(Ping::opaque()).is_ok() {
            self.asked = Some((Instant::now(), self.vitals.received()));
        }
    }

    fn pong(&mut self) {
        let Some((since, before)) = self.asked.take() else { return };
        let (now, received) = (Instant::now(), self.vitals.received());
        self.answered = (now, received);
        self.vitals.answers();
        self.vitals.becomes(State::Well);
        if self.untold > 0 {
            self.untold -= 1;
            self.vitals.rooms.tell();
        }
        let streams = self.vitals.streams();
        if let Some(size) = self.window.measured(now.duration_since(since), received - before, streams, now) {
            self.wanted = Some(size);
        }
        if let Some(size) = self.wanted
            && self.connection.set_initial_window_size(size).is_ok()
        {
            self.wanted = None;
            if size < self.told {
                self.untold = ANSWERS;
            }
            self.told = size;
        }
    }
}
