//! Paths with relays: a session with the last of them carries the connections, and the hops after it, which are no
//! relays, are spoken to inside.

use underpass_core::failure::Failure;

use super::{Chain, Dial};
use crate::upstream::relay::sessions::{Sessions, Through};
use crate::upstream::{Far, path};

impl Chain {
    /// `None` where there is no such session.
    pub(super) async fn by_session(&self, dial: &Dial<'_>) -> Result<Option<Far>, Failure> {
        let Dial { path, hops, destination, options, client, patience, progress } = *dial;
        if let [hop] = hops
            && let Some(inside) = hop.inside
        {
            return inside.dial(destination, client, patience).await.map(Some);
        }
        let Some(last) = hops.iter().rposition(|hop| hop.is_relay()) else { return Ok(None) };
        let next = match hops.get(last + 1) {
            // ssh asks for its host by itself.
            Some(next) if next.proxy().is_none() => return Ok(None),
            Some(next) => next.destination(),
            None => None,
        };
        let through = Through { path: &path[..=last], hops: &hops[..=last], client, destination, patience };
        let asked = next.as_ref().unwrap_or(destination);
        let dialled = Sessions::dial(&self.sessions, &through, asked, progress);
        let Some(far) = dialled.await? else { return Ok(None) };
        if next.is_none() {
            return Ok(Some(far));
        }
        let opened = path::go_on(hops, last + 1, far, options, client, progress).await?;
        path::ask(hops, opened, destination, progress).await.map(Some)
    }
}
