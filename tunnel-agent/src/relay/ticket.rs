//! One request, from the moment when it counts to its end: what it may use, what it has used, and what is written
//! down of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::Relay;
use super::copy::Ended;
use super::memory::LEAST;
use super::policy::accounts::Stream;
use super::policy::audit::Decision;
use super::policy::client::Client;
use super::policy::host::Host;
use super::policy::judge::{self, Permitted};
use super::policy::limits::Over;
use super::refusal::Refusal;
use super::request::Request;
use crate::tally::clients::Used;

/// What of a client's listener a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listens {
    Listener,
    Connection,
}

/// Counts as an open stream as long as it lives, and is written down at its end.
pub(crate) struct Ticket {
    relay: Arc<Relay>,
    client: Arc<Client>,
    neighbour: Option<IpAddr>,
    request: Request,
    begun: Instant,
    /// `None` if it may not have one more.
    stream: Option<Stream>,
    used: Arc<Used>,
    rule: Option<Arc<str>>,
    address: Option<IpAddr>,
    permitted: bool,
    listens: Option<Listens>,
    silent: bool,
    reason: Option<String>,
    up: AtomicU64,
    down: AtomicU64,
}

impl Ticket {
    /// One more stream of this client, if it may have one.
    pub(crate) fn new(
        relay: &Arc<Relay>,
        client: &Arc<Client>,
        neighbour: Option<IpAddr>,
        request: &Request,
    ) -> Result<Self, Refusal> {
        let begun = Instant::now();
        let opened = match relay.share() < LEAST {
            true => Err(Over::AllStreams),
            false => relay.accounts.lock().open(client, begun),
        };
        let mut ticket = Self {
            relay: Arc::clone(relay),
            client: Arc::clone(client),
            neighbour,
            request: request.clone(),
            begun,
            stream: None,
            used: relay.usage.of(&client.name),
            rule: None,
            address: None,
            permitted: false,
            listens: None,
            silent: false,
            reason: None,
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
        };
        match opened {
            Ok(stream) => {
                ticket.stream = Some(stream);
                ticket.used.opens();
                Ok(ticket)
            }
            Err(over) => {
                match relay.accounts.lock().refused(client, begun) {
                    Some(0) => ticket.reason = Some(over.to_string()),
                    Some(more) => ticket.reason = Some(format!("{over}, as {more} times before")),
                    // Whoever asks again and again does not fill the log.
                    None => ticket.silent = true,
                }
                let refusal = Refusal::from(over);
                ticket.used.refused(refusal.error);
                Err(refusal)
            }
        }
    }

    /// This is dialled next.
    pub(crate) fn permitted(&mut self, permitted: &Permitted) {
        self.permitted = true;
        self.rule = Some(Arc::clone(permitted.rule()));
        self.address = Some(permitted.address().ip());
    }

    /// It is about a listener of the client's.
    pub(crate) fn listens(&mut self, what: Listens) {
        self.listens = Some(what);
    }

    /// The client listens there, or this one has come to it.
    pub(crate) fn exposed(&mut self, rule: &Arc<str>, at: Request) {
        self.permitted = true;
        self.rule = Some(Arc::clone(rule));
        self.request = at;
    }

    /// The judge has denied it; `address` is what the name has turned out to be.
    pub(crate) fn denied(&mut self, refusal: &judge::Refusal, address: Option<IpAddr>) -> Refusal {
        self.rule = refusal.rule.clone();
        self.address = address;
        Refusal::from(refusal)
    }

    /// It has come to nothing.
    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        self.used.refused(refusal.error);
        self.reason = Some(refusal.details.clone().into_owned());
    }

    /// It is over.
    pub(crate) fn ended(mut self, ended: Ended) {
        self.reason = Some(ended.reason().to_owned());
    }

    /// So many bytes have come from the client: how long to wait before more are carried.
    pub(crate) fn up(&self, bytes: usize) -> Result<Duration, Over> {
        self.used.up(bytes);
        self.spend(&self.up, bytes)
    }

    /// So many bytes go to the client: how long to wait before more are carried.
    pub(crate) fn down(&self, bytes: usize) -> Result<Duration, Over> {
        self.used.down(bytes);
        self.spend(&self.down, bytes)
    }

    /// How much of this may be in buffers.
    pub(crate) fn share(&self) -> u64 {
        self.relay.share().max(LEAST)
    }

    /// How long datagrams are waited for.
    pub(crate) fn udp_idle(&self) -> Duration {
        self.relay.udp_idle
    }

    fn spend(&self, way: &AtomicU64, bytes: usize) -> Result<Duration, Over> {
        way.fetch_add(bytes as u64, Ordering::Relaxed);
        match &self.stream {
            Some(stream) => stream.spend(bytes as u64, Instant::now()),
            None => Ok(Duration::ZERO),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.stream.is_some() {
            self.used.closes();
        }
        if self.silent {
            return;
        }
        let given_up = match self.relay.ending.load(Ordering::Relaxed) {
            true => "the relay has ended",
            false => "given up by the client",
        };
        let log = self.relay.log.lock();
        let Some(log) = &*log else { return };
        let (host, named) = match &self.request.host {
            Host::Name(name) => (name.clone(), true),
            Host::Address(ip) => (ip.to_string(), false),
        };
        let decision = Decision {
            client: &self.client,
            host: &host,
            port: self.request.port,
            protocol: self.request.protocol,
            listens: self.listens.map(|what| match what {
                Listens::Listener => "listener",
                Listens::Connection => "connection",
            }),
            address: self.address.filter(|_| named),
            permitted: self.permitted,
            rule: self.rule.as_deref(),
            reason: Some(self.reason.take().unwrap_or_else(|| given_up.to_owned())),
            bytes: (self.up.load(Ordering::Relaxed), self.down.load(Ordering::Relaxed)),
            duration: self.begun.elapsed(),
            neighbour: self.neighbour,
        };
        log.write(&decision, SystemTime::now());
    }
}
