//! What was found elsewhere, for as long as it may be remembered.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use domain::base::iana::Rtype;
use parking_lot::Mutex;

use super::kept::Key;
use super::message::foreign::Found;

/// No more is remembered.
const MOST: usize = 4096;
/// However long a resolver says: it may be asked again (RFC 8767 section 4 has a week for servers).
const LONGEST: Duration = Duration::from_secs(300);

/// For whom it was asked, the name, and the type.
pub(super) type Asked = (Key, String, Rtype);

/// The answers of one agent.
#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<Asked, (Instant, Found)>>);

impl Cache {
    /// What is remembered.
    pub(super) fn get(&self, asked: &Asked) -> Option<Found> {
        let cache = self.0.lock();
        cache.get(asked).filter(|(until, _)| Instant::now() < *until).map(|(_, found)| found.clone())
    }

    /// Remembers it for so many seconds. A failure is none that could be remembered.
    pub(super) fn put(&self, asked: Asked, found: &Found, seconds: u32) {
        let life = Duration::from_secs(seconds.into()).min(LONGEST);
        if life.is_zero() || *found == Found::Failed {
            return;
        }
        let now = Instant::now();
        let mut cache = self.0.lock();
        if cache.len() >= MOST {
            cache.retain(|_, (until, _)| now < *until);
        }
        if cache.len() >= MOST {
            cache.clear();
        }
        cache.insert(asked, (now + life, found.clone()));
    }
}
