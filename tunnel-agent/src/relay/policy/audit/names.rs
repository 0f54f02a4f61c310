//! Names as keyed hashes: the same name has the same hash, and without the key nobody can try names.

use std::fmt;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use underpass_core::config::logins;

/// Half of a SHA-256 tells names apart.
const BYTES: usize = 16;

/// Fewer bytes could be guessed.
const LEAST_KEY: usize = 16;

pub(super) struct Hasher(hmac::Key);

impl Hasher {
    /// With the content of a file that nobody else can read, or with a key that nobody knows.
    pub(super) fn new(file: Option<&Path>) -> io::Result<Self> {
        let Some(path) = file else {
            let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
            return key.map(Self).map_err(|_| io::Error::other("no random numbers"));
        };
        let wrong = |why: &str| io::Error::other(format!("{}: {why}", path.display()));
        let text = logins::from_file(path).map_err(|why| wrong(&why))?;
        match text.trim_end() {
            key if key.len() < LEAST_KEY => Err(wrong("a key has 16 characters or more")),
            key => Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()))),
        }
    }

    /// `hmac:` and 22 characters.
    pub(super) fn hash(&self, name: &str) -> String {
        let tag = hmac::sign(&self.0, name.as_bytes());
        let tag = tag.as_ref();
        format!("hmac:{}", URL_SAFE_NO_PAD.encode(tag.get(..BYTES).unwrap_or(tag)))
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}
