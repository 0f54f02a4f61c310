//! HTTP/2: each connection is a stream (RFC 9113 section 8.5).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::{Connection, SendResponse};
use h2::{Ping, PingPong, Reason, RecvStream};
use http::header::{HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION};
use http::{HeaderName, Method, Response, StatusCode};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::copy::stream::{SEND_BUFFER, carry};
use super::idle_talk::{Counting, TooMany};
use super::listen::request::{ACCEPT, Id, LISTEN};
use super::memory::Part;
use super::policy::client::Client;
use super::policy::limits::Over;
use super::refusal::Refusal;
use super::request::Request;
use super::rooms::ANSWERS;
use super::sessions::Session;
use super::visitor::Visitor;
use super::window::{self, Meter, Window};
use super::{Far, Opened, Relay, Tls, listen, open, token, udp};
use crate::watched::Watched;

/// The largest frame that is taken: full records of TLS, and few calls.
const FRAME: u32 = 128 * 1024;
/// The longest list of headers, as `SETTINGS_MAX_HEADER_LIST_SIZE` counts (RFC 9113 section 6.5.2).
const HEADERS: u32 = 16 * 1024;
/// Streams of one connection at once, whatever the client's limit is.
const STREAMS: u32 = 16_384;
/// What small frames may cost beside their bytes.
const FRAME_BUDGET: usize = 4 << 20;
/// Streams that were reset before they were looked at, or while they were (CVE-2023-44487).
const RESETS: usize = 128;
/// A connection on which nothing comes is asked whether it is still there.
const QUIET: Duration = Duration::from_secs(30);
/// And has so long for an answer.
const ANSWER: Duration = Duration::from_secs(30);
/// How long after its first seconds a connection without a key may take to show a token.
const STRANGER: Duration = Duration::from_secs(20);
/// A connection without a stream is ended after this.
const IDLE: Duration = Duration::from_secs(600);

/// Serves one connection. Its preface has to be there at `until`.
pub(crate) async fn serve(relay: &Arc<Relay>, tls: Tls, visitor: Visitor, until: Instant) {
    let session = match visitor.pin().map(|pin| relay.known.by_key(&pin, SystemTime::now())) {
        Some(Some(client)) => match visitor.session(relay, &client) {
            None => return,
            session => session,
        },
        Some(None) => return,
        // Whoever has no key is counted by the token, once it is there.
        None => None,
    };
    let _connected = relay.memory.connected();
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(window::FIRST)
        .initial_connection_window_size(relay.memory.window())
        .max_frame_size(FRAME)
        .max_header_list_size(HEADERS)
        .max_concurrent_streams(STREAMS)
        .max_concurrent_reset_streams(RESETS)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(Some(RESETS))
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(FRAME_BUDGET);
    if relay.judge.read().udp || !relay.exposing.read().is_empty() {
        builder.enable_connect_protocol();
    }
    let (counting, too_many) = Counting::new();
    let Ok(Ok(mut connection)) = timeout_at(until, builder.handshake(Watched::new(tls, counting))).await
    else {
        return;
    };
    let Some(ping) = connection.ping_pong() else { return };
    let (visitor, until, session) = (Arc::new(visitor), until + STRANGER, Mutex::new(session));
    let served = Served { relay, visitor, meter: Arc::default(), until, session };
    if let Err(error) = served.run(&mut connection, ping, &too_many).await {
        tracing::debug!(%error, "a connection of HTTP/2 has ended");
    }
}

struct Served<'a> {
    relay: &'a Arc<Relay>,
    visitor: Arc<Visitor>,
    meter: Arc<Meter>,
    /// When nobody waits any longer for a stranger's token.
    until: Instant,
    /// Counted since it is known whose it is.
    session: Mutex<Option<Session>>,
}

impl Served<'_> {
    async fn run(
        &self,
        connection: &mut Connection<Watched<Tls, Counting>, Part>,
        mut ping: PingPong,
        too_many: &TooMany,
    ) -> Result<(), h2::Error> {
        let mut is_calmed = false;
        connection.set_target_window_size(self.relay.memory.window());
        let mut window = Window::new(&self.meter);
        // The size that the client was told last, and after how many answers what it leaves is told anew.
        let (mut told, mut untold) = (window::FIRST, 0);
        let mut heard = Instant::now();
        let mut used = Instant::now();
        // Set while a measurement waits for its time.
        let mut due: Option<Instant> = None;
        let leaves = self.relay.leaves();
        tokio::pin!(leaves);
        let mut is_leaving = false;
        loop {
            let stranger = self.visitor.is_stranger();
            let alarm = match window.is_waiting() {
                _ if stranger => self.until,
                Some(sent) => Instant::from_std(sent) + ANSWER,
                None => due.unwrap_or(heard + QUIET),
            };
            tokio::select! {
                biased;
                request = connection.accept() => match request {
                    Some(request) => {
                        (heard, used) = (Instant::now(), Instant::now());
                        let is_one_too_many = !self.begin(request?);
                        if is_one_too_many || self.visitor.is_tiresome() {
                            match stranger && !is_one_too_many {
                                true => connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM),
                                // What it has open already goes on.
                                false => connection.graceful_shutdown(),
                            }
                        }
                    }
                    None => return Ok(()),
                },
                () = too_many.wait(), if !is_calmed => {
                    is_calmed = true;
                    connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                }
                () = &mut leaves, if !is_leaving => {
                    is_leaving = true;
                    // What has come by the time that the client hears of it is served (RFC 9113 section 6.8).
                    connection.graceful_shutdown();
                }
                pong = std::future::poll_fn(|cx| ping.poll_pong(cx)) => {
                    pong?;
                    heard = Instant::now();
                    // All of them together leave half of the connection's window to what comes new.
                    let share = self.relay.share() / 2;
                    if untold > 0 {
                        untold -= 1;
                        self.meter.rooms.tell();
                    }
                    // One that still waits for the client's word is followed by the next.
                    if let Some(size) = window.answered(&self.meter, share, heard.into_std())
                        && connection.set_initial_window_size(size).is_ok()
                    {
                        if size < told {
                            untold = ANSWERS;
                        }
                        told = size;
                    }
                    if untold > 0 {
                        due = Some(Instant::from_std(window.due(std::time::Instant::now())));
                    }
                }
                // The window of a connection is out of the way of its streams, as far as there is memory.
                () = self.relay.memory.changed() => {
                    connection.set_target_window_size(self.relay.memory.window());
                }
                () = self.meter.is_worth(), if window.is_waiting().is_none() && due.is_none() => {
                    due = Some(Instant::from_std(window.due(std::time::Instant::now())));
                }
                () = sleep_until(alarm) => {
                    let now = Instant::now();
                    if self.visitor.is_stranger() || window.is_waiting().is_some() {
                        // It has gone without a word, or has never said the one that was wanted.
                        connection.abrupt_shutdown(Reason::NO_ERROR);
                        return Ok(());
                    }
                    if connection.has_streams() {
                        used = now;
                    } else if now - used >= IDLE {
                        connection.graceful_shutdown();
                    }
                    due = None;
                    ping.send_ping(Ping::opaque())?;
                    window.pinged(now.into_std());
                }
            }
        }
    }

    /// Answers a request. Whether its client may have this session.
    fn begin(&self, (request, respond): (http::Request<RecvStream>, SendResponse<Part>)) -> bool {
        let relay = Arc::clone(self.relay);
        let meter = Arc::clone(&self.meter);
        let mut values = request.headers().get_all(PROXY_AUTHORIZATION).iter();
        let value = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
        let client = self.visitor.client(&relay, value).and_then(|client| self.counted(client));
        let is_one_too_many = client.as_ref().is_err_and(|refusal| *refusal == Over::Sessions.into());
        let visitor = Arc::clone(&self.visitor);
        tokio::spawn(async move { one(&relay, client, &visitor, request, respond, &meter).await });
        !is_one_too_many
    }

    fn counted(&self, client: Arc<Client>) -> Result<Arc<Client>, Refusal> {
        let mut session = self.session.lock();
        if session.is_none() {
            *session = self.visitor.session(self.relay, &client);
        }
        session.is_some().then_some(client).ok_or_else(|| Over::Sessions.into())
    }
}

async fn one(
    relay: &Arc<Relay>,
    client: Result<Arc<Client>, Refusal>,
    visitor: &Visitor,
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Part>,
    meter: &Meter,
) {
    let name = client.as_ref().ok().map(|client| Arc::clone(&client.name));
    let opened = {
        // Apart from the task, which lives on without it: an idle stream is small.
        let answer = Box::pin(answer(relay, client, visitor, &request));
        tokio::select! {
            opened = answer => opened,
            // Nobody waits for it any more.
            _ = std::future::poll_fn(|cx| respond.poll_reset(cx)) => return,
        }
    };
    let mut accept = Response::new(());
    match opened {
        Ok(Opened { far: Far::Stream(far), ticket }) => {
            if name.is_some_and(|name| relay.may_listen(&name)) {
                put(&mut accept, listen::request::LOCAL, far.local().map(|local| local.to_string()));
            }
            let Ok(send) = respond.send_response(accept, false) else { return };
            let ended = carry(request.into_body(), send, far, &ticket, meter).await;
            ticket.ended(ended);
        }
        Ok(Opened { far: Far::Datagrams(socket), ticket }) => {
            let capsules = HeaderName::from_static("capsule-protocol");
            accept.headers_mut().insert(capsules, HeaderValue::from_static("?1"));
            let Ok(send) = respond.send_response(accept, false) else { return };
            let stream = udp::OfStream::new(request.into_body(), send, &meter.rooms);
            Box::pin(udp::carry(socket, ticket, stream)).await;
        }
        Ok(Opened { far: Far::Listener(listener), ticket }) => {
            put(&mut accept, listen::request::BOUND, Some(listener.bound().to_string()));
            put(&mut accept, listen::request::RESUME, listener.token().map(|token| token.to_string()));
            match respond.send_response(accept, false) {
                Ok(send) => {
                    Box::pin(listen::serve(relay, *listener, ticket, request.into_body(), send)).await;
                }
                Err(_) => Box::pin(listen::unanswered(relay, *listener, ticket)).await,
            }
        }
        Err(refusal) => {
            visitor.was_refused(&refusal);
            refuse(relay, &mut respond, &refusal);
        }
    }
}

async fn answer(
    relay: &Arc<Relay>,
    client: Result<Arc<Client>, Refusal>,
    visitor: &Visitor,
    request: &http::Request<RecvStream>,
) -> Result<Opened, Refusal> {
    let client = client?;
    let path = request.uri().path();
    let asked = match request.extensions().get::<Protocol>().map(Protocol::as_str) {
        _ if request.method() != Method::CONNECT => return Err(Refusal::not_served()),
        None => request.uri().authority().and_then(|authority| Request::authority(authority.as_str())),
        Some("connect-udp") => Request::udp(path),
        Some(LISTEN) => {
            let wish = listen::request::wish(path).ok_or_else(Refusal::nowhere)?;
            let token = request.headers().get(listen::request::RESUME);
            let token = token.map(|value| value.to_str().ok().and_then(Id::parse));
            let token = token.map(|token| token.ok_or_else(Refusal::no_listener)).transpose()?;
            let (listener, ticket) = listen::open(relay, &client, visitor.neighbour, wish, token).await?;
            return Ok(Opened { far: Far::Listener(Box::new(listener)), ticket });
        }
        Some(ACCEPT) => {
            let id = listen::request::taken(path).ok_or_else(Refusal::nowhere)?;
            let (far, ticket) = listen::take(relay, &client, visitor.neighbour, id)?;
            return Ok(Opened { far: Far::Stream(far), ticket });
        }
        Some(_) => return Err(Refusal::not_served()),
    };
    open(relay, &client, visitor, &asked.ok_or_else(Refusal::nowhere)?).await
}

/// A header that says what is known.
fn put(response: &mut Response<()>, name: &'static str, value: Option<String>) {
    if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}

fn refuse(relay: &Relay, respond: &mut SendResponse<Part>, refusal: &Refusal) {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::try_from(refusal.proxy_status(&relay.name)) {
        headers.insert(HeaderName::from_static("proxy-status"), value);
    }
    let challenged = refusal.status == 407;
    if challenged {
        for challenge in token::CHALLENGES {
            headers.append(PROXY_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
    }
    if let Ok(mut send) = respond.send_response(response, !challenged)
        && challenged
    {
        let _ = send.send_data(Part::of(Bytes::from_static(token::BODY.as_bytes())), true);
    }
}
