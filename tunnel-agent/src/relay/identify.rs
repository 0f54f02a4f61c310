//! Who may speak to a relay at all: TLS 1.3, and a certificate with a key that is known. Whoever is refused hears an
//! alert of TLS and nothing of HTTP.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme,
};

use super::Known;
use crate::tls::key::Identity;
use crate::tls::pin::Pin;
use crate::tls::provider;
use crate::tls::signatures::Signatures;

/// Protocols by the names that ALPN has for them (RFC 7301).
pub(crate) const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// What every connection to a relay begins with. No session is resumed: a key that is taken from the file is
/// refused from then on, and nothing that was captured can be said again.
pub(crate) fn configuration(identity: &Identity, known: &Arc<Known>) -> Result<ServerConfig, Error> {
    let verifier = Verifier { known: Arc::clone(known), signatures: Signatures(provider::relays()) };
    let mut config = ServerConfig::builder_with_provider(provider::relays())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(identity.resolver());
    config.alpn_protocols = vec![H2.to_vec(), HTTP1.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// Asks for a certificate, and believes it for its key alone.
struct Verifier {
    known: Arc<Known>,
    signatures: Signatures,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    /// Where tokens are known, whoever shows no key is asked for one by HTTP.
    fn client_auth_mandatory(&self) -> bool {
        self.known.needs_key()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // Whether the key is known is only said to whoever has it: see below.
        Pin::of(certificate).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let valid = self.signatures.tls13(message, certificate, signed)?;
        match self.known.by_key(&Pin::of(certificate)?, SystemTime::now()) {
            Some(_) => Ok(valid),
            None => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.schemes()
    }
}
