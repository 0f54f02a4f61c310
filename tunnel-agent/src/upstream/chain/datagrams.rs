//! How a chain carries datagrams: by associations with its hops, all of which are SOCKS5 proxies, or by streams of the
//! session with a relay at its end. Here are the streams; the associations are in [`crate::upstream::associate`].

use std::time::{Duration, Instant};

use underpass_core::destination::Destination;
use underpass_core::failure::Failure;

use super::{Chain, Path};
use crate::upstream::associate::makes_associations;
use crate::upstream::hop::Client;
use crate::upstream::path::{self, Progress};
use crate::upstream::relay::muxed::Muxed;
use crate::upstream::relay::sessions::{Sessions, Through};

/// How a chain carries datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carriage {
    /// One for each program's socket.
    Associations,
    /// One for each program's socket and destination.
    Streams,
}

/// Why there is no stream.
pub(crate) struct NotOpened {
    pub(crate) failure: Failure,
    /// Whether it is the last hop's word about this destination: another may be reached all the same.
    pub(crate) of_destination: bool,
}

const NOT_CARRIED: Failure =
    Failure::NoDatagrams("only SOCKS5 proxies carry datagrams, and a relay that is the last hop");

impl Chain {
    /// How its paths carry datagrams, or why none does. Where both ways are possible, it is by associations.
    pub(crate) fn carriage(&self) -> Result<Carriage, Failure> {
        let hops = self.hops();
        let associating = hops.iter().filter(|hop| makes_associations(hop)).count();
        if associating == hops.len() || (!self.takes_all_hops() && associating >= self.length()) {
            return Ok(Carriage::Associations);
        }
        let relays = hops.iter().filter(|hop| hop.is_relay()).count();
        let by_relay = match self.takes_all_hops() {
            true => hops.last().is_some_and(|hop| hop.is_relay()),
            // Any of them may be the last.
            false => relays >= self.length(),
        };
        if by_relay {
            return Ok(Carriage::Streams);
        }
        let all: Path = (0..hops.len()).collect();
        let odd = hops.iter().position(|hop| !makes_associations(hop)).unwrap_or_default();
        Err(self.named(&all, odd, NOT_CARRIED))
    }

    /// A stream for datagrams between the end of a path and the destination, by other paths where hops fail.
    pub(crate) async fn datagrams(
        &self,
        destination: &Destination,
        client: &Client,
        deadline: Duration,
    ) -> Result<Muxed, NotOpened> {
        let start = Instant::now();
        self.measure().await;
        let client = &*self.bound_for(client, destination);
        let odd = |place: &usize| !self.takes_all_hops() && !self.hops[*place].is_relay();
        let mut failed: Vec<usize> = (0..self.hops.len()).filter(odd).collect();
        let mut last = None;
        loop {
            let left = deadline.saturating_sub(start.elapsed());
            let Some(path) = self.path(&failed).filter(|_| !left.is_zero()) else { break };
            let (hops, progress) = (self.along(&path), Progress::default());
            let patience = self.patience(failed.len(), left);
            let through = Through { path: &path, hops: &hops, client, destination, patience };
            let attempt = path::answering(|| async {
                match hops.last() {
                    Some(hop) if hop.is_relay() => {
                        Sessions::datagrams(&self.sessions, &through, &progress).await
                    }
                    // Where the relay at the end is passed over.
                    _ => Err(NOT_CARRIED),
                }
            });
            let failure = match tokio::time::timeout(patience, attempt).await {
                Ok(Ok(stream)) => {
                    hops.iter().for_each(|hop| hop.has_served());
                    return Ok(stream);
                }
                Ok(Err(failure)) => failure,
                Err(_) => Failure::TimedOut,
            };
            let (at, failure) = match failure {
                // It may carry connections all the same.
                Failure::NoDatagrams(_) => (path.len() - 1, self.named(&path, path.len() - 1, failure)),
                failure => match self.accuse(failure, &path, &progress) {
                    (None, failure) => return Err(NotOpened { failure, of_destination: true }),
                    (Some(at), failure) => {
                        self.hops[path[at]].has_failed(&failure);
                        (at, failure)
                    }
                },
            };
            failed.push(path[at]);
            last = Some(failure);
        }
        Err(NotOpened { failure: last.unwrap_or(Failure::TimedOut), of_destination: false })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::sync::Arc;

    use underpass_core::config::{self, Kind};

    use super::*;
    use crate::tls::key::made::Made;
    use crate::upstream::hop::Hop;

    /// `s` is a SOCKS5 proxy, `h` one of HTTP, `r` a relay.
    fn carriage(kind: Kind, hops: &str, length: usize) -> Option<Carriage> {
        let url = |hop| if hop == 'h' { "http://10.0.0.1:3128" } else { "socks5h://10.0.0.1:1080" };
        let urls = hops.chars().map(|hop| url(hop).parse().unwrap()).collect();
        let config = config::Chain { kind, hops: urls, length: NonZeroUsize::new(length) };
        let mut chain = Chain::new(&config, false).unwrap();
        let identity = Made::new(&[]).unwrap().identity().unwrap();
        for (place, _) in hops.char_indices().filter(|(_, hop)| *hop == 'r') {
            let relay = Hop::inside("relay.internal", identity.pin(), &identity, None).unwrap();
            chain.hops[place] = Arc::new(relay);
        }
        chain.carriage().ok()
    }

    #[test]
    fn a_chain_carries_datagrams_by_socks_alone_or_by_a_relay_at_its_end() {
        use Carriage::*;
        for kind in [Kind::Strict, Kind::Dynamic] {
            for (hops, expected) in [
                ("s", Some(Associations)),
                ("ss", Some(Associations)),
                ("h", None),
                ("sh", None),
                ("r", Some(Streams)),
                ("rrr", Some(Streams)),
                ("shr", Some(Streams)),
                ("rs", None),
                ("rh", None),
                ("srs", None),
            ] {
                assert_eq!(carriage(kind, hops, 0), expected, "{kind:?} {hops}");
            }
        }
    }

    #[test]
    fn where_hops_are_chosen_enough_of_a_kind_will_do() {
        use Carriage::*;
        for kind in [Kind::Failover, Kind::Nearest] {
            for (hops, expected) in
                [("rs", Some(Associations)), ("hr", Some(Streams)), ("rh", Some(Streams)), ("hh", None)]
            {
                assert_eq!(carriage(kind, hops, 0), expected, "{kind:?} {hops}");
            }
        }
        for kind in [Kind::Random, Kind::RoundRobin] {
            for (hops, expected) in [("ssr", Some(Associations)), ("rrs", Some(Streams)), ("rsh", None)] {
                assert_eq!(carriage(kind, hops, 2), expected, "{kind:?} {hops}");
            }
        }
    }

    #[test]
    fn the_hop_that_carries_none_is_named() {
        let config = config::Chain {
            kind: Kind::Strict,
            hops: ["socks5h://10.0.0.1:1080", "http://10.0.0.2:3128"].map(|url| url.parse().unwrap()).into(),
            length: None,
        };
        let failure = Chain::new(&config, false).unwrap().carriage().unwrap_err().to_string();
        assert!(failure.starts_with("hop 2 of 2, http://10.0.0.2:3128: only SOCKS5"), "{failure}");
    }
}
