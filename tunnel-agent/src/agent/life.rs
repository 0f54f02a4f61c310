//! An agent that serves, until it ends or another takes its place.

use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixListener;

use super::Agent;
use super::place::Place;
use crate::front::Front;
use crate::service::drain::drain;
use crate::service::elder::Elder;
use crate::service::inherited::lines;
use crate::service::link;
use crate::service::notify::Manager;
use crate::service::signals::{Order, Signals};
use crate::service::successor::{Sockets, Successor};
use crate::{client, control, front, lifetime, processes, reload, sys};

/// All that an agent has while it serves.
pub(super) struct Life {
    pub(super) agent: Arc<Agent>,
    pub(super) place: Place,
    pub(super) front: Option<Front>,
    pub(super) data: OwnedFd,
    pub(super) control: UnixListener,
    pub(super) signals: Signals,
    /// How long what is open may take to end.
    pub(super) limit: Option<Duration>,
}

/// Why it has stopped accepting.
enum Next {
    Ended(io::Result<()>),
    Order(Order),
    Succeeded(Successor),
}

impl Life {
    /// `is_ours` is false from when a successor has the directory.
    pub(super) async fn live(mut self, is_ours: &mut bool) -> io::Result<()> {
        loop {
            let next = self.accept().await;
            if let Some(front) = &self.front {
                front.stop().await;
            }
            let told = match next {
                Next::Ended(ended) => return self.end(None).await.and(ended),
                Next::Order(order) => return self.end(Some(order)).await,
                Next::Succeeded(successor) => self.hand_over(successor).await,
            };
            match told {
                Ok(link) => {
                    *is_ours = false;
                    return self.leave_to(link).await;
                }
                Err(why) => {
                    tracing::error!(reason = why, "the successor does not serve; this process goes on")
                }
            }
        }
    }

    /// Serves whoever comes.
    async fn accept(&mut self) -> Next {
        let Self { agent, place, front, data, control, signals, .. } = self;
        let control_path = place.control();
        let accepting = async {
            tokio::select! {
                ended = client::accept(agent, data) => ended,
                ended = control::accept(agent, control) => ended,
                ended = front::serve(agent, front.as_ref()) => ended,
                () = lifetime::until_unused(agent, &control_path) => Ok(()),
                ended = reload::on_hangup(agent) => ended,
                () = processes::write_down(agent) => Ok(()),
                () = agent.manager.watch(async || agent.splicer.works().await) => Ok(()),
            }
        };
        let mut accepting = pin!(accepting);
        let mut starting = None;
        loop {
            let started = async {
                match &mut starting {
                    Some(started) => std::pin::Pin::as_mut(started).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                ended = &mut accepting => return Next::Ended(ended),
                order = signals.next() => match order {
                    Order::Upgrade if starting.is_none() => {
                        tracing::info!("a successor is started");
                        let sockets = sockets(agent, place, front.as_ref(), data, control);
                        starting = Some(Box::pin(Successor::start(sockets)));
                    }
                    // It is on its way.
                    Order::Upgrade => {}
                    order => return Next::Order(order),
                },
                started = started => {
                    starting = None;
                    match started {
                        Ok(successor) => return Next::Succeeded(successor),
                        Err(why) => {
                            tracing::error!(reason = why, "no successor; this process goes on");
                        }
                    }
                }
            }
        }
    }

    /// Tells the successor what we know, and that it is to serve.
    async fn hand_over(&mut self, mut successor: Successor) -> Result<OwnedFd, String> {
        let agent = &self.agent;
        let _alone = agent.writing.lock().await;
        agent.has_given.store(true, Ordering::Relaxed);
        // A successor serves them where we do; until then nobody does.
        agent.metrics.close();
        tokio::time::sleep(Duration::from_millis(1)).await;
        let sockets = [
            agent.attempts.cookies(),
            agent.carried.failed_cookies(),
            agent.datagrams.cookies(),
            agent.exposures.cookies(),
        ];
        // The predecessor's are reached by way of us.
        let before = agent.elder.get().into_iter().flat_map(Elder::sockets);
        let sockets = lines("sockets", sockets.into_iter().flatten().chain(before));
        let processes = lines("processes", agent.lifetime.seen_and_alive().into_iter());
        let watched = lines("watched", agent.lifetime.watched().into_iter());
        let peers = agent.carried.independent().into_iter().map(|(cookie, peer)| format!("{cookie}={peer}"));
        let peers = lines("peers", peers);
        let told = match agent.holds.later_sockets() {
            Ok(later) => {
                let knowledge = sockets.into_iter().chain(processes).chain(watched).chain(peers);
                successor.take_over(later, knowledge).await
            }
            Err(error) => Err(format!("it cannot be told anything: {error}")),
        };
        let link = match told {
            Ok(()) => successor.serves(&agent.manager).await,
            Err(why) => {
                // It may serve metrics already.
                drop(successor);
                Err(why)
            }
        };
        if link.is_err() {
            agent.has_given.store(false, Ordering::Relaxed);
            agent.measure();
        }
        link
    }

    /// Lets what is open end, as long as it wants if nothing was said, and answers what is asked of it meanwhile.
    async fn leave_to(self, link: OwnedFd) -> io::Result<()> {
        let Self { agent, mut place, mut front, mut signals, limit, data, control } = self;
        // Where it ends before us, another can serve.
        place.let_go();
        if let Some(front) = &mut front {
            front.give();
        }
        drop((data, control));
        let asked = Arc::clone(&agent);
        let link = sys::watch(link, Interest::READABLE)?;
        tokio::spawn(async move {
            while let Ok(message) = link::next(&link).await {
                client::answer_passed(&asked, message);
            }
        });
        // Who is asked by way of us is reached by nobody else.
        let elder = || agent.elder.get().is_some_and(Elder::lives);
        let open = || agent.open() + agent.datagrams.cookies().len() + usize::from(elder());
        // Whoever has a successor is not the service any more.
        drain(&Manager::default(), limit, &mut signals, open).await;
        agent.exposures.end().await;
        tracing::info!("ended");
        Ok(())
    }

    async fn end(self, order: Option<Order>) -> io::Result<()> {
        let Self { agent, mut place, front, mut signals, limit, data, control } = self;
        agent.manager.stopping();
        // Programs that are still there, after a signal, find the next agent at the same socket; its
        // sessions and names are kept for them.
        place.remove_sockets(&agent.sessions.socket);
        agent.metrics.close();
        drop((front, data, control));
        agent.exposures.end().await;
        if let (Some(Order::Drain), Some(limit)) = (order, limit) {
            // Another may serve here while what is open ends.
            place.let_go();
            drain(&agent.manager, Some(limit), &mut signals, || agent.open()).await;
        }
        place.leave(&agent);
        tracing::info!("ended");
        Ok(())
    }
}

/// What listens, for a successor.
fn sockets(
    agent: &Agent,
    place: &Place,
    front: Option<&Front>,
    data: &OwnedFd,
    control: &UnixListener,
) -> io::Result<Sockets> {
    let mut sockets = place.sockets(data, control)?;
    sockets.extend(agent.holds.sockets()?);
    if let Some(front) = front {
        sockets.extend(front.sockets()?);
    }
    Ok(sockets)
}
