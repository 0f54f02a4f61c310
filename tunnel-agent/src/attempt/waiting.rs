//! Who waits for what becomes of a held socket: a supervisor, for a program in a blocking connect(2).

use std::os::fd::OwnedFd;
use std::sync::Arc;

use underpass_core::failure::errno;
use underpass_core::wire::Reply;

use crate::agent::Agent;
use crate::attempts::Outcome;
use crate::frames;

/// Tells the outcome, and then nobody else. Whoever says something meanwhile waits no longer: the kernel does.
pub(super) async fn tell(agent: Arc<Agent>, cookie: u64, connection: OwnedFd, mut outcome: Outcome) {
    let ended = tokio::select! {
        biased;
        ended = outcome.wait_for(Option::is_some) => ended.ok().and_then(|ended| *ended),
        _ = frames::wait(&connection) => {
            let port = agent.holds.port();
            return frames::reply(&connection, &Reply::Held { blocking: true, port });
        }
    };
    let errno = match ended {
        Some(0) => 0,
        Some(errno) => agent.carried.take_failure(cookie).unwrap_or(errno),
        None => errno::ENETUNREACH,
    };
    frames::reply(&connection, &Reply::Outcome { errno });
}
