//! A new key and a certificate that it has signed itself.
//!
//! The certificate says nothing that a pin does not: no machine, no user, no date of its making. Two relays that see
//! two keys of one client must not know it as the same. A relay's names are there because curl and browsers look for
//! the name that they have dialled.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::{Zeroize, Zeroizing};

use super::{Identity, KeyError, certificate_path};

/// A key that no file holds yet.
pub(crate) struct Made {
    key: KeyPair,
    certificate: rcgen::Certificate,
}

impl Made {
    /// `names` are a relay's host names and addresses; a client has none.
    pub(crate) fn new(names: &[String]) -> Result<Self, String> {
        let words = |error: rcgen::Error| error.to_string();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(words)?;
        let mut params = CertificateParams::new(names).map_err(words)?;
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, "underpass");
        params.distinguished_name = name;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2120, 1, 1);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.self_signed(&key).map_err(words)?;
        Ok(Self { key, certificate })
    }

    /// To be used as it is, in memory.
    pub(crate) fn identity(&self) -> Result<Identity, String> {
        let mut key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialized_der().to_vec()));
        let identity = Identity::of(vec![self.certificate.der().clone()], &key);
        key.zeroize();
        identity
    }

    /// Writes PATH and PATH.crt, neither of which may be there. A directory that is missing is made, for the user
    /// alone.
    pub(crate) fn write(&self, path: &Path) -> Result<(), KeyError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    KeyError::Io(path, io::Error::new(error.kind(), "it is there, and is not overwritten"))
                }
                _ => KeyError::Io(path, error),
            }
        };
        if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.map_err(failed(directory))?;
        }
        let beside = certificate_path(path);
        if beside.symlink_metadata().is_ok() {
            return Err(failed(&beside)(io::ErrorKind::AlreadyExists.into()));
        }
        let pem = Zeroizing::new(self.key.serialize_pem());
        write_new(path, 0o600, pem.as_bytes()).map_err(failed(path))?;
        write_new(&beside, 0o644, self.certificate.pem().as_bytes()).map_err(failed(&beside))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// All of it on the disk, or nothing that could be mistaken for it.
fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(mode).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = std::fs::remove_file(path);
    }
    written
}
