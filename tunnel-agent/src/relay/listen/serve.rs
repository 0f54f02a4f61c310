//! One listener for as long as its stream is there, and what becomes of it then.

use std::future::{pending, poll_fn};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use rustix::net::sockopt::set_socket_linger;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::memory::Part;
use super::super::{Relay, ticket::Ticket};
use super::announced::Announced;
use super::request::Id;
use super::table::Waiting;
use super::{Listener, new_id};
use crate::relay::copy::Ended;

/// How long one waits to be taken.
const PATIENCE: Duration = Duration::from_secs(30);
/// No capsule is longer.
const CAPSULE: usize = 64;
/// How long accepting waits when there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

/// How long those that the client was told of can still be taken when it has closed the listener: it may have asked for them
/// a moment ago.
const LAST: Duration = Duration::from_secs(2);

/// Why the stream is over.
enum Over {
    /// The client has ended it.
    Closed,
    /// It was cut, or is wanted by another stream.
    Cut,
    /// The rule gives it no longer, or the relay leaves.
    Aged,
}

/// Tells the client of each connection until the stream ends.
pub(crate) async fn serve(
    relay: &Arc<Relay>,
    mut listener: Listener,
    ticket: Ticket,
    mut receive: RecvStream,
    mut send: SendStream<Part>,
) {
    let over = until_over(relay, &mut listener, &mut receive, &mut send).await;
    match over {
        Over::Cut if listener.claim.is_some() => {
            send.send_reset(Reason::CANCEL);
            drop((receive, send));
            ticket.ended(Ended::ByClient);
            rests(relay, listener).await;
        }
        over => {
            let untaken = std::mem::take(&mut listener.parked.untaken);
            // Before the client hears of it, which may want the same port of the relay that comes next.
            drop(listener);
            let ended = match over {
                Over::Cut => {
                    send.send_reset(Reason::CANCEL);
                    Ended::ByClient
                }
                Over::Closed | Over::Aged => {
                    let _ = send.send_data(Part::of(Bytes::new()), true);
                    Ended::Regularly
                }
            };
            drop((receive, send));
            ticket.ended(ended);
            if !untaken.is_empty() {
                sleep(LAST).await;
                untaken.into_iter().for_each(|id| drop(relay.listeners.take(id)));
            }
        }
    }
}

/// Its client could not be answered. What that had before waits for it; of a new one it knows nothing.
pub(crate) async fn unanswered(relay: &Arc<Relay>, listener: Listener, ticket: Ticket) {
    drop(ticket);
    if listener.is_resumed {
        rests(relay, listener).await;
    }
}

/// Keeps it for its client's return, as long as the rule says.
async fn rests(relay: &Arc<Relay>, listener: Listener) {
    let Listener { parked, claim: Some(claim), .. } = listener else { return };
    let grace = parked.rule.grace;
    let over = async {
        tokio::select! {
            () = sleep(grace) => {}
            () = relay.leaves() => {}
        }
    };
    claim.park(parked, over).await;
}

async fn until_over(
    relay: &Arc<Relay>,
    listener: &mut Listener,
    receive: &mut RecvStream,
    send: &mut SendStream<Part>,
) -> Over {
    let aged = listener.parked.rule.age.map(|age| Instant::from_std(listener.parked.born + age));
    for (id, peer) in relay.listeners.still(&listener.parked.untaken) {
        let capsule = Announced { id, peer }.encode();
        if send.send_data(Part::of(capsule.into()), false).is_err() {
            return Over::Cut;
        }
    }
    loop {
        let Listener { parked, claim, .. } = &mut *listener;
        let next = async {
            let place = Arc::clone(&parked.places).acquire_owned().await.ok()?;
            room(send).await?;
            loop {
                match parked.listener.accept().await {
                    Ok((stream, peer)) => return Some((stream, peer, place)),
                    Err(error) => {
                        tracing::warn!(%error, "a listener waits");
                        sleep(PAUSE).await;
                    }
                }
            }
        };
        let accepted = tokio::select! {
            biased;
            data = poll_fn(|cx| receive.poll_data(cx)) => match data {
                None => return Over::Closed,
                Some(Err(_)) => return Over::Cut,
                // It has nothing to say that is known here.
                Some(Ok(bytes)) => {
                    let _ = receive.flow_control().release_capacity(bytes.len());
                    continue;
                }
            },
            () = async { match aged { Some(at) => sleep_until(at).await, None => pending().await } } => return Over::Aged,
            () = async { match claim { Some(claim) => claim.wanted().await, None => pending().await } } => return Over::Cut,
            () = relay.leaves() => return Over::Aged,
            accepted = next => accepted,
        };
        let Some((stream, peer, place)) = accepted else { return Over::Cut };
        let Ok(id) = new_id() else { return Over::Cut };
        let capsule = Announced { id, peer }.encode();
        let untaken: Vec<Id> = relay.listeners.still(&parked.untaken).into_iter().map(|(id, _)| id).collect();
        parked.untaken = untaken;
        parked.untaken.push(id);
        waits(relay, id, listener, stream, peer, place);
        if send.send_data(Part::of(capsule.into()), false).is_err() {
            return Over::Cut;
        }
    }
}

/// Waits until a capsule may be sent.
async fn room(send: &mut SendStream<Part>) -> Option<()> {
    send.reserve_capacity(CAPSULE);
    while send.capacity() < CAPSULE {
        poll_fn(|cx| send.poll_capacity(cx)).await?.ok()?;
    }
    Some(())
}

/// Keeps a connection until it is taken, or for so long.
fn waits(
    relay: &Arc<Relay>,
    id: Id,
    listener: &Listener,
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
) {
    // Whatever becomes of it but what is carried to its end is no clean end.
    let _ = set_socket_linger(&stream, Some(Duration::ZERO));
    let _ = stream.set_nodelay(true);
    let client = Arc::clone(&listener.client.name);
    let label = Arc::clone(&listener.parked.rule.label);
    relay.listeners.waits(id, Waiting { stream, peer, client, label, _place: place });
    let relay = Arc::clone(relay);
    tokio::spawn(async move {
        sleep(PATIENCE).await;
        if let Some(waiting) = relay.listeners.take(id) {
            tracing::debug!(peer = %waiting.peer, "a connection was not taken by the client");
        }
    });
}
