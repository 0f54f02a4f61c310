//! What the library asks: where datagrams of a socket go that are for an address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use underpass_core::config::Udp;
use underpass_core::config::route::To as Route;
use underpass_core::destination::{DNS_PORT, Destination, canonical, is_local};
use underpass_core::failure::{Failure, errno};
use underpass_core::wire::{Purpose, Reply};

use super::carrier::Carrier;
use super::facts::Facts;
use super::socket::{Found, Socket, To};
use super::{Course, sweep};
use crate::agent::Agent;
use crate::plan::Plan;
use crate::upstream::hop::Client;
use crate::{attempt, frames, log};

/// A question, and with what it came.
pub(crate) struct Ask {
    pub(crate) agent: Arc<Agent>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) client: Client,
    /// Routes ask for its program, which nobody knows.
    pub(crate) unknown: bool,
    /// The program waits at its other end.
    pub(crate) connection: OwnedFd,
    /// As the program gave it.
    pub(crate) address: SocketAddr,
    pub(crate) purpose: Purpose,
}

/// What is answered at once, or after its carrier is ready.
enum Judged {
    Direct,
    Via { found: Found, ready: bool, waits: bool },
}

/// Judges and answers. The copy of the program's socket is let go of at once: it would keep a socket open
/// that the program has closed.
pub(crate) fn begin(ask: Ask, socket: OwnedFd) {
    match ask.judge(socket) {
        Ok(Judged::Direct) => frames::reply(&ask.connection, &Reply::Direct),
        Ok(Judged::Via { found, ready, waits: false }) => {
            frames::reply(&ask.connection, &Reply::Via { at: found.peer.at, ready });
        }
        Ok(Judged::Via { found, waits: true, .. }) => {
            tokio::spawn(async move {
                let Some(carrier) = &found.carrier else { return };
                match carrier.ready(&ask.agent).await {
                    Ok(()) => frames::reply(&ask.connection, &Reply::Via { at: found.peer.at, ready: true }),
                    Err(failure) => ask.refuse(&failure),
                }
            });
        }
        Err(failure) => ask.refuse(&failure),
    }
}

impl Ask {
    /// Says no; and why, in the log, once for each reason.
    fn refuse(&self, failure: &Failure) {
        log::no_datagrams(&self.agent.datagrams, &self.plan, None, &self.client, failure);
        frames::reply(&self.connection, &Reply::Refuse { errno: failure.errno() });
    }

    fn judge(&self, copy: OwnedFd) -> Result<Judged, Failure> {
        let address = canonical(self.address);
        if self.unknown && (address.port() == DNS_PORT || !is_local(address.ip())) {
            return Err(Failure::Socket("routes ask which program sends them, and nobody knows"));
        }
        let (destination, to) = if address.port() == DNS_PORT {
            let server = Destination::Address(address);
            let asked = attempt::asked(&self.client, &server);
            // A server that a route sends direct is left alone, as by TCP.
            match self.plan.config.decide(&asked).1 {
                Route::Direct if !is_local(address.ip()) => return Ok(Judged::Direct),
                Route::Refuse(errno) if !is_local(address.ip()) => return Err(Failure::Route(*errno)),
                _ => (server, To::Names(Arc::clone(&self.plan))),
            }
        } else {
            if is_many(address.ip()) {
                return Err(Failure::Socket("broadcasts and multicasts are not carried"));
            }
            if is_local(address.ip()) {
                return Ok(Judged::Direct);
            }
            let destination = attempt::destination(&self.agent, address)?;
            match way(&self.plan, &self.client, &destination)? {
                Some(course) => (destination, To::Course(course)),
                None => return Ok(Judged::Direct),
            }
        };
        let facts = Facts::read(&copy, self.agent.network)?;
        drop(copy);
        if let Some(failure) = facts.mismatch(self.address, self.purpose == Purpose::Connect) {
            return Err(failure);
        }
        if facts.stays_here && !is_local(address.ip()) {
            // From such an address nothing leaves this machine (ip(7)).
            return Err(Failure::Dial(errno::EINVAL));
        }
        let (blocking, is_connected) = (facts.blocking, facts.is_connected);
        let socket = self.socket(facts);
        let found = socket.towards(&self.agent, &self.client, address, destination, to)?;
        found.peer.touch();
        let connecting = self.purpose == Purpose::Connect;
        if connecting || !is_connected {
            socket.set_connected(connecting.then_some(&found.peer));
        }
        let ready = found.carrier.as_ref().is_none_or(Carrier::is_ready);
        let waits = blocking && !ready && self.purpose != Purpose::SendAtOnce;
        Ok(Judged::Via { found, ready, waits })
    }

    /// What is kept about the program's socket, from now on if it is new.
    fn socket(&self, facts: Facts) -> Arc<Socket> {
        let datagrams = &self.agent.datagrams;
        let mut sockets = datagrams.sockets.lock();
        let socket = match sockets.get(&facts.cookie) {
            Some(socket) => {
                socket.update(facts);
                Arc::clone(socket)
            }
            None => {
                let socket = Arc::new(Socket::new(facts));
                sockets.insert(socket.cookie, Arc::clone(&socket));
                socket
            }
        };
        drop(sockets);
        sweep::begin(&self.agent);
        socket
    }
}

/// By which chain datagrams go; `None` where an address is direct.
pub(super) fn way(
    plan: &Arc<Plan>,
    client: &Client,
    destination: &Destination,
) -> Result<Option<Course>, Failure> {
    let here = || Some(Course { plan: Arc::clone(plan), chain: None });
    let chain = match plan.config.decide(&attempt::asked(client, destination)).1 {
        Route::Direct if matches!(destination, Destination::Address(_)) => return Ok(None),
        // The name is known here alone.
        Route::Direct => return Ok(here()),
        Route::Refuse(errno) => return Err(Failure::Route(*errno)),
        Route::Chain(name) => name,
    };
    if plan.config.udp == Udp::Refuse {
        return Err(Failure::Socket("datagrams are refused (--udp refuse)"));
    }
    let found = plan.chain(chain).ok_or(Failure::Socket("there is no such chain"))?;
    if found.is_local() {
        return Ok(here());
    }
    found.carriage()?;
    Ok(Some(Course { plan: Arc::clone(plan), chain: Some(chain.as_str().into()) }))
}

/// Whether an address stands for many machines.
pub(super) fn is_many(ip: IpAddr) -> bool {
    ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}
