//! Relays inside the agent, which `local:` is made of: two in a row, connected by pipes, with keys that no file
//! holds. The first reaches nothing but the second; the second, nothing that its user could not reach.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::{Mutex, RwLock};
use tokio_rustls::TlsAcceptor;
use underpass_core::destination::Destination;
use underpass_core::failure::Failure;

use super::memory::Memory;
use super::policy::accounts::Accounts;
use super::policy::client::Clients;
use super::policy::host::Host;
use super::policy::judge::Judge;
use super::policy::keys;
use super::policy::limits::Limits;
use super::policy::settings::limits::UDP_IDLE;
use super::refusal::Refusal;
use super::request::Request;
use super::resolve::LookUps;
use super::sessions::Sessions;
use super::{Known, Relay, accept, identify};
use crate::facts::FarOptions;
use crate::tally::clients::Usage;
use crate::tls::key::Identity;
use crate::tls::pin::Pin;
use crate::upstream::local;
use crate::upstream::stream::{Bare, Stream};

/// What streams of one relay may keep in buffers: enough for as many as there can be, since they have one client.
const MEMORY: u64 = 4 << 30;

/// What lies beyond a relay.
#[derive(Default)]
pub(crate) enum Beyond {
    /// What its rules permit.
    #[default]
    Network,
    /// Another relay inside of this process, whatever it is called.
    Next(Door),
    /// Whatever this machine can reach, and `hello.internal`.
    Here,
}

/// A relay inside of this process.
pub(crate) struct Door {
    relay: Arc<Relay>,
    acceptor: TlsAcceptor,
}

impl Door {
    /// A relay with this key for the one client with that.
    pub(crate) fn new(identity: &Identity, client: &Pin, beyond: Beyond) -> Result<Self, String> {
        let mut clients = Clients::default();
        let line = format!("{client} local\n");
        keys::read(&mut clients, &Clients::default(), &line, "local:", Limits::default())
            .map_err(|error| error.to_string())?;
        let known = Arc::new(Known { keys: RwLock::new(clients), ..Known::default() });
        let config = identify::configuration(identity, &known).map_err(|error| error.to_string())?;
        let relay = Arc::new(Relay {
            name: "local".to_owned(),
            known,
            judge: RwLock::new(Judge::default()),
            accounts: Mutex::new(Accounts::new(None)),
            log: Mutex::new(None),
            memory: Arc::new(Memory::new(MEMORY)),
            look_ups: LookUps::default(),
            listeners: Arc::default(),
            exposing: RwLock::default(),
            sessions: Sessions::default(),
            usage: Usage::default(),
            ending: AtomicBool::new(false),
            leaving: tokio::sync::watch::Sender::new(false),
            beyond,
            udp_idle: UDP_IDLE,
        });
        Ok(Self { relay, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Our end of a connection to it.
    pub(crate) fn open(&self) -> io::Result<Bare<OwnedFd>> {
        let (ours, its) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        its.set_nonblocking(true)?;
        let (ours, its) = (Bare::new(OwnedFd::from(ours))?, Bare::new(OwnedFd::from(its))?);
        let (relay, acceptor) = (Arc::clone(&self.relay), self.acceptor.clone());
        tokio::spawn(async move { accept::serve_inside(&relay, &acceptor, its).await });
        Ok(ours)
    }
}

impl Beyond {
    /// A connection to what was asked for; `None` where the rules have to be asked.
    pub(super) async fn reach(&self, request: &Request) -> Option<Result<Bare<OwnedFd>, Refusal>> {
        match self {
            Self::Network => None,
            Self::Next(door) => Some(door.open().map_err(|error| Refusal::dial(&error))),
            Self::Here => Some(here(request).await),
        }
    }
}

async fn here(request: &Request) -> Result<Bare<OwnedFd>, Refusal> {
    let destination = match &request.host {
        Host::Address(ip) => Destination::Address((*ip, request.port).into()),
        Host::Name(name) => Destination::Name { host: name.to_string(), port: request.port },
    };
    match local::dial(&destination, &FarOptions::default()).await {
        Ok(far) => match far.stream {
            Stream::Bare(bare) => Ok(bare),
            _ => Err(Refusal::timed_out()),
        },
        Err(Failure::Dial(errno)) => Err(Refusal::dial(&io::Error::from_raw_os_error(errno))),
        Err(_) => Err(Refusal::new(502, "dns_error", "the name does not resolve here")),
    }
}
