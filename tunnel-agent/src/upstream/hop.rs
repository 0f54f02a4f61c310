//! One hop of a chain as the agent knows it: its upstream, how it has fared lately, and what has to be
//! said to it.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use underpass_core::destination::Destination;
use underpass_core::failure::Failure;
use underpass_core::upstream::{
    self, Credentials, HopHost, Isolation, Login, Protocol, Proxy, Trust, Upstream,
};

use super::flights::Flights;
use super::handshake::Handshake;
use super::http::{HttpAuth, HttpConnect};
use super::inside::Inside;
use super::stream::Bare;
use super::{socks4, socks5, tls};
use crate::relay::inside::Door;
use crate::tls::key::{Identity, certificate_path};
use crate::tls::pin::Pin;

/// How long a hop that has failed is passed over, the first time; each further failure doubles it.
const BACK_OFF: Duration = Duration::from_secs(5);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);

/// ALPN (RFC 7301).
const HTTP_1: &str = "http/1.1";
pub(super) const HTTP_2: &str = "h2";

/// A hop.
pub(crate) struct Hop {
    pub(crate) upstream: Upstream,
    http: Arc<HttpAuth>,
    tls: Option<tls::Connector>,
    /// The same for sessions, where the hop is a relay.
    sessions: Option<tls::Connector>,
    /// The relay, if it is inside of this process.
    door: Option<Door>,
    /// The relays that `local:` is made of.
    pub(super) inside: Option<&'static Inside>,
    pub(super) flights: Flights,
    health: Mutex<Health>,
    /// Why it has failed last; nothing once it has served.
    fault: Mutex<Option<Failure>>,
}

/// How a hop has fared.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Health {
    /// In a row, since it has served last.
    pub(crate) failures: u32,
    pub(crate) passed_over_until: Option<Instant>,
    /// How often it has been passed over since then.
    passed_over: u32,
    /// When it has served or failed last.
    pub(crate) tried: Option<Instant>,
    /// From the first packet to the connection, where this hop was the first.
    pub(crate) round_trip: Option<Duration>,
    /// Where it has answered then.
    pub(crate) address: Option<SocketAddr>,
    /// When that was measured last, or a measurement has begun.
    pub(crate) measured: Option<Instant>,
}

/// For whom a connection is made: what credentials may be made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    /// The process that asks; 0 if it is the agent itself.
    pub(crate) pid: i32,
    /// The program's file.
    pub(crate) program: Option<String>,
    /// Its user.
    pub(crate) user: Option<u32>,
    /// The host that it goes to, where hops keep hosts apart.
    pub(crate) host: Option<String>,
}

impl Hop {
    /// Reads what the hop needs from files: certificates, and the key that relays know us by.
    pub(crate) fn new(upstream: Upstream) -> Result<Self, String> {
        let (mut tls, mut sessions) = (None, None);
        if let Upstream::Proxy(proxy) = &upstream {
            match proxy.protocol {
                Protocol::Https => tls = Some(tls::Connector::new(&proxy.trust)?),
                Protocol::Relay => {
                    let key = proxy.key.as_deref().ok_or("no key: underpass-agent keygen makes one")?;
                    let identity =
                        Identity::read(key, &certificate_path(key)).map_err(|error| error.to_string())?;
                    [tls, sessions] = connectors(&proxy.trust, &identity)?;
                }
                _ => {}
            }
        }
        let inside = if upstream == Upstream::Local { Some(Inside::get()?) } else { None };
        let flights = Flights::of(&upstream);
        let (http, health, fault) = Default::default();
        Ok(Self { upstream, http, tls, sessions, door: None, inside, flights, health, fault })
    }

    /// The files that are read for it.
    pub(crate) fn files(upstream: &Upstream) -> impl Iterator<Item = PathBuf> {
        let proxy = match upstream {
            Upstream::Proxy(proxy) => Some(proxy),
            _ => None,
        };
        let authority = proxy.and_then(|proxy| match &proxy.trust {
            Trust::Authority(path) => Some(path.clone()),
            _ => None,
        });
        let key = proxy.and_then(|proxy| proxy.key.clone());
        let certificate = key.as_deref().map(certificate_path);
        [authority, key, certificate].into_iter().flatten()
    }

    /// A relay inside of this process, or behind one.
    pub(super) fn inside(
        name: &str,
        pin: Pin,
        identity: &Identity,
        door: Option<Door>,
    ) -> Result<Self, String> {
        let proxy = Proxy {
            protocol: Protocol::Relay,
            host: HopHost::Name(name.to_owned()),
            port: Protocol::Relay.default_port(),
            login: Login::Nobody,
            trust: Trust::Pin(pin.0),
            key: None,
            isolation: Isolation::No,
            flights: upstream::Flights::Probed,
        };
        let [tls, sessions] = connectors(&proxy.trust, identity)?;
        let upstream = Upstream::Proxy(Box::new(proxy));
        let flights = Flights::of(&upstream);
        let (http, health, fault) = Default::default();
        Ok(Self { upstream, http, tls, sessions, door, inside: None, flights, health, fault })
    }

    pub(crate) fn proxy(&self) -> Option<&Proxy> {
        match &self.upstream {
            Upstream::Proxy(proxy) => Some(proxy),
            _ => None,
        }
    }

    /// Where the hop before this one is asked to connect to.
    pub(crate) fn destination(&self) -> Option<Destination> {
        let proxy = self.proxy()?;
        Some(match &proxy.host {
            HopHost::Address(ip) => Destination::Address((*ip, proxy.port).into()),
            HopHost::Name(name) => Destination::Name { host: name.clone(), port: proxy.port },
        })
    }

    /// The TLS that is put around the connection before anything is said.
    pub(crate) fn tls(&self) -> Option<&tls::Connector> {
        self.tls.as_ref()
    }

    /// The same, to speak HTTP/2 inside: for a relay.
    pub(super) fn sessions(&self) -> Option<&tls::Connector> {
        self.sessions.as_ref()
    }

    /// A connection to it, if it is inside of this process.
    pub(super) fn enter(&self) -> Option<std::io::Result<Bare<OwnedFd>>> {
        self.door.as_ref().map(Door::open)
    }

    /// Whether it is inside of this process.
    pub(super) fn is_inside(&self) -> bool {
        self.door.is_some()
    }

    pub(crate) fn is_relay(&self) -> bool {
        self.sessions.is_some()
    }

    /// Whether it is asked for the next hop together with what is said to that.
    pub(super) fn takes_one_flight(&self) -> bool {
        self.is_relay() && self.proxy().is_some_and(|proxy| proxy.flights != upstream::Flights::Two)
    }

    /// Whether nothing but the plain protocol is spoken, so that the program's own socket can be used.
    pub(crate) fn is_plain(&self) -> bool {
        self.proxy().is_some() && self.tls.is_none()
    }

    /// Whether it serves anybody who reaches it.
    pub(crate) fn knows_nobody(&self) -> bool {
        self.proxy().is_some_and(|proxy| proxy.login == Login::Nobody)
    }

    /// By what it keeps connections apart.
    pub(crate) fn isolation(&self) -> Isolation {
        self.proxy().map_or(Isolation::No, |proxy| proxy.isolation)
    }

    /// What is said before a request; `None` where the protocol has no greeting.
    pub(crate) fn greeting(&self, client: &Client) -> Option<Box<dyn Handshake>> {
        let proxy = self.proxy().filter(|proxy| proxy.protocol == Protocol::Socks5)?;
        match proxy.isolation {
            Isolation::No => Some(Box::new(socks5::Greeting::new(proxy.login.credentials()))),
            Isolation::Program => {
                let program = client.program.as_deref().unwrap_or("unknown");
                Some(Box::new(socks5::Greeting::new(Some(&isolated(program)))))
            }
            Isolation::Destination => {
                let host = client.host.as_deref().unwrap_or_default();
                Some(Box::new(socks5::Greeting::new(Some(&isolated(host)))))
            }
        }
    }

    /// Whether it says that it serves us before it knows the destination.
    pub(crate) fn lets_in_before_a_request(&self, client: &Client) -> bool {
        self.greeting(client).is_some() && !self.flights.one()
    }

    /// What is said once the destination is known; with the greeting, if that has not been said.
    pub(crate) fn request(
        &self,
        destination: &Destination,
        one_flight: bool,
    ) -> Result<Box<dyn Handshake>, Failure> {
        let Some(proxy) = self.proxy() else {
            return Err(Failure::Socket("only a proxy can be asked to connect"));
        };
        let credentials = proxy.login.credentials();
        Ok(match proxy.protocol {
            Protocol::Socks4 => Box::new(socks4::Connect::new(destination, credentials, false)?),
            Protocol::Socks4a => Box::new(socks4::Connect::new(destination, credentials, true)?),
            Protocol::Socks5 if one_flight => Box::new(socks5::OneFlight::new(destination)),
            Protocol::Socks5 => Box::new(socks5::Request::new(destination)),
            Protocol::Http | Protocol::Https | Protocol::Relay => {
                Box::new(HttpConnect::new(destination, credentials, Arc::clone(&self.http))?)
            }
        })
    }

    pub(crate) fn health(&self) -> Health {
        *self.health.lock()
    }

    /// Whether the hop is to be passed over for now.
    pub(crate) fn is_down(&self) -> bool {
        self.health().passed_over_until.is_some_and(|until| Instant::now() < until)
    }

    /// Why it has failed last, unless it has served since.
    pub(crate) fn fault(&self) -> Option<Failure> {
        self.fault.lock().clone()
    }

    pub(crate) fn has_failed(&self, failure: &Failure) {
        let mut health = self.health.lock();
        *self.fault.lock() = Some(failure.bare().clone());
        health.failures = health.failures.saturating_add(1);
        let now = Instant::now();
        // Connections that are open or begun when it goes down all fail: that is one reason to wait longer, and not many.
        if health.passed_over_until.is_none_or(|until| until <= now) {
            let pause = (BACK_OFF * 2u32.saturating_pow(health.passed_over.min(10))).min(LONGEST_BACK_OFF);
            health.passed_over = health.passed_over.saturating_add(1);
            health.passed_over_until = Some(now + pause);
        }
        health.tried = Some(now);
    }

    pub(crate) fn has_served(&self) {
        let mut health = self.health.lock();
        if std::mem::take(&mut health.failures) > 0 {
            *self.fault.lock() = None;
        }
        health.passed_over = 0;
        health.passed_over_until = None;
        health.tried = Some(Instant::now());
    }

    /// Notes that a measurement begins.
    pub(crate) fn is_measured(&self) {
        self.health.lock().measured = Some(Instant::now());
    }

    /// Takes a measured round trip to one of its addresses; sudden changes count for a quarter.
    pub(crate) fn measured(&self, address: SocketAddr, round_trip: Duration) {
        let mut health = self.health.lock();
        health.round_trip = Some(match health.round_trip {
            Some(before) => (before * 3 + round_trip) / 4,
            None => round_trip,
        });
        health.address = Some(address);
        health.measured = Some(Instant::now());
    }
}

/// TLS to a relay, for a tunnel and for sessions. They remember nothing of each other's.
fn connectors(trust: &Trust, identity: &Identity) -> Result<[Option<tls::Connector>; 2], String> {
    let connector = |protocols: &[&str]| tls::Connector::to_relay(trust, identity, protocols).map(Some);
    Ok([connector(&[HTTP_1])?, connector(&[HTTP_2, HTTP_1])?])
}

/// Credentials that mean nothing but "apart from the others".
fn isolated(what: &str) -> Credentials {
    let mut user = what.as_bytes().to_vec();
    user.truncate(255);
    if user.is_empty() {
        user.push(b'-');
    }
    Credentials { user, password: b"0".to_vec() }
}
