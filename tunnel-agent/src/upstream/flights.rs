//! Whether greeting and request may travel together. It saves a round trip to a SOCKS5 proxy, and some
//! proxies hang on it (microsocks throws away what comes with the greeting): so a proxy that has served a
//! while is asked once, on a connection of its own, for a destination that does not exist.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use underpass_core::destination::Destination;
use underpass_core::failure::Failure;
use underpass_core::upstream::{self, Isolation, Protocol, Upstream};

use super::hop::Hop;
use super::path;
use super::socks5::OneFlight;
use super::stream::converse;
use crate::facts::FarOptions;

/// How many connections a proxy has served before it is asked. After an answer that was wrong: so many
/// times as many.
const SERVED: u32 = 16;
const MORE: u32 = 16;
/// How long the answer may take; no answer is one, too.
const PATIENCE: Duration = Duration::from_secs(3);

/// Nothing can listen on port 0: a proxy that tries finds out by itself, and at once. Some (Dante) answer an
/// unknown command by closing, so it is a known one.
const NOWHERE: Destination = Destination::Address(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0));

const ONE: u32 = u32::MAX;
const TWO: u32 = u32::MAX - 1;
const BEING_PROBED: u32 = u32::MAX - 2;

/// What is known of one proxy.
pub(super) struct Flights {
    /// [`ONE`], [`TWO`], [`BEING_PROBED`], or connections until it is probed.
    state: AtomicU32,
    is_probed: bool,
}

impl Flights {
    pub(super) fn of(upstream: &Upstream) -> Self {
        // With a password the answer to the greeting decides what comes next.
        let plain = match upstream {
            Upstream::Proxy(proxy) => Some(proxy).filter(|proxy| {
                let asks_for_nobody = proxy.login == upstream::Login::Nobody;
                proxy.protocol == Protocol::Socks5 && asks_for_nobody && proxy.isolation == Isolation::No
            }),
            _ => None,
        };
        let (state, is_probed) = match plain.map(|proxy| proxy.flights) {
            Some(upstream::Flights::One) => (ONE, false),
            Some(upstream::Flights::Probed) => (SERVED, true),
            Some(upstream::Flights::Two) | None => (TWO, false),
        };
        Self { state: AtomicU32::new(state), is_probed }
    }

    /// Whether they travel together on a new connection.
    pub(super) fn one(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ONE
    }

    /// A connection on which they travel together, if `one_flight`: what does not end well speaks against it.
    pub(super) fn trial(&self, one_flight: bool) -> Trial<'_> {
        Trial(one_flight.then_some(self).filter(|flights| flights.is_probed))
    }

    /// Counts a connection; whether the proxy is to be probed now.
    fn served(&self) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        match state {
            ONE | TWO | BEING_PROBED => return false,
            1 => state = BEING_PROBED,
            _ => state -= 1,
        }
        self.state.store(state, Ordering::Relaxed);
        state == BEING_PROBED
    }
}

/// Ends with the conversation, or with whoever waited for it.
pub(super) struct Trial<'a>(Option<&'a Flights>);

impl Trial<'_> {
    /// Any answer to the request shows that it was read.
    pub(super) fn ended<T>(&mut self, ended: Result<T, Failure>) -> Result<T, Failure> {
        if matches!(ended, Ok(_) | Err(Failure::Socks5(_))) {
            self.0 = None;
        }
        ended
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if let Some(flights) = self.0 {
            flights.state.store(SERVED * MORE, Ordering::Relaxed);
        }
    }
}

/// The hop has served a connection as the first of its path: that may be the time to probe it.
pub(super) fn consider(hop: &Arc<Hop>) {
    if hop.flights.served() {
        let hop = Arc::clone(hop);
        tokio::spawn(async move {
            let probed = tokio::time::timeout(PATIENCE, probe(&hop)).await;
            // It has read the request, and says no. What it closes without a word could mean anything.
            let one = matches!(probed, Ok(Err(Failure::Socks5(_))));
            hop.flights.state.store(if one { ONE } else { TWO }, Ordering::Relaxed);
            tracing::debug!(hop = %hop.upstream, one, "greeting and request in one flight");
        });
    }
}

async fn probe(hop: &Hop) -> Result<(), Failure> {
    let Some(proxy) = hop.proxy() else { return Ok(()) };
    let mut far = path::connect(hop, &proxy.host, proxy.port, &FarOptions::default()).await?;
    converse(&mut far.stream, &mut OneFlight::new(&NOWHERE)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flights(url: &str) -> Flights {
        Flights::of(&url.parse().unwrap())
    }

    #[test]
    fn a_proxy_is_probed_once_and_only_where_that_can_be_used() {
        let probed = flights("socks5h://h");
        let when: Vec<_> = (0..100).filter(|_| probed.served()).collect();
        assert_eq!(when, [SERVED - 1]);
        for url in ["socks5h://h?flights=two", "socks5h://u:p@h", "socks5h://h?isolate=program", "http://h"] {
            assert!(!flights(url).one() && !(0..100).any(|_| flights(url).served()), "{url}");
        }
        assert!(flights("socks5h://h?flights=one").one());
    }

    #[test]
    fn what_does_not_end_well_speaks_against_it() {
        let good: [Result<(), Failure>; 2] = [Ok(()), Err(Failure::Socks5(5))];
        for (ended, one) in good.map(|ended| (Some(ended), true)).into_iter().chain([
            (Some(Err(Failure::UpstreamClosed)), false),
            // The wait was given up.
            (None, false),
        ]) {
            let flights = flights("socks5h://h");
            flights.state.store(ONE, Ordering::Relaxed);
            let mut trial = flights.trial(true);
            if let Some(ended) = ended {
                let _ = trial.ended(ended);
            }
            drop(trial);
            assert_eq!(flights.one(), one);
        }
        let asked_for = flights("socks5h://h?flights=one");
        drop(asked_for.trial(true));
        assert!(asked_for.one());
    }
}
