//! One hop is tried: whether it answers and lets us in, how far it is, and what its rules refuse.
//!
//! A proxy of HTTP says nothing before it is asked for something, and none tells its rules: each is asked for a host
//! that does not exist. Who may connect is told that there is nobody; who may not is told that first.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use underpass_core::destination::Destination;
use underpass_core::failure::{Failure, errno};
use underpass_core::upstream::{Protocol, Upstream};

use crate::facts::FarOptions;
use crate::upstream::hop::{Client, Hop};
use crate::upstream::path::{self, Progress};
use crate::upstream::relay::sessions;
use crate::upstream::{associate, ssh};

/// No such name exists (RFC 6761 section 6.4).
const NOBODY: &str = "check.invalid";
/// What many proxies are limited to, and what they then refuse.
const PORTS: [u16; 3] = [443, 80, 22];
/// Of the hop's own machine: nobody listens there, and no name has to be looked up. Whatever it answers, it has
/// taken who we are.
const AT_ITSELF: Destination = Destination::Address(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 1));
/// How long a hop that has let us in may take to tell its rules: it may have to look the name up.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is known of a hop that serves us.
#[derive(Debug, Default)]
pub(super) struct Good {
    /// Until it had answered.
    pub(super) took: Duration,
    /// From the first packet to the connection, where it is connected to from here.
    pub(super) round_trip: Option<Duration>,
    /// In words.
    pub(super) refuses: Vec<String>,
}

/// What a hop says of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It would connect, as far as it says.
    Serves,
    Refuses,
    RefusesNames,
}

/// Tries the last of the hops, by way of those before it. Its rules are asked for once it has answered.
pub(super) async fn hop(hops: &[Arc<Hop>], deadline: Duration) -> Result<Good, Failure> {
    let start = Instant::now();
    let Some(last) = hops.last().filter(|hop| hop.upstream != Upstream::Local) else {
        return Ok(Good::default());
    };
    tokio::time::timeout(deadline, lets_in(hops)).await.unwrap_or(Err(Failure::TimedOut))?;
    let took = start.elapsed();
    let may_take_names = last.proxy().is_none_or(|proxy| proxy.protocol != Protocol::Socks4);
    let port = async |port| match may_take_names {
        true => match tokio::time::timeout(PATIENCE, ask(hops, &nobody(port))).await {
            Ok(Ok(verdict)) => Ok(verdict),
            Ok(Err(failure)) if speaks_against_it(&failure) => Err(failure),
            _ => Ok(Verdict::Serves),
        },
        false => Ok(Verdict::RefusesNames),
    };
    let [first, second, third] = PORTS;
    let associates = async {
        let asked = associate::may_be_asked(last).then(|| associate::is_granted(hops));
        match asked {
            Some(asked) => tokio::time::timeout(PATIENCE, asked).await.unwrap_or(Ok(())),
            None => Ok(()),
        }
    };
    let (first_is, second_is, third_is, datagrams) =
        tokio::join!(port(first), port(second), port(third), associates);
    let verdicts = [(first, first_is?), (second, second_is?), (third, third_is?)];
    let mut refuses = Vec::new();
    if verdicts.iter().any(|(_, verdict)| *verdict == Verdict::RefusesNames) {
        refuses.push("names".to_owned());
    }
    let refused = verdicts.iter().filter(|(_, verdict)| *verdict == Verdict::Refuses);
    refuses.extend(refused.map(|(port, _)| format!("port {port}")));
    if let Err(Failure::Socks5(_)) = datagrams {
        refuses.push("datagrams".to_owned());
    }
    let round_trip = last.health().round_trip.filter(|time| hops.len() == 1 && !time.is_zero());
    Ok(Good { took, round_trip, refuses })
}

fn nobody(port: u16) -> Destination {
    Destination::Name { host: NOBODY.to_owned(), port }
}

/// Whether the last hop lets us in.
async fn lets_in(hops: &[Arc<Hop>]) -> Result<(), Failure> {
    let (client, progress) = <(Client, Progress)>::default();
    let Some(last) = hops.last() else { return Ok(()) };
    match (&last.upstream, hops) {
        // Of a connection that it shares, ssh tells each failure with the same words.
        (Upstream::Ssh(ssh), [_]) => ssh::check(ssh).await,
        // A key that it does not know it tells after the handshake.
        _ if last.is_relay() => sessions::check(hops).await,
        _ if last.lets_in_before_a_request(&client) => {
            let opened = path::open(hops, &FarOptions::default(), &client, &progress).await;
            opened.map(drop).map_err(|failure| named(hops, &progress, failure))
        }
        _ => ask(hops, &AT_ITSELF).await.map(drop),
    }
}

/// Asks the last hop for a destination that nobody is at.
async fn ask(hops: &[Arc<Hop>], destination: &Destination) -> Result<Verdict, Failure> {
    let (options, client, progress): (FarOptions, Client, Progress) = Default::default();
    let dialled = path::answering(|| path::dial(hops, destination, &options, &client, &progress)).await;
    match dialled {
        Ok(_) => Ok(Verdict::Serves),
        Err(failure) if progress.hop() + 1 < hops.len() => Err(named(hops, &progress, failure)),
        Err(failure) => {
            let closes = hops.last().is_some_and(|hop| says_no_by_closing(hop));
            judge(failure, progress.has_asked() && closes)
        }
    }
}

/// Of a hop that has let us in before. The rest may be of what is looked up, or of so many at once.
fn speaks_against_it(failure: &Failure) -> bool {
    matches!(failure, Failure::Socks5(_) | Failure::Http { .. } | Failure::Protocol(_))
}

/// OpenSSH closes where it cannot connect, as a SOCKS server and where it shares a connection.
fn says_no_by_closing(hop: &Hop) -> bool {
    hop.proxy()
        .is_none_or(|proxy| matches!(proxy.protocol, Protocol::Socks4 | Protocol::Socks4a | Protocol::Socks5))
}

/// What an answer says of the hop that gave it.
fn judge(failure: Failure, closing_is_an_answer: bool) -> Result<Verdict, Failure> {
    match failure {
        Failure::Socks5(8) => Ok(Verdict::RefusesNames),
        // It connects for nobody, or wants another protocol.
        Failure::Socks5(7) | Failure::Http { status: 400 | 401 | 405 | 407 | 501 | 505 | 511, .. } => {
            Err(failure)
        }
        Failure::Socks5(_) | Failure::Http { .. } | Failure::Dial(_) | Failure::NameNotFound => {
            let refuses = failure.errno() == errno::EACCES;
            Ok(if refuses { Verdict::Refuses } else { Verdict::Serves })
        }
        Failure::Socks4(91) => Ok(Verdict::Serves),
        Failure::UpstreamClosed if closing_is_an_answer => Ok(Verdict::Serves),
        failure => Err(failure),
    }
}

/// A failure in the name of the hop that it happened at, where that is one before the last.
fn named(hops: &[Arc<Hop>], progress: &Progress, failure: Failure) -> Failure {
    match hops.get(progress.hop()) {
        Some(hop) if progress.hop() + 1 < hops.len() => {
            let (hop, of, name) = (progress.hop() + 1, hops.len(), hop.upstream.to_string());
            Failure::At { hop, of, name, failure: Box::new(failure) }
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_told_apart_from_hops_that_do_not_serve() {
        let http = |status| Failure::Http { status, told: None };
        let told = |errno| Failure::Http { status: 503, told: Some(errno) };
        for (failure, closing, expected) in [
            (Failure::Socks5(2), false, Some(Verdict::Refuses)),
            (http(403), false, Some(Verdict::Refuses)),
            (told(errno::EACCES), false, Some(Verdict::Refuses)),
            (Failure::Dial(errno::EACCES), false, Some(Verdict::Refuses)),
            (Failure::Socks5(8), false, Some(Verdict::RefusesNames)),
            (Failure::Socks5(1), false, Some(Verdict::Serves)),
            (Failure::Socks5(4), false, Some(Verdict::Serves)),
            (Failure::Socks4(91), false, Some(Verdict::Serves)),
            (http(503), false, Some(Verdict::Serves)),
            (http(404), false, Some(Verdict::Serves)),
            (Failure::Dial(errno::EHOSTUNREACH), false, Some(Verdict::Serves)),
            (Failure::UpstreamClosed, true, Some(Verdict::Serves)),
            (Failure::UpstreamClosed, false, None),
            (Failure::Socks5(7), false, None),
            (Failure::Socks4(93), true, None),
            (http(407), false, None),
            (http(400), false, None),
            (http(405), false, None),
            (Failure::Unauthorized, false, None),
            (Failure::TimedOut, true, None),
            (Failure::Protocol("how"), true, None),
            (Failure::Ssh("why".into()), true, None),
        ] {
            assert_eq!(judge(failure.clone(), closing).ok(), expected, "{failure}");
        }
    }
}
