//! A key of our own, and the certificate that is about it.
//!
//! The file at PATH holds the private key (PKCS#8 in PEM), and the one at PATH.crt the certificate, as ssh has
//! `id_ed25519` and `id_ed25519.pub`. A key that others could have read or changed is refused.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use zeroize::{Zeroize, Zeroizing};

use super::pin::Pin;

pub(crate) mod made;

/// No key file is longer.
const LONGEST: u64 = 64 * 1024;

/// Who we are towards the other end of TLS. The private key is inside the library's signer.
#[derive(Clone)]
pub(crate) struct Identity {
    certified: Arc<CertifiedKey>,
    pin: Pin,
}

/// Why there is no identity. Each text says what to do about it.
#[derive(Debug)]
pub(crate) enum KeyError {
    /// The file does not exist.
    Missing(PathBuf),
    /// It cannot be read or written.
    Io(PathBuf, io::Error),
    /// Others than its owner have access, or it is another's.
    Loose(PathBuf, &'static str),
    /// It is not what it has to be.
    Malformed(PathBuf, String),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => {
                write!(f, "{}: there is no such key; underpass-agent keygen makes one", path.display())
            }
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Loose(path, why) => write!(f, "{}: {why}", path.display()),
            Self::Malformed(path, why) => write!(f, "{}: {why}", path.display()),
        }
    }
}

impl std::error::Error for KeyError {}

/// PATH.crt
pub(crate) fn certificate_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".crt");
    name.into()
}

/// Where a client's key is if nothing says otherwise: `$XDG_CONFIG_HOME/underpass/client.key`.
pub(crate) fn default_client_key() -> Option<PathBuf> {
    underpass_core::config::logins::default_key(|name| std::env::var(name).ok())
}

impl Identity {
    /// Reads the key, and the certificate, which is at [`certificate_path`] as a rule.
    pub(crate) fn read(path: &Path, certificate: &Path) -> Result<Self, KeyError> {
        let secret = read_secret(path)?;
        let at = || certificate.to_owned();
        let text = std::fs::read(certificate).map_err(|error| KeyError::Io(at(), error))?;
        let chain = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| KeyError::Malformed(at(), error.to_string()))?;
        let mut key = PrivateKeyDer::from_pem_slice(&secret).map_err(|error| {
            KeyError::Malformed(path.to_owned(), format!("no private key in PEM: {error}"))
        })?;
        let identity = Self::of(chain, &key);
        key.zeroize();
        identity.map_err(|why| KeyError::Malformed(path.to_owned(), why))
    }

    /// Of what is in memory. The certificate has to be about the key.
    fn of(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'static>) -> Result<Self, String> {
        let first = chain.first().ok_or("its .crt holds no certificate")?;
        let pin = Pin::of(first).map_err(|error| error.to_string())?;
        let signer = any_supported_type(key).map_err(|error| error.to_string())?;
        let certified = CertifiedKey::new(chain, signer);
        certified.keys_match().map_err(|_| "its .crt is about another key")?;
        Ok(Self { certified: Arc::new(certified), pin })
    }

    /// The public key, as the other end knows it.
    pub(crate) fn pin(&self) -> Pin {
        self.pin
    }

    /// For either end's configuration (`with_client_cert_resolver`, `with_cert_resolver`).
    pub(crate) fn resolver(&self) -> Arc<SingleCertAndKey> {
        Arc::new(SingleCertAndKey::from(CertifiedKey::clone(&self.certified)))
    }
}

/// Without the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.pin).finish()
    }
}

/// What is in a file that only its owner may read, and that is ours or root's.
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => KeyError::Missing(path.to_owned()),
        _ => KeyError::Io(path.to_owned(), error),
    };
    let file = File::open(path).map_err(failed)?;
    // Of what was opened, not of what the name stands for by now.
    let found = file.metadata().map_err(failed)?;
    let loose = |why| Err(KeyError::Loose(path.to_owned(), why));
    if !found.is_file() {
        return loose("it is no regular file");
    }
    if found.uid() != rustix::process::geteuid().as_raw() && found.uid() != 0 {
        return loose("it belongs to another user");
    }
    // What a service manager passes is in a directory that nobody else can enter. Where an access list lets its service
    // read it, the list's mask shows as the group's bits (acl(5)).
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    let is_passed = credentials.is_some_and(|directory| path.starts_with(directory)) && found.uid() == 0;
    if found.mode() & (if is_passed { 0o037 } else { 0o077 }) != 0 {
        return loose("others have access to it; chmod 600 takes that away");
    }
    if found.len() > LONGEST {
        return loose("it is too long for a key");
    }
    // Of one size, so that no part of it stays behind in memory that was grown out of.
    let mut secret = Zeroizing::new(vec![0; found.len() as usize]);
    let mut length = 0;
    let mut file = file;
    while length < secret.len() {
        match file.read(&mut secret[length..]).map_err(failed)? {
            0 => break,
            more => length += more,
        }
    }
    secret.truncate(length);
    Ok(secret)
}

#[cfg(test)]
mod tests;
