//! `underpass-agent relay`: the program around a relay, from its configuration to its end.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rustix::process::DumpableBehavior;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use underpass_core::config::ConfigError;

use super::accept::{HalfOpen, accept};
use super::inside::Beyond;
use super::memory::Memory;
use super::policy::accounts::Accounts;
use super::policy::audit::Log;
use super::policy::client::{Client, Clients};
use super::policy::doubts::doubts;
use super::policy::judge::Judge;
use super::policy::keys;
use super::policy::own::Own;
use super::policy::settings::{self, Settings};
use super::reached::listeners;
use super::resolve::{self, LookUps};
use super::sessions::Sessions;
use super::{Known, Relay, identify, numbers};
use crate::metrics::serve;
use crate::room::{MORE_FILES, raise_limit};
use crate::service::Service;
use crate::service::drain::drain;
use crate::service::inherited::DOOR;
use crate::service::notify::Manager;
use crate::service::signals::{Order, Signals};
use crate::service::successor::{Sockets, Successor};
use crate::sys;
use crate::tally::clients::Usage;
use crate::tls::key::Identity;

/// Descriptors of a relay that serves somebody: its own are about 20.
const FEWEST: usize = 64;
/// How often the addresses of this machine are looked at again.
const REFRESH: Duration = Duration::from_secs(60);
/// How long the audit's last lines may take to be written at the end: a busy disk has a queue, a broken one has no end.
const LAST_LINES: Duration = Duration::from_secs(5);

/// Why a relay does not serve.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Its configuration, or a file that it names.
    Configuration(ConfigError),
    /// Anything else; the text says what.
    Other(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(error) => error.fmt(f),
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Configuration(error)
    }
}

pub(super) fn named(what: impl fmt::Display) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure::Other(format!("{what}: {error}"))
}

/// What a configuration and the files that it names come to.
struct Prepared {
    settings: Settings,
    identity: Identity,
    known: Arc<Known>,
    tls: rustls::ServerConfig,
}

fn prepare(path: &Path) -> Result<Prepared, Failure> {
    let settings = read(path)?;
    // A core file would hold the key. Nothing else hangs on it.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let other = |why: String| Failure::Other(why);
    let identity = Identity::read(&settings.key, &settings.certificate).map_err(|e| other(e.to_string()))?;
    let known = Arc::new(known(&settings)?);
    let tls = identify::configuration(&identity, &known).map_err(|error| other(error.to_string()))?;
    Ok(Prepared { settings, identity, known, tls })
}

/// Judges the configuration as [`run`] would, and serves nobody.
pub(crate) fn check(path: &Path) -> Result<(), Failure> {
    prepare(path).map(drop)
}

/// Serves until it is told to end.
pub(crate) fn run(path: &Path, mut service: Service) -> Result<(), Failure> {
    let Prepared { settings, identity, known, tls } = prepare(path)?;
    let descriptors = usize::try_from(raise_limit()).unwrap_or(usize::MAX);
    if descriptors < FEWEST {
        let why = format!("the limit on open files is {descriptors}, too low for a relay");
        return Err(Failure::Other(format!("{why}\nhint: {MORE_FILES}")));
    }
    sys::keep_freed_memory();
    sys::take_turns();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // One for datagrams' names, and one for metrics.
        .max_blocking_threads(resolve::MOST + 2)
        .build()
        .map_err(named("no event loop"))?;
    let log = Log::open(&settings.audit).map_err(named("audit"))?;
    let entered = runtime.enter();
    let listeners = listeners(&settings.listen, service.passed().map_err(named("listen"))?)?;
    let (names, listeners): (Vec<_>, Vec<_>) = listeners.into_iter().unzip();
    let listening: Vec<SocketAddr> = listeners.iter().filter_map(|one| one.local_addr().ok()).collect();
    let relay = Arc::new(Relay {
        name: settings.name.clone(),
        known,
        judge: RwLock::new(judge(&settings, &listening).map_err(named("the addresses of this machine"))?),
        accounts: Mutex::new(Accounts::new(Some(settings.limits.streams))),
        log: Mutex::new(Some(log)),
        memory: Arc::new(Memory::new(settings.limits.memory)),
        look_ups: LookUps::default(),
        listeners: Arc::default(),
        exposing: RwLock::new(settings.exposing.clone()),
        sessions: Sessions::default(),
        usage: Usage::default(),
        beyond: Beyond::Network,
        udp_idle: settings.limits.udp_idle,
        ending: AtomicBool::new(false),
        leaving: watch::Sender::new(false),
    });
    tracing::info!(listening = ?listening, pin = %identity.pin(), "a relay serves");
    let reached = Reached {
        listeners,
        names,
        at: listening,
        acceptor: TlsAcceptor::from(Arc::new(tls)),
        half_open: Arc::new(HalfOpen::new(descriptors)),
        service,
    };
    let served = runtime.block_on(serve(&relay, path, settings, reached));
    // What is still open is written down before the log is closed.
    relay.ending.store(true, Ordering::Relaxed);
    drop(entered);
    runtime.shutdown_background();
    if let Some(log) = relay.log.lock().take() {
        log.close(LAST_LINES);
    }
    served
}

/// How a relay is reached, and told what to do.
struct Reached {
    listeners: Vec<TcpListener>,
    /// For a successor.
    names: Vec<String>,
    /// Where they listen.
    at: Vec<SocketAddr>,
    acceptor: TlsAcceptor,
    half_open: Arc<HalfOpen>,
    service: Service,
}

async fn serve(
    relay: &Arc<Relay>,
    path: &Path,
    mut settings: Settings,
    reached: Reached,
) -> Result<(), Failure> {
    let Reached { listeners, names, at, acceptor, half_open, service } = reached;
    let Service { manager, inherited, .. } = service;
    let mut signals = Signals::new().map_err(named("signals"))?;
    let mut hangup = signal(SignalKind::hangup()).map_err(named("signals"))?;
    let mut refresh = tokio::time::interval(REFRESH);
    let numbers = Arc::new(AtomicU64::new(0));
    // For a successor.
    let copies = listeners.iter().map(|listener| listener.as_fd().try_clone_to_owned());
    let copies: Vec<OwnedFd> = copies.collect::<io::Result<_>>().map_err(named("listen"))?;
    let sockets = || -> io::Result<Sockets> {
        let named = copies.iter().zip(&names);
        named.map(|(copy, name)| Ok((format!("{DOOR}{name}"), copy.try_clone()?))).collect()
    };
    if let Some(inherited) = &inherited {
        inherited.prepared().map_err(named("the predecessor"))?;
    }
    let mut metrics = measured(relay, &settings)?;
    if let Some(inherited) = inherited {
        inherited.serving().map_err(named("the predecessor"))?;
    }
    let mut accepting = tokio::task::JoinSet::new();
    for listener in listeners {
        let (relay, acceptor) = (Arc::clone(relay), acceptor.clone());
        accepting.spawn(accept(relay, acceptor, Arc::clone(&half_open), listener, Arc::clone(&numbers)));
    }
    manager.ready("serving");
    // Whatever is done here is done by this thread.
    let watch = manager.watch(async || tokio::task::yield_now().await);
    tokio::pin!(watch);
    let mut starting = None;
    let (limit, told) = loop {
        let started = async {
            match &mut starting {
                Some(started) => Pin::as_mut(started).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            order = signals.next() => match order {
                Order::Upgrade if starting.is_none() => starting = Some(Box::pin(Successor::start(sockets()))),
                // It is on its way.
                Order::Upgrade => {}
                order => {
                    let limit = settings.limits.drain.filter(|_| order == Order::Drain);
                    break (Some(limit.unwrap_or_default()), manager.clone());
                }
            },
            started = started => {
                starting = None;
                // It serves metrics where we do.
                if let Some(served) = metrics.take() {
                    served.abort();
                    let _ = served.await;
                }
                match succeeded(started, &manager).await {
                    // As long as it wants if nothing was said.
                    Ok(()) => break (settings.limits.drain, Manager::default()),
                    Err(why) => tracing::error!(reason = why, "no successor; this process goes on"),
                }
                match measured(relay, &settings) {
                    Ok(again) => metrics = again,
                    Err(error) => tracing::warn!(reason = %error, "metrics are not served"),
                }
            }
            _ = hangup.recv() => {
                manager.reloading();
                match reload(relay, path, &settings, &at) {
                    Ok(read) => settings = read,
                    Err(error) => tracing::warn!(%error, "the configuration stays as it was"),
                }
                manager.ready("serving");
            }
            () = &mut watch => {}
            _ = refresh.tick() => match judge(&settings, &at) {
                Ok(judge) => *relay.judge.write() = judge,
                // Those that were there are better than none.
                Err(error) => tracing::warn!(%error, "the addresses of this machine are not known"),
            },
        }
    };
    // Whoever has a successor is not the service any more.
    told.stopping();
    accepting.shutdown().await;
    drop(copies);
    relay.leaving.send_replace(true);
    drain(&told, limit, &mut signals, || half_open.open()).await;
    Ok(())
}

/// Serves the metrics, where they are wanted.
fn measured(relay: &Arc<Relay>, settings: &Settings) -> Result<Option<JoinHandle<io::Result<()>>>, Failure> {
    let Some(place) = &settings.metrics else { return Ok(None) };
    let opened = serve::open(place).map_err(Failure::Other)?;
    let asked = Arc::clone(relay);
    Ok(Some(tokio::spawn(serve::serve(opened, Arc::new(move || numbers::tell(&asked))))))
}

/// Has a successor take our place; nothing is known here that it would have to know.
async fn succeeded(started: Result<Successor, String>, manager: &Manager) -> Result<(), String> {
    let mut successor = started?;
    successor.take_over(Vec::new(), std::iter::empty()).await?;
    successor.serves(manager).await.map(drop)
}

/// Reads again who is served and who may go where; where it listens and which key it has stays as it is.
fn reload(
    relay: &Relay,
    path: &Path,
    before: &Settings,
    listening: &[SocketAddr],
) -> Result<Settings, Failure> {
    let settings = read(path)?;
    let stays = |what: &str, same: bool| match same {
        true => Ok(()),
        false => Err(Failure::Other(format!("{}: {what} changes by a restart alone", path.display()))),
    };
    stays("listen", settings.listen == before.listen)?;
    stays("key", (&settings.key, &settings.certificate) == (&before.key, &before.certificate))?;
    stays("name", settings.name == before.name)?;
    stays("anonymous", settings.anonymous == before.anonymous)?;
    stays("all-streams", settings.limits.streams == before.limits.streams)?;
    stays("memory", settings.limits.memory == before.limits.memory)?;
    stays("udp-idle", settings.limits.udp_idle == before.limits.udp_idle)?;
    stays("metrics", settings.metrics == before.metrics)?;
    stays("audit", settings.audit == before.audit)?;
    let known = known(&settings)?;
    let judge = judge(&settings, listening).map_err(named("the addresses of this machine"))?;
    *relay.known.keys.write() = known.keys.into_inner();
    *relay.known.tokens.write() = known.tokens.into_inner();
    *relay.judge.write() = judge;
    relay.exposing.write().clone_from(&settings.exposing);
    Ok(settings)
}

fn read(path: &Path) -> Result<Settings, Failure> {
    let text = text(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    Ok(settings::parse(&text, &path.to_string_lossy(), folder)?)
}

/// A file that says who is served, and so may be written by nobody else (as StrictModes of sshd_config(5)).
fn text(path: &Path) -> Result<String, Failure> {
    let mut file = File::open(path).map_err(named(path.display()))?;
    let found = file.metadata().map_err(named(path.display()))?;
    let ours = found.uid() == 0 || found.uid() == rustix::process::geteuid().as_raw();
    if !ours || found.mode() & 0o022 != 0 {
        return Err(Failure::Other(format!("{}: others can write to it (chmod go-w)", path.display())));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(named(path.display()))?;
    Ok(text)
}

fn known(settings: &Settings) -> Result<Known, Failure> {
    let limits = settings.limits.client;
    let (mut keys, mut tokens) = (Clients::default(), Clients::default());
    for path in &settings.authorized_keys {
        keys::read(&mut keys, &Clients::default(), &text(path)?, &path.to_string_lossy(), limits)?;
    }
    for path in &settings.tokens {
        keys::read(&mut tokens, &keys, &text(path)?, &path.to_string_lossy(), limits)?;
    }
    for doubt in doubts(&settings.rules, [&keys, &tokens], settings.anonymous) {
        tracing::warn!(%doubt, "a rule or a file has less effect than it seems");
    }
    let anonymous = settings.anonymous.then(|| Arc::new(Client::anonymous(limits)));
    Ok(Known { keys: RwLock::new(keys), tokens: RwLock::new(tokens), anonymous })
}

fn judge(settings: &Settings, listening: &[SocketAddr]) -> io::Result<Judge> {
    let own = sys::interface_addresses()?.into_iter().chain(settings.own.iter().copied());
    let own = Own::new(own, listening.iter().copied());
    Ok(Judge { rules: settings.rules.clone(), udp: settings.udp, own })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_knows_its_addresses() {
        let addresses = sys::interface_addresses().unwrap();
        assert!(addresses.iter().any(|ip| ip.is_loopback()), "{addresses:?}");
    }
}
