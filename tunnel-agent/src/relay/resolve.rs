//! Names become addresses here, once for each request, by this machine's resolver (getaddrinfo(3)).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::refusal::Refusal;

/// How long a look-up may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Look-ups at once; each has a thread.
pub(crate) const MOST: usize = 64;

/// And of one client, so that a name server of its choice that does not answer stops nobody else.
const MOST_OF_ONE: usize = 16;

/// The look-ups of one relay.
pub(crate) struct LookUps {
    all: Arc<Semaphore>,
    /// By the names of clients: there are as many as are known.
    of_one: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
}

impl Default for LookUps {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(MOST)), of_one: Mutex::default() }
    }
}

impl LookUps {
    /// The addresses of `name`, in the order in which the resolver puts them (RFC 6724).
    pub(crate) async fn resolve(&self, client: &Arc<str>, name: &str) -> Result<Vec<IpAddr>, Refusal> {
        let own = Arc::clone(
            self.of_one
                .lock()
                .entry(Arc::clone(client))
                .or_insert_with(|| Arc::new(Semaphore::new(MOST_OF_ONE))),
        );
        let name = name.to_owned();
        let asked = async {
            let room = (own.acquire_owned().await, Arc::clone(&self.all).acquire_owned().await);
            tokio::task::spawn_blocking(move || {
                let found = look_up(&name);
                // The thread is taken until now, whoever still waits for it.
                drop(room);
                found
            })
            .await
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(Ok(found))) if !found.is_empty() => Ok(found),
            Ok(Ok(Ok(_))) => Err(nothing("NOERROR")),
            Ok(Ok(Err(LookupErrorKind::NoName | LookupErrorKind::NoData))) => Err(nothing("NXDOMAIN")),
            Ok(Ok(Err(_))) => Err(nothing("SERVFAIL")),
            Ok(Err(_)) => Err(Refusal::new(503, "proxy_internal_error", "the relay has trouble of its own")),
            Err(_) => Err(Refusal::new(504, "dns_timeout", "the resolver does not answer")),
        }
    }
}

fn nothing(rcode: &'static str) -> Refusal {
    let refusal = Refusal::new(502, "dns_error", "the resolver knows no address of the name");
    Refusal { rcode: Some(rcode), ..refusal }
}

fn look_up(name: &str) -> Result<Vec<IpAddr>, LookupErrorKind> {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    let mut found: Vec<IpAddr> = Vec::new();
    for entry in dns_lookup::getaddrinfo(Some(name), None, Some(hints)).map_err(|error| error.kind())? {
        let Ok(entry) = entry else { continue };
        let ip = entry.sockaddr.ip();
        if !found.contains(&ip) {
            found.push(ip);
        }
    }
    Ok(found)
}
