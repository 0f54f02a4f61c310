//! A listener at an exit that leads to one place here, without a program of ours behind it (`ssh -R`).
//!
//! It is kept as long as its agent lives: what the exit closes, or a chain that breaks, is asked for again, after a pause
//! that grows. A SOCKS5 proxy listens for one connection (RFC 1928 section 4), so it is asked for the next one as soon as
//! that has come.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::net::UnixStream;
use tokio::sync::watch;
use underpass_core::config::expose::{Inside, Reverse};
use underpass_core::destination::Destination;
use underpass_core::failure::{Failure, errno};
use underpass_core::wire::Token;

use super::arrivals::{Arrival, Arrivals, Next, ended};
use super::known::{Known, Pause, course};
use crate::agent::Agent;
use crate::attempt;
use crate::ends::cut_on_close;
use crate::facts::FarOptions;
use crate::flow::Trip;
use crate::patience::Waiting;
use crate::plan::Plan;
use crate::relay::policy::exposing::Wish;
use crate::upstream::bind::Bound;
use crate::upstream::chain::listening::{AtRelay, Listener};
use crate::upstream::hop::Client;
use crate::upstream::local;
use crate::upstream::stream::{Bare, Stream};
use crate::{log, sight};

/// What has listened for so long was no failure: the next is asked for without a pause.
const LASTING: Duration = Duration::from_secs(1);

/// One listener.
pub(crate) struct Served {
    agent: Arc<Agent>,
    session: Token,
    pub(super) reverse: Reverse,
    pub(super) known: Known,
    pub(super) place: Mutex<Place>,
    /// Whether the log says already that its target cannot be reached.
    fails: AtomicBool,
}

/// Where it listens, or has listened last.
#[derive(Clone, Default)]
pub(super) struct Place {
    pub(super) exit: Option<SocketAddr>,
    pub(super) chain: String,
    pub(super) configuration: u32,
}

/// Serves it until the agent ends, or with an error for a person where the exit refuses it before it has listened once.
pub(crate) async fn serve(agent: Arc<Agent>, session: Token, reverse: Reverse) -> io::Result<()> {
    let name = reverse.to_string();
    let served = Arc::new(Served {
        agent: Arc::clone(&agent),
        session,
        reverse,
        known: Known::new(false),
        place: Mutex::default(),
        fails: AtomicBool::new(false),
    });
    agent.exposures.reverses.lock().push(Arc::downgrade(&served));
    let (tell, told) = tokio::sync::oneshot::channel();
    // With the connections that will come.
    agent.splicer.spawn(async move {
        if let Some(failure) = served.keep().await {
            let _ = tell.send(failure);
        }
    });
    match told.await {
        Ok(failure) => {
            let hint = failure.hint().map_or_else(String::new, |hint| format!("\nhint: {hint}"));
            Err(io::Error::other(format!("-R {name}: {failure}{hint}")))
        }
        Err(_) => Err(io::Error::other(format!("-R {name}: the thread that serves it has ended"))),
    }
}

impl Served {
    /// Keeps it until the agent ends; the failure that is final.
    async fn keep(self: &Arc<Self>) -> Option<Failure> {
        let mut ending = self.agent.exposures.ending();
        let (mut pause, mut lost, mut said) = (Pause::default(), None, None);
        // Until the exit has said something for the first time.
        let mut waiting = Some(Waiting::new("waiting for the exit"));
        loop {
            let begun = Instant::now();
            // Not given up when the agent ends, which waits for the answer: a relay would keep what nobody knows of.
            let asked = self.listener(&mut lost).await;
            drop(waiting.take());
            match asked {
                Ok((plan, listener)) => {
                    self.begins(&plan, &listener);
                    said = None;
                    let has_served = match listener {
                        Listener::AtRelay(it) => {
                            let arrivals = Arrivals::new(it.0, it.1, ending.clone());
                            lost = Some(self.at_relay(&plan, arrivals).await?);
                            tracing::warn!(reverse = %self.reverse, "the exit has closed a listener, which is asked for again");
                            false
                        }
                        Listener::Once(bound) => unless(&mut ending, self.once(&plan, *bound)).await?,
                    };
                    self.known.listens(false);
                    if has_served || begun.elapsed() > LASTING {
                        pause = Pause::default();
                        continue;
                    }
                }
                Err(failure) if self.place.lock().exit.is_none() && is_final(&failure) => {
                    return Some(failure);
                }
                // The same is said once.
                Err(failure) if said.as_ref() != Some(&failure) => {
                    let hint = failure.hint();
                    tracing::warn!(reverse = %self.reverse, why = %failure, hint, "no listener yet");
                    said = Some(failure);
                }
                Err(_) => {}
            }
            unless(&mut ending, pause.wait()).await?;
        }
    }

    /// Asks for it: the one that was lost, which stays so until its relay has said that it is gone, or one at the same port, by
    /// the configuration that there is now.
    async fn listener(&self, lost: &mut Option<AtRelay>) -> Result<(Arc<Plan>, Listener), Failure> {
        let plan = self.agent.sessions.plan(&self.session);
        let plan = plan.ok_or(Failure::Socket("its session has ended"))?;
        if let Some(mut relay) = lost.take() {
            match relay.resumed().await {
                Ok(Some(control)) => return Ok((plan, Listener::AtRelay(Box::new((control, relay))))),
                Ok(None) => {}
                // Another relay of the chain may listen meanwhile.
                Err(_) => *lost = Some(relay),
            }
        }
        let before = self.place.lock().exit.map(|exit| exit.port()).filter(|_| self.reverse.port == 0);
        let listener = match before {
            None => self.asked(&plan, self.reverse.port).await?,
            // Of its choice, once: others know the port by now. In use it may be by what was lost.
            Some(port) => match self.asked(&plan, port).await {
                Err(failure) if is_final(&failure) && !(lost.is_some() && is_in_use(&failure)) => {
                    self.asked(&plan, 0).await?
                }
                answered => answered?,
            },
        };
        *lost = None;
        Ok((plan, listener))
    }

    async fn asked(&self, plan: &Arc<Plan>, port: u16) -> Result<Listener, Failure> {
        let name = plan.config.chain_of(&self.reverse);
        let name =
            name.ok_or(Failure::Socket("no chain leads to an exit: what no route matches goes by none"))?;
        let chain = plan.chain(name).ok_or(Failure::Socket("there is no such chain any more"))?;
        let deadline = Duration::from_secs(plan.config.deadline.into());
        let wish = Wish { ip: self.reverse.address, port };
        let client = Client::default();
        let listening = tokio::time::timeout(deadline, chain.listen(wish, None, &client, deadline));
        let listener = listening.await.unwrap_or(Err(Failure::TimedOut))?;
        let bound = listener.bound();
        let is_elsewhere = self.reverse.port != 0 && bound.port() != self.reverse.port
            || self.reverse.address.is_some_and(|ip| !ip.is_unspecified() && ip != bound.ip());
        if is_elsewhere && matches!(listener, Listener::Once(_)) {
            return Err(Failure::Socket(
                "a SOCKS5 proxy chooses where it listens: give no address, and port 0",
            ));
        }
        Ok(listener)
    }

    /// It listens. A port that the exit has chosen is told as ssh tells it.
    fn begins(&self, plan: &Plan, listener: &Listener) {
        let exit = listener.bound();
        let chain = plan.config.chain_of(&self.reverse).unwrap_or_default().to_owned();
        let place = Place { exit: Some(exit), chain, configuration: plan.number };
        let before = std::mem::replace(&mut *self.place.lock(), place).exit;
        self.known.listens(true);
        tracing::info!(at = %exit, to = %self.reverse.to, "listening at the exit");
        if self.reverse.port == 0 && before.map(|exit| exit.port()) != Some(exit.port()) {
            let _ = writeln!(
                io::stderr(),
                "Allocated port {} for remote forward to {}",
                exit.port(),
                self.reverse.to
            );
        }
    }

    /// Until the relay has closed it, or (`None`) the agent ends.
    async fn at_relay(self: &Arc<Self>, plan: &Arc<Plan>, mut arrivals: Arrivals) -> Option<AtRelay> {
        loop {
            match arrivals.next().await {
                Next::Comes(arrival) => {
                    let peer = arrival.peer;
                    self.comes(plan, Comer::Waits(arrival), peer);
                }
                Next::Lost => return Some(arrivals.lost()),
                Next::Ends => {
                    arrivals.close().await;
                    return None;
                }
            }
        }
    }

    /// Until somebody has come, or the proxy has given it up.
    async fn once(self: &Arc<Self>, plan: &Arc<Plan>, bound: Bound) -> bool {
        match bound.accept().await {
            Ok((stream, peer)) => {
                self.comes(plan, Comer::Here(stream), peer);
                true
            }
            Err(failure) => {
                tracing::debug!(%failure, "nobody has connected");
                false
            }
        }
    }

    /// Connects somebody to where this leads, beside all others.
    fn comes(self: &Arc<Self>, plan: &Arc<Plan>, comer: Comer, peer: SocketAddr) {
        let (served, plan) = (Arc::clone(self), Arc::clone(plan));
        tokio::spawn(async move { served.carry(&plan, comer, peer).await });
    }

    async fn carry(&self, plan: &Arc<Plan>, comer: Comer, peer: SocketAddr) {
        let Some(mut room) = self.agent.take_room() else {
            tracing::warn!(%peer, "no room for a connection from the exit");
            return comer.reset().await;
        };
        let deadline = Duration::from_secs(plan.config.deadline.into());
        let dialled = tokio::time::timeout(deadline, self.dial());
        let (far, here) = tokio::join!(comer.taken(), dialled);
        let far = match far {
            Ok(far) => far,
            Err(failure) => return tracing::debug!(%failure, %peer, "a connection was not taken"),
        };
        let chain = self.place.lock().chain.clone();
        let course = course(&self.agent, plan, &chain);
        let trip = Trip {
            pid: rustix::process::getpid().as_raw_nonzero().get(),
            program: None,
            destination: Destination::Address(peer),
            tally: Arc::clone(&course.tally),
            course: Some(course),
        };
        match here.unwrap_or(Err(Failure::TimedOut)) {
            Ok(here) => {
                self.fails.store(false, Ordering::Relaxed);
                self.known.comes();
                room.keep(1 + far.descriptors());
                log::relayed(&trip);
                let listed = self.agent.flows.begin(trip);
                let ended = self.agent.splicer.relay(here, far, &listed.flow).await;
                log::ended(&listed.flow, &ended);
            }
            Err(failure) => {
                // Whoever connects there could write many lines.
                if !self.fails.swap(true, Ordering::Relaxed) {
                    tracing::warn!(to = %self.reverse.to, why = %failure, %peer, "what a listener leads to is not reached");
                }
                sight::failed(&self.agent, &trip, &failure);
                reset(far);
            }
        }
    }

    /// A connection to where this leads, from this machine itself.
    async fn dial(&self) -> Result<Bare<OwnedFd>, Failure> {
        let refused = |error: io::Error| Failure::Dial(error.raw_os_error().unwrap_or(errno::ECONNREFUSED));
        match &self.reverse.to {
            Inside::Path(path) => {
                let stream = connected(path).await.map_err(refused)?;
                stream.into_std().and_then(|stream| Bare::new(stream.into())).map_err(refused)
            }
            Inside::Host(host) => {
                // What stands for a name is never dialled.
                let host = match host {
                    Destination::Address(address) => &attempt::destination(&self.agent, *address)?,
                    Destination::Name { .. } => host,
                };
                match local::dial(host, &FarOptions::default()).await?.stream {
                    Stream::Bare(stream) => Ok(stream),
                    _ => Err(Failure::Socket("it is no connection of this machine")),
                }
            }
        }
    }
}

/// A connection to a Unix socket. Where its queue is full a connect that does not block fails at once (unix(7), `EAGAIN`), and
/// nothing says when there is room: it is tried again, as long as whoever has come may wait.
async fn connected(path: &Path) -> io::Result<UnixStream> {
    let mut pause = Duration::from_millis(1);
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            answered => return answered,
        }
    }
}

/// What comes of it, unless the agent ends before.
async fn unless<T>(ending: &mut watch::Receiver<bool>, it: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        // A listener that is there by then is closed, and not dropped.
        biased;
        came = it => Some(came),
        () = ended(ending) => None,
    }
}

/// Somebody at the exit.
enum Comer {
    /// Waits at the relay.
    Waits(Arrival),
    /// Is connected to us.
    Here(Stream),
}

impl Comer {
    async fn taken(self) -> Result<Stream, Failure> {
        match self {
            Self::Waits(arrival) => arrival.taken().await,
            Self::Here(stream) => Ok(stream),
        }
    }

    async fn reset(self) {
        if let Ok(far) = self.taken().await {
            reset(far);
        }
    }
}

/// Closes it so that nothing looks whole.
pub(super) fn reset(far: Stream) {
    if let Stream::Bare(far) = &far {
        // On an error it is reset already.
        let _ = cut_on_close(far.get());
    }
}

fn is_in_use(failure: &Failure) -> bool {
    matches!(failure.bare(), Failure::NotListening { status: 409, .. })
}

/// Whether the same would be refused again.
fn is_final(failure: &Failure) -> bool {
    match failure {
        Failure::At { failure, .. } => is_final(failure),
        Failure::NotListening { status, .. } => (400..500).contains(status) && *status != 429,
        Failure::Socks5(code) => matches!(code, 2 | 7 | 8),
        Failure::Http { status, .. } => matches!(status, 400..=407),
        Failure::Socket(_) | Failure::Request(_) | Failure::Certificate(_) => true,
        Failure::UnknownKey | Failure::Unauthorized | Failure::NoAcceptableMethod => true,
        Failure::Credentials(_) => true,
        _ => false,
    }
}
