//! Whom the hops of a chain keep apart.

use std::borrow::Cow;

use underpass_core::destination::Destination;
use underpass_core::upstream::Isolation;

use super::Chain;
use crate::upstream::hop::Client;

impl Chain {
    /// Whether a hop keeps connections apart by this: then it is in what is said to it.
    pub(crate) fn isolates(&self, by: Isolation) -> bool {
        self.hops.iter().any(|hop| hop.isolation() == by)
    }

    /// The client as the hops are to know it that connects to `destination`.
    pub(crate) fn bound_for<'a>(&self, client: &'a Client, destination: &Destination) -> Cow<'a, Client> {
        match self.isolates(Isolation::Destination) {
            true => Cow::Owned(Client { host: Some(host_of(destination)), ..client.clone() }),
            false => Cow::Borrowed(client),
        }
    }
}

/// What stands for a destination where hosts are kept apart.
pub(crate) fn host_of(destination: &Destination) -> String {
    match destination {
        Destination::Name { host, .. } => host.to_ascii_lowercase(),
        Destination::Address(address) => address.ip().to_string(),
    }
}
