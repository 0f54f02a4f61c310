//! Who may come in by a door.

use ring::digest::{Context, Digest, SHA256};
use underpass_core::upstream::Credentials;

/// One user name with its password, as a digest: how long a comparison takes tells nothing of them.
#[derive(Clone, Debug)]
pub(crate) struct Login(Digest);

impl Login {
    pub(crate) fn new(credentials: &Credentials) -> Self {
        Self(digest(&credentials.user, &credentials.password))
    }

    /// Whether it is this one.
    pub(crate) fn is(&self, user: &[u8], password: &[u8]) -> bool {
        self.0.as_ref() == digest(user, password).as_ref()
    }
}

fn digest(user: &[u8], password: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(&user.len().to_be_bytes());
    context.update(user);
    context.update(password);
    context.finish()
}
