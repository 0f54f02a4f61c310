//! What one client may use, and what it has used. The time is passed in.

use std::fmt;
use std::time::{Duration, Instant};

use super::bucket::Bucket;
use super::told::Told;

/// Bounds for one client. `None` is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Streams at once.
    pub(crate) streams: Option<u32>,
    /// New streams in a second; a second's worth may come at once.
    pub(crate) new: Option<u32>,
    /// Bytes in a second, both ways together.
    pub(crate) rate: Option<u64>,
    /// Bytes since the relay has started, both ways together.
    pub(crate) total: Option<u64>,
}

impl Limits {
    /// These where they say something, else those.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            streams: self.streams.or(other.streams),
            new: self.new.or(other.new),
            rate: self.rate.or(other.rate),
            total: self.total.or(other.total),
        }
    }
}

/// Which bound is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Streams,
    New,
    Total,
    AllStreams,
    Sessions,
}

impl Over {
    /// The status to refuse with: 429 where a client is too fast and may try again, else 503.
    pub(crate) fn status(self) -> u16 {
        if self == Self::New { 429 } else { 503 }
    }
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Streams => "the client has as many streams as it may",
            Self::New => "the client opens streams faster than it may",
            Self::Total => "the client has used up its bytes",
            Self::AllStreams => "the relay has as many streams as it may",
            Self::Sessions => "the client has as many sessions as it may",
        })
    }
}

/// What one client has used.
#[derive(Debug)]
pub(crate) struct Account {
    limits: Limits,
    streams: u32,
    spent: u64,
    new: Option<Bucket>,
    bytes: Option<Bucket>,
    /// That it was refused.
    told: Told,
}

impl Account {
    pub(crate) fn new(limits: Limits, now: Instant) -> Self {
        let bucket = |rate: u64| Bucket::full(rate, now);
        let (new, bytes) = (limits.new.map(|new| bucket(new.into())), limits.rate.map(bucket));
        Self { limits, streams: 0, spent: 0, new, bytes, told: Told::default() }
    }

    /// Other limits from now on; what was used is used.
    pub(crate) fn set_limits(&mut self, limits: Limits, now: Instant) {
        if self.limits != limits {
            let (streams, spent, told) = (self.streams, self.spent, self.told);
            *self = Self { streams, spent, told, ..Self::new(limits, now) };
        }
    }

    /// One more stream, or why not.
    pub(crate) fn open(&mut self, now: Instant) -> Result<(), Over> {
        if self.limits.streams.is_some_and(|most| self.streams >= most) {
            return Err(Over::Streams);
        }
        if self.limits.total.is_some_and(|most| self.spent >= most) {
            return Err(Over::Total);
        }
        if self.new.as_mut().is_some_and(|new| !new.take(1, now)) {
            return Err(Over::New);
        }
        self.streams += 1;
        Ok(())
    }

    /// As [`super::accounts::Accounts::refused`].
    pub(super) fn refused(&mut self, now: Instant) -> Option<u64> {
        self.told.again(now)
    }

    /// One stream less.
    pub(crate) fn close(&mut self) {
        self.streams = self.streams.saturating_sub(1);
    }

    /// How many streams are open.
    #[cfg(test)]
    pub(crate) fn streams(&self) -> u32 {
        self.streams
    }

    /// These bytes have been carried: how long to wait before more are, or why no more are at all.
    pub(crate) fn spend(&mut self, bytes: u64, now: Instant) -> Result<Duration, Over> {
        self.spent = self.spent.saturating_add(bytes);
        if self.limits.total.is_some_and(|most| self.spent > most) {
            return Err(Over::Total);
        }
        Ok(self.bytes.as_mut().map_or(Duration::ZERO, |bucket| bucket.spend(bytes, now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Limits = Limits { streams: None, new: None, rate: None, total: None };

    #[test]
    fn a_client_has_as_many_streams_as_it_may() {
        let now = Instant::now();
        let mut account = Account::new(Limits { streams: Some(2), ..NONE }, now);
        assert_eq!((account.open(now), account.open(now)), (Ok(()), Ok(())));
        assert_eq!(account.open(now), Err(Over::Streams));
        account.close();
        assert_eq!(account.open(now), Ok(()));
        assert_eq!(account.streams(), 2);
        account.set_limits(Limits { streams: Some(3), ..NONE }, now);
        assert_eq!((account.open(now), account.open(now)), (Ok(()), Err(Over::Streams)));
    }

    #[test]
    fn new_streams_come_at_their_rate() {
        let mut now = Instant::now();
        let mut account = Account::new(Limits { new: Some(10), ..NONE }, now);
        let opened = |account: &mut Account, now| (0..100).filter(|_| account.open(now).is_ok()).count();
        assert_eq!(opened(&mut account, now), 10);
        assert_eq!(account.open(now), Err(Over::New));
        now += Duration::from_millis(350);
        assert_eq!(opened(&mut account, now), 3);
        now += Duration::from_secs(3600);
        assert_eq!(opened(&mut account, now), 10);
    }

    #[test]
    fn a_refused_stream_costs_nothing() {
        let now = Instant::now();
        let limits = Limits { streams: Some(1), new: Some(2), ..NONE };
        let mut account = Account::new(limits, now);
        assert_eq!((account.open(now), account.open(now)), (Ok(()), Err(Over::Streams)));
        account.close();
        assert_eq!(account.open(now), Ok(()));
    }

    #[test]
    fn bytes_are_waited_for_and_used_up() {
        let start = Instant::now();
        let limits = Limits { rate: Some(1000), total: Some(4000), ..NONE };
        let mut account = Account::new(limits, start);
        assert_eq!(account.spend(1000, start), Ok(Duration::ZERO));
        assert_eq!(account.spend(500, start), Ok(Duration::from_millis(500)));
        assert_eq!(account.spend(1500, start), Ok(Duration::from_secs(2)));
        assert_eq!(account.spend(1000, start + Duration::from_secs(3)), Ok(Duration::ZERO));
        assert_eq!(account.open(start), Err(Over::Total));
        assert_eq!(account.spend(1, start), Err(Over::Total));
        account.set_limits(Limits { total: Some(4001), ..NONE }, start);
        assert_eq!(account.open(start), Err(Over::Total));
    }

    #[test]
    fn without_limits_nothing_is_refused() {
        let now = Instant::now();
        let mut account = Account::new(NONE, now);
        assert!((0..10_000).all(|_| account.open(now).is_ok()));
        assert_eq!(account.spend(u64::MAX, now), Ok(Duration::ZERO));
        assert_eq!(account.spend(u64::MAX, now), Ok(Duration::ZERO));
    }

    #[test]
    fn what_a_client_does_not_say_the_relay_says() {
        let of_client = Limits { streams: Some(1), rate: Some(2), ..NONE };
        let of_relay = Limits { streams: Some(9), total: Some(3), ..NONE };
        let both = Limits { streams: Some(1), new: None, rate: Some(2), total: Some(3) };
        assert_eq!(of_client.or(of_relay), both);
    }
}
