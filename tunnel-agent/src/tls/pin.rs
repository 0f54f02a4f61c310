//! A public key by the SHA-256 of its SubjectPublicKeyInfo (RFC 7469 section 2.4), written as curl writes it
//! (`--pinnedpubkey`): `sha256//` and 44 characters of base64.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::ServerCertVerified;
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, Error};

const PREFIX: &str = "sha256//";

/// One public key. `Ord`, so that it can be looked up; nothing about it is secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pin(pub(crate) [u8; 32]);

impl Pin {
    /// Of the key that `certificate` is about, whoever vouches for it.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Result<Self, Error> {
        let parsed = webpki::EndEntityCert::try_from(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        Ok(Self::of_key(parsed.subject_public_key_info().as_ref()))
    }

    /// Of a SubjectPublicKeyInfo in DER.
    pub(crate) fn of_key(key: &[u8]) -> Self {
        let mut pin = [0; 32];
        pin.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, key).as_ref());
        Self(pin)
    }
}

/// Whether `certificate` is about the key with this pin; what a verifier answers.
pub(crate) fn has_key(certificate: &CertificateDer<'_>, pin: &[u8; 32]) -> Result<ServerCertVerified, Error> {
    if Pin::of(certificate)?.0 == *pin {
        Ok(ServerCertVerified::assertion())
    } else {
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoPin;

impl fmt::Display for NoPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pin is sha256// and 44 characters of base64, as curl writes it (--pinnedpubkey)")
    }
}

impl FromStr for Pin {
    type Err = NoPin;

    fn from_str(text: &str) -> Result<Self, NoPin> {
        underpass_core::upstream::pin(text).map(Self).ok_or(NoPin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_read_as_it_is_written() {
        let pin = Pin::of_key(b"key");
        assert_eq!(pin.to_string().parse(), Ok(pin));
        assert_eq!(pin.to_string().len(), 8 + 44);
    }

    #[test]
    fn what_is_cut_or_of_another_kind_is_no_pin() {
        let good = Pin::of_key(b"key").to_string();
        for bad in
            ["", "sha256//", "sha256//AAAA", &good[..51], &good.replace("sha256//", "sha1//"), &good[8..]]
        {
            assert_eq!(bad.parse::<Pin>(), Err(NoPin), "{bad}");
        }
        assert_eq!(format!("{good}=").parse::<Pin>(), Err(NoPin));
    }
}
