//! The round trips of a chain's hops, measured for `nearest` and again from time to time.

use std::sync::Arc;
use std::time::Duration;

use underpass_core::config::Kind;
use underpass_core::failure::Failure;

use super::{Chain, LEAST};
use crate::facts::FarOptions;
use crate::upstream::hop::{Client, Hop};
use crate::upstream::path::{self, Progress};

/// How old a measured round trip may be.
const MEASURED: Duration = Duration::from_secs(15);
/// A hop that takes longer than this is not near, and counts as failed.
const PATIENCE: Duration = LEAST.saturating_mul(2);

impl Chain {
    /// Where the nearest is chosen: measures the hops whose round trips are old, in the background; if none is known at all, waits for the
    /// first that answers, which is the nearest.
    pub(in crate::upstream) async fn measure(&self) {
        if self.kind != Kind::Nearest {
            return;
        }
        let is_known = || self.hops.iter().any(|hop| hop.health().round_trip.is_some());
        let known = is_known();
        let is_old = |hop: &&Arc<Hop>| hop.health().measured.is_none_or(|at| at.elapsed() > MEASURED);
        let mut probes = tokio::task::JoinSet::new();
        for hop in self.hops.iter().filter(|hop| !known || is_old(hop)) {
            // Not by every connection until it has answered.
            hop.is_measured();
            probes.spawn(probe(Arc::clone(hop)));
        }
        while !is_known() && probes.join_next().await.is_some() {}
        probes.detach_all();
    }
}

async fn probe(hop: Arc<Hop>) {
    let (options, client, progress): (FarOptions, Client, Progress) = Default::default();
    let opened = path::open(std::slice::from_ref(&hop), &options, &client, &progress);
    match tokio::time::timeout(PATIENCE, opened).await.unwrap_or(Err(Failure::TimedOut)) {
        // Whether it carries anything is not known.
        Ok(_) if matches!(hop.fault(), Some(Failure::UpstreamUnreachable(_) | Failure::UpstreamName(_))) => {
            hop.has_served();
        }
        // What this machine has no room for is no fault of the hop's.
        Ok(_) | Err(Failure::Socket(_)) => {}
        Err(failure) => hop.has_failed(&failure),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_hop_that_answers_again_is_no_longer_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("socks5h://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(&[5, 0]).await.unwrap();
            }
        });
        let hop = Arc::new(Hop::new(url.parse().unwrap()).unwrap());
        for (failure, is_down) in
            [(Failure::UpstreamUnreachable("it was".into()), false), (Failure::UpstreamClosed, true)]
        {
            hop.has_failed(&failure);
            probe(Arc::clone(&hop)).await;
            assert_eq!(hop.is_down(), is_down, "{failure}");
        }
    }
}
