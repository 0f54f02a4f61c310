//! The clients that a relay knows.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::limits::Limits;
use super::rules::Rule;

/// The SHA-256 of a public key, or of a token.
pub(crate) type Digest = [u8; 32];

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) name: Arc<str>,
    /// Enough of the digest to tell keys apart.
    pub(crate) fingerprint: Arc<str>,
    /// What restricts it, beside the rules of the relay.
    pub(super) rules: Vec<Rule>,
    pub(crate) limits: Limits,
    pub(super) expiry: Option<SystemTime>,
}

/// The name of whoever asks where nobody is asked for a key.
pub(crate) const ANONYMOUS: &str = "anonymous";

impl Client {
    /// Anybody, where that is configured.
    pub(crate) fn anonymous(limits: Limits) -> Self {
        let (name, fingerprint) = (ANONYMOUS.into(), "".into());
        Self { name, fingerprint, rules: Vec::new(), limits, expiry: None }
    }

    /// Whether the client is not to be served any more.
    pub(crate) fn has_expired(&self, now: SystemTime) -> bool {
        self.expiry.is_some_and(|expiry| expiry <= now)
    }
}

/// The first characters of the digest as it is written.
pub(super) fn fingerprint(digest: &Digest) -> Arc<str> {
    STANDARD.encode(digest).chars().take(12).collect::<String>().into()
}

/// Clients by the digest of what they show. No digest is told from another by the time that it takes: who
/// could vary one letter by letter would have to invert SHA-256.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clients(HashMap<Digest, Arc<Client>>);

impl Clients {
    /// The client that has this key, unless it has expired.
    pub(crate) fn get(&self, digest: &Digest, now: SystemTime) -> Option<&Arc<Client>> {
        self.0.get(digest).filter(|client| !client.has_expired(now))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Client>> {
        self.0.values()
    }

    pub(super) fn has_name(&self, name: &str) -> bool {
        self.iter().any(|client| *client.name == *name)
    }

    /// Whether the digest was new.
    pub(super) fn add(&mut self, digest: Digest, client: Client) -> bool {
        self.0.insert(digest, Arc::new(client)).is_none()
    }
}
