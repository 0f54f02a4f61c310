//! One request from the judgement to a connection with its destination.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::time::timeout;

use super::Relay;
use super::policy::client::Client;
use super::policy::host::Host;
use super::policy::judge::Permitted;
use super::refusal::Refusal;
use super::request::Request;
use super::ticket::Ticket;
use crate::ends::keep_alive;
use crate::facts::FarOptions;
use crate::upstream::stream::Bare;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many addresses of one name are tried.
const MOST: usize = 8;

/// Judges the request, resolves it, judges what comes of that, and dials what was judged.
pub(super) async fn reach(
    relay: &Arc<Relay>,
    client: &Client,
    request: &Request,
    ticket: &mut Ticket,
) -> Result<Bare<OwnedFd>, Refusal> {
    if let Some(reached) = relay.beyond.reach(request).await {
        return reached;
    }
    let until = Instant::now() + PATIENCE;
    let permitted = permitted(relay, client, request, ticket).await?;
    let mut refusal = Refusal::timed_out();
    for (number, one) in permitted.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        // One that is not the last leaves something to the next.
        let share = if number + 1 < permitted.len() { left / 2 } else { left };
        ticket.permitted(one);
        match timeout(share, dial(one.address())).await {
            Ok(Ok(far)) if is_this_machine(relay, far.local(), one.address().ip()) => {
                refusal = this_machine();
            }
            Ok(Ok(far)) => return Ok(far),
            Ok(Err(error)) => refusal = Refusal::dial(&error),
            Err(_) => refusal = Refusal::timed_out(),
        }
    }
    Err(refusal)
}

/// What may be dialled for a request: at least one address.
pub(super) async fn permitted(
    relay: &Arc<Relay>,
    client: &Client,
    request: &Request,
    ticket: &mut Ticket,
) -> Result<Vec<Permitted>, Refusal> {
    let asked = request.asked();
    let addresses = match &request.host {
        Host::Address(ip) => vec![*ip],
        Host::Name(name) => {
            let verdict = relay.judge.read().name(client, &asked, SystemTime::now());
            verdict.map_err(|refusal| ticket.denied(&refusal, None))?;
            relay.look_ups.resolve(&client.name, name).await?
        }
    };
    let judge = relay.judge.read();
    let mut permitted = Vec::new();
    let mut denied = None;
    for ip in addresses.into_iter().take(MOST) {
        match judge.address(client, &asked, ip, SystemTime::now()) {
            Ok(one) => permitted.push(one),
            Err(refusal) => denied = denied.or(Some((refusal, ip))),
        }
    }
    match denied {
        Some((refusal, ip)) if permitted.is_empty() => Err(ticket.denied(&refusal, Some(ip))),
        _ => Ok(permitted),
    }
}

/// Whether a socket that has this local address leads back to this machine though no interface was known to have the address: it may have got
/// it since, or be routed here (ip-route(8), `local`).
pub(super) fn is_this_machine(relay: &Relay, local: Option<SocketAddr>, ip: IpAddr) -> bool {
    let home = local.is_some_and(|local| local.ip().to_canonical() == ip);
    home && !ip.is_loopback() && !relay.judge.read().own.has(ip)
}

pub(super) fn this_machine() -> Refusal {
    Refusal::new(403, "destination_ip_prohibited", "an address of the relay")
}

async fn dial(address: SocketAddr) -> io::Result<Bare<OwnedFd>> {
    let far = Bare::connect(address, &FarOptions::default()).await?;
    // A destination that has gone without a word is not waited for until the client goes, too.
    keep_alive(far.get());
    Ok(far)
}
