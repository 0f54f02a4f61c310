//! Where a relay is reached: addresses of its own, and sockets that were passed to it.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use underpass_core::config::listen::Place;

use super::policy::settings::Listen;
use super::run::{Failure, named};
use crate::listening;
use crate::service::passed::{Named, Passed};

/// The name, for a successor, of what we have bound. A service manager gives none with a colon.
const OWN: &str = "own:";

/// Listens where it is wanted, by a socket that was passed where one is there already. With names for a successor.
pub(super) fn listeners(
    wanted: &[Listen],
    mut passed: Passed,
) -> Result<Vec<(String, TcpListener)>, Failure> {
    let mut listeners = Vec::new();
    for listen in wanted {
        let Listen::Address(address) = listen else { continue };
        let (name, listener) = match passed.at(&Place::Address(*address), true) {
            Some(one) => (one.name, Ok(one.socket.into())),
            None => (OWN.to_owned(), listening::bind(*address, has_v4(wanted, address.port()))),
        };
        let listener = listener.and_then(TcpListener::from_std);
        listeners.push((name, listener.map_err(named(format_args!("listen {address}")))?));
    }
    if wanted.contains(&Listen::Inherited) {
        let before = listeners.len();
        // A predecessor's own is where nobody is wanted to listen any more.
        let is_ours = |one: &Named| one.name != OWN && matches!(one.place(), Some(Place::Address(_)));
        for one in passed.rest().into_iter().filter(is_ours) {
            let listener = TcpListener::from_std(one.socket.into()).map_err(named("listen systemd"))?;
            listeners.push((one.name, listener));
        }
        if listeners.len() == before {
            let why = "listen systemd: no socket was passed (sd_listen_fds(3))";
            return Err(Failure::Other(why.to_owned()));
        }
    }
    Ok(listeners)
}

/// Whether `[::]` has to leave IPv4 to another.
fn has_v4(wanted: &[Listen], port: u16) -> bool {
    wanted.iter().any(|one| matches!(one, Listen::Address(SocketAddr::V4(v4)) if v4.port() == port))
}
