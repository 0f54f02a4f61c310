//! The relay: our encrypted hop, a standard HTTPS proxy that serves those whose key it knows.
//!
//! # The path of one CONNECT
//!
//! 1. [`accept`]: a connection comes; it has some seconds for its handshake and its first request.
//! 2. [`identify`]: TLS 1.3. A key that is not known ends it with an alert, before a word of HTTP is said.
//! 3. [`http1`] or [`http2`], as ALPN says: the request is read ([`head`], [`request`]). Where tokens are known, whoever has
//!    shown no key shows one ([`token`], [`visitor`]). [`sessions`] and [`idle_talk`] bound what HTTP/2 may cost beside
//!    its streams.
//! 4. [`connect`]: the client may have one more stream, may have the name looked up ([`resolve`]), and may connect to
//!    an address that comes of it ([`policy`]); that address is dialled. [`refusal`] is a no.
//! 5. [`copy`]: bytes, until both ends have ended or one is cut. [`window`], [`rooms`] and [`memory`]: how much may be on
//!    its way.
//!    Datagrams are carried by [`udp`], as [`capsule`]s.
//!    What comes the other way, to a client that listens here, is of [`listen`].
//! 6. [`ticket`]: what was used is paid for and written down.
//!
//! [`run`] is the program around it, [`reached`] where it listens; [`numbers`]: what it tells of itself; [`ahead`] reads for TLS. [`inside`]: those that `local:` is made of.

mod accept;
pub(crate) mod ahead;
pub(crate) mod buffers;
pub(crate) mod capsule;
mod connect;
mod copy;
mod head;
mod http1;
mod http2;
mod identify;
mod idle_talk;
pub(crate) mod inside;
pub(crate) mod listen;
pub(crate) mod memory;
mod numbers;
pub(crate) mod policy;
mod reached;
mod refusal;
mod request;
mod resolve;
pub(crate) mod rooms;
pub(crate) mod run;
mod sessions;
mod ticket;
mod token;
mod udp;
mod visitor;
mod window;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, RwLock};
use tokio::net::UdpSocket;
use tokio::sync::watch;

use crate::tally::clients::Usage;
use crate::tls::pin::Pin;
use crate::upstream::stream::Bare;
use ahead::Ahead;
use inside::Beyond;
use listen::Listeners;
use memory::Memory;
use policy::accounts::Accounts;
use policy::audit::Log;
use policy::client::{Client, Clients};
use policy::exposing::Exposing;
use policy::judge::Judge;
use policy::rules::Protocol;
use refusal::Refusal;
use request::Request;
use resolve::LookUps;
use sessions::Sessions;
use ticket::Ticket;
use visitor::Visitor;

/// A client's connection.
pub(crate) type Tls = tokio_rustls::server::TlsStream<Ahead>;

/// What all connections of one relay share.
pub(crate) struct Relay {
    /// As it calls itself in `Proxy-Status`.
    pub(crate) name: String,
    pub(crate) known: Arc<Known>,
    pub(crate) judge: RwLock<Judge>,
    pub(crate) accounts: Mutex<Accounts>,
    /// `None` where nothing is written down.
    pub(crate) log: Mutex<Option<Log>>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) look_ups: LookUps,
    pub(crate) sessions: Sessions,
    /// What metrics tell.
    pub(crate) usage: Usage,
    pub(crate) listeners: Arc<Listeners>,
    /// Who may listen here.
    pub(crate) exposing: RwLock<Vec<Exposing>>,
    pub(crate) beyond: Beyond,
    /// Datagrams that nobody sends any more end after this.
    pub(crate) udp_idle: Duration,
    pub(crate) ending: AtomicBool,
    /// Nothing new comes any more, and clients are to go elsewhere.
    pub(crate) leaving: watch::Sender<bool>,
}

/// Whom a relay serves.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) keys: RwLock<Clients>,
    pub(crate) tokens: RwLock<Clients>,
    /// Whoever asks, where that is configured.
    pub(crate) anonymous: Option<Arc<Client>>,
}

impl Known {
    fn by_key(&self, pin: &Pin, now: SystemTime) -> Option<Arc<Client>> {
        match &self.anonymous {
            Some(anybody) => Some(Arc::clone(anybody)),
            None => self.keys.read().get(&pin.0, now).cloned(),
        }
    }

    fn by_token(&self, token: &[u8], now: SystemTime) -> Option<Arc<Client>> {
        self.tokens.read().get(&Pin::of_key(token).0, now).cloned()
    }

    /// Whether nobody is spoken to who shows no key.
    fn needs_key(&self) -> bool {
        self.anonymous.is_none() && self.tokens.read().is_empty()
    }
}

impl Relay {
    /// What memory has for each stream that is open.
    fn share(&self) -> u64 {
        self.memory.share(self.accounts.lock().streams())
    }

    /// Waits until clients are to go elsewhere.
    async fn leaves(&self) {
        // The sender is ours.
        let _ = self.leaving.subscribe().wait_for(|leaving| *leaving).await;
    }

    /// Whether a rule lets the client listen somewhere.
    fn may_listen(&self, client: &str) -> bool {
        self.exposing.read().iter().any(|rule| rule.is_for_client(client))
    }
}

/// What a request has come to.
struct Opened {
    far: Far,
    ticket: Ticket,
}

/// What is carried for it.
enum Far {
    Stream(Bare<OwnedFd>),
    Datagrams(UdpSocket),
    Listener(Box<listen::Listener>),
}

/// Judges a request of somebody who is known, and reaches its destination.
async fn open(
    relay: &Arc<Relay>,
    client: &Arc<Client>,
    visitor: &Visitor,
    request: &Request,
) -> Result<Opened, Refusal> {
    let mut ticket = Ticket::new(relay, client, visitor.neighbour, request)?;
    let reached = match request.protocol {
        Protocol::Tcp => connect::reach(relay, client, request, &mut ticket).await.map(Far::Stream),
        Protocol::Udp => udp::reach(relay, client, request, &mut ticket).await.map(Far::Datagrams),
    };
    match reached {
        Ok(far) => Ok(Opened { far, ticket }),
        Err(refusal) => {
            ticket.refused(&refusal);
            Err(refusal)
        }
    }
}
