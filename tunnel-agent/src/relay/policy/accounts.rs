//! The accounts of all clients, and the bound for all of them together.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::client::Client;
use super::limits::{Account, Over};
use super::told::Told;

/// What clients have used, by their names: there are as many accounts as clients that are known.
#[derive(Debug)]
pub(crate) struct Accounts {
    by_name: HashMap<Arc<str>, Arc<Mutex<Account>>>,
    open: Arc<AtomicU32>,
    most: Option<u32>,
    /// That somebody has shown a token that is not known.
    strangers: Told,
}

/// One stream that may be carried; it is closed when this is dropped.
pub(crate) struct Stream {
    account: Arc<Mutex<Account>>,
    open: Arc<AtomicU32>,
}

impl Accounts {
    /// `most` is for the streams of all clients.
    pub(crate) fn new(most: Option<u32>) -> Self {
        Self { by_name: HashMap::new(), open: Arc::default(), most, strangers: Told::default() }
    }

    /// One more stream of this client, or why not.
    pub(crate) fn open(&mut self, client: &Client, now: Instant) -> Result<Stream, Over> {
        if self.most.is_some_and(|most| self.open.load(Ordering::Relaxed) >= most) {
            return Err(Over::AllStreams);
        }
        let account = self.account(client, now);
        let mut one = account.lock();
        // They may have been changed since, by another file.
        one.set_limits(client.limits, now);
        one.open(now)?;
        drop(one);
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(Stream { account, open: Arc::clone(&self.open) })
    }

    /// [`Accounts::open`] has said no: whether to write that down, and how many times it was not written down before.
    /// A client that asks again and again must not be able to fill the audit.
    pub(crate) fn refused(&mut self, client: &Client, now: Instant) -> Option<u64> {
        self.account(client, now).lock().refused(now)
    }

    /// Somebody has shown a token that is not known: as above, for all of them together.
    pub(crate) fn stranger(&mut self, now: Instant) -> Option<u64> {
        self.strangers.again(now)
    }

    fn account(&mut self, client: &Client, now: Instant) -> Arc<Mutex<Account>> {
        if let Some(account) = self.by_name.get(&client.name) {
            return Arc::clone(account);
        }
        let account = Arc::new(Mutex::new(Account::new(client.limits, now)));
        self.by_name.insert(Arc::clone(&client.name), Arc::clone(&account));
        account
    }

    /// How many streams are open.
    pub(crate) fn streams(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }
}

impl Stream {
    /// These bytes have been carried: how long to wait before more are, or why no more are at all.
    pub(crate) fn spend(&self, bytes: u64, now: Instant) -> Result<Duration, Over> {
        self.account.lock().spend(bytes, now)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.account.lock().close();
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::Limits;
    use super::*;

    fn client(name: &str, streams: u32) -> Client {
        let limits = Limits { streams: Some(streams), ..Limits::default() };
        Client { name: name.into(), ..Client::anonymous(limits) }
    }

    #[test]
    fn a_stream_counts_until_it_is_dropped() {
        let now = Instant::now();
        let mut accounts = Accounts::new(Some(3));
        let (ann, bob) = (client("ann", 2), client("bob", 2));
        let first = accounts.open(&ann, now).unwrap();
        let _second = accounts.open(&ann, now).unwrap();
        assert_eq!(accounts.open(&ann, now).unwrap_err(), Over::Streams);
        let _third = accounts.open(&bob, now).unwrap();
        assert_eq!(accounts.open(&bob, now).unwrap_err(), Over::AllStreams);
        drop(first);
        assert_eq!(accounts.streams(), 2);
        assert!(accounts.open(&ann, now).is_ok());
        // Of a file that was read anew.
        assert_eq!(accounts.open(&client("ann", 1), now).unwrap_err(), Over::Streams);
        assert_eq!(accounts.streams(), 2);
    }

    #[test]
    fn refusals_are_told_once_a_second_for_each_client() {
        let now = Instant::now();
        let mut accounts = Accounts::new(Some(0));
        let (ann, bob) = (client("ann", 1), client("bob", 1));
        assert_eq!(accounts.open(&ann, now).unwrap_err(), Over::AllStreams);
        assert_eq!(accounts.refused(&ann, now), Some(0));
        assert_eq!(accounts.refused(&ann, now), None);
        assert_eq!(accounts.refused(&ann, now + Duration::from_millis(999)), None);
        assert_eq!(accounts.refused(&bob, now), Some(0));
        assert_eq!(accounts.refused(&ann, now + Duration::from_secs(1)), Some(2));
        assert_eq!(accounts.refused(&ann, now + Duration::from_secs(2)), Some(0));
        // Other limits do not make it forget.
        accounts.most = None;
        assert!(accounts.open(&client("ann", 2), now).is_ok());
        assert_eq!(accounts.refused(&client("ann", 2), now + Duration::from_secs(2)), None);
    }

    #[test]
    fn strangers_are_told_once_a_second_together() {
        let now = Instant::now();
        let mut accounts = Accounts::new(None);
        assert_eq!((accounts.stranger(now), accounts.stranger(now)), (Some(0), None));
        assert_eq!(accounts.stranger(now + Duration::from_secs(1)), Some(1));
        assert_eq!(accounts.refused(&client("ann", 1), now), Some(0));
    }

    #[test]
    fn streams_of_one_client_share_its_bytes() {
        let now = Instant::now();
        let limits = Limits { rate: Some(100), total: Some(1000), ..Limits::default() };
        let ann = Client { name: "ann".into(), ..Client::anonymous(limits) };
        let mut accounts = Accounts::new(None);
        let (one, two) = (accounts.open(&ann, now).unwrap(), accounts.open(&ann, now).unwrap());
        assert_eq!(one.spend(100, now), Ok(Duration::ZERO));
        assert_eq!(two.spend(100, now), Ok(Duration::from_secs(1)));
        assert_eq!(one.spend(801, now), Err(Over::Total));
        assert_eq!(two.spend(0, now), Err(Over::Total));
    }
}
