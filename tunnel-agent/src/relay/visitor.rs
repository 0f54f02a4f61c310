//! Whoever is at the other end of a connection, and whom they turn out to be with each request.
//!
//! A key is looked up again for each request: one that has been taken from the file opens nothing more, over
//! whatever connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use super::accept::Waiting;
use super::policy::client::Client;
use super::policy::limits::Over;
use super::refusal::Refusal;
use super::sessions::Session;
use super::{Relay, token};
use crate::tls::pin::Pin;

/// Requests without a good token that one connection may make.
const MOST: u32 = 16;
/// And requests in one second that go beyond the limits of its client.
const MOST_OVER: u32 = 1000;

/// One connection's other end.
pub(crate) struct Visitor {
    /// The key that was shown.
    pin: Option<Pin>,
    /// Where the connection came from: the relay before this one, or the client itself.
    pub(crate) neighbour: Option<IpAddr>,
    /// Counts as somebody who has not said who they are.
    waiting: Mutex<Option<Waiting>>,
    refused: AtomicU32,
    over: Mutex<(Option<Instant>, u32)>,
}

impl Visitor {
    /// Whoever has shown a key is waited for no longer.
    pub(crate) fn new(pin: Option<Pin>, neighbour: Option<IpAddr>, waiting: Waiting) -> Self {
        let waiting = Mutex::new(Some(waiting).filter(|_| pin.is_none()));
        Self { pin, neighbour, waiting, refused: AtomicU32::new(0), over: Mutex::new((None, 0)) }
    }

    /// Whose request this is. `authorization` is what it has in `Proxy-Authorization`.
    pub(crate) fn client(&self, relay: &Relay, authorization: Option<&str>) -> Result<Arc<Client>, Refusal> {
        let known = &relay.known;
        let client = match (&self.pin, &known.anonymous) {
            (_, Some(anybody)) => Some(Arc::clone(anybody)),
            (Some(pin), None) => known.by_key(pin, SystemTime::now()),
            (None, None) => token::client(known, authorization),
        };
        match client {
            Some(client) => {
                *self.waiting.lock() = None;
                Ok(client)
            }
            None => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                if authorization.is_some() {
                    self.has_guessed(relay);
                }
                Err(match self.pin {
                    Some(_) => Refusal::new(403, "http_request_denied", "the key is not known any more"),
                    None => Refusal::unauthorized(),
                })
            }
        }
    }

    /// Guessing is written down, though nothing is judged.
    fn has_guessed(&self, relay: &Relay) {
        relay.usage.stranger();
        let before = relay.accounts.lock().stranger(Instant::now());
        if let Some(before) = before
            && let Some(log) = &*relay.log.lock()
        {
            let why = "a token that is not known";
            log.write_turned_away(None, why, before, self.neighbour, SystemTime::now());
        }
    }

    /// One more session of HTTP/2 for this client, if it may have one; that it may not is written down.
    pub(crate) fn session(&self, relay: &Relay, client: &Client) -> Option<Session> {
        if let session @ Some(_) = relay.sessions.begin(&client.name) {
            return session;
        }
        relay.usage.of(&client.name).refused(Refusal::from(Over::Sessions).error);
        let before = relay.accounts.lock().refused(client, Instant::now());
        if let Some(before) = before
            && let Some(log) = &*relay.log.lock()
        {
            let why = Over::Sessions.to_string();
            log.write_turned_away(Some(client), &why, before, self.neighbour, SystemTime::now());
        }
        None
    }

    /// The key that was shown.
    pub(crate) fn pin(&self) -> Option<Pin> {
        self.pin
    }

    /// Whoever goes on asking for more than they may have is not listened to for ever.
    pub(crate) fn was_refused(&self, refusal: &Refusal) {
        if refusal.error == "connection_limit_reached" {
            let mut over = self.over.lock();
            let now = Instant::now();
            if over.0.is_none_or(|since| now - since >= Duration::from_secs(1)) {
                *over = (Some(now), 0);
            }
            over.1 += 1;
        }
    }

    /// Whether nobody knows yet who this is.
    pub(crate) fn is_stranger(&self) -> bool {
        self.waiting.lock().is_some()
    }

    /// Whether enough has been tried.
    pub(crate) fn is_tiresome(&self) -> bool {
        self.refused.load(Ordering::Relaxed) >= MOST || self.over.lock().1 >= MOST_OVER
    }
}
