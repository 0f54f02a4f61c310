//! How many sessions of HTTP/2 each client has: whoever is known may open thousands of streams on each, but must not
//! be able to take all descriptors.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Of one client at once.
const MOST: u32 = 64;

/// Sessions by the names of their clients.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions(Arc<Mutex<HashMap<Arc<str>, u32>>>);

/// Counts as one as long as it lives.
#[derive(Debug)]
pub(crate) struct Session {
    sessions: Sessions,
    client: Arc<str>,
}

impl Sessions {
    /// One more; `None` if the client has as many as it may.
    pub(crate) fn begin(&self, client: &Arc<str>) -> Option<Session> {
        let mut counts = self.0.lock();
        let count = counts.entry(Arc::clone(client)).or_insert(0);
        if *count >= MOST {
            return None;
        }
        *count += 1;
        Some(Session { sessions: self.clone(), client: Arc::clone(client) })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut counts = self.sessions.0.lock();
        match counts.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.client)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_counts_until_it_is_dropped() {
        let sessions = Sessions::default();
        let (ann, bob) = (Arc::from("ann"), Arc::from("bob"));
        let mut open: Vec<_> = (0..MOST).map(|_| sessions.begin(&ann).unwrap()).collect();
        assert!(sessions.begin(&ann).is_none() && sessions.begin(&bob).is_some());
        open.pop();
        open.push(sessions.begin(&ann).unwrap());
        assert!(sessions.begin(&ann).is_none());
        drop(open);
        assert!(sessions.0.lock().is_empty());
    }
}
