//! TLS to a proxy, by rustls: whom to believe is said by the URL, and a wrong certificate is a failure
//! of its own kind.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use underpass_core::failure::Failure;
use underpass_core::upstream::{HopHost, Trust};

use super::relay::one_flight::Refused;
use super::stream::{Duplex, Stream};
use crate::tls::BUFFER;
use crate::tls::key::Identity;
use crate::tls::pin::has_key;
use crate::tls::provider;
use crate::tls::signatures::Signatures;

/// Makes TLS connections to one proxy. Its session cache is its own.
pub(crate) struct Connector(TlsConnector);

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl Connector {
    /// Reads the certificates that vouch for the proxy.
    pub(crate) fn new(trust: &Trust) -> Result<Self, String> {
        let provider = provider::others();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match trust {
            Trust::System => builder.with_webpki_verifier(authorities(system_roots()?, &provider)?),
            Trust::Authority(path) => own(builder, authorities_of(path, &provider)?, provider),
            Trust::Pin(pin) => own(builder, Believed::Pinned(*pin), provider),
        };
        Ok(Self(TlsConnector::from(Arc::new(builder.with_no_client_auth()))))
    }

    /// For a relay, which knows us by `identity`; it chooses one of `protocols`, the best first (ALPN).
    pub(crate) fn to_relay(trust: &Trust, identity: &Identity, protocols: &[&str]) -> Result<Self, String> {
        let provider = provider::relays();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| error.to_string())?;
        let builder = match trust {
            Trust::System => builder.with_webpki_verifier(authorities(system_roots()?, &provider)?),
            Trust::Authority(path) => own(builder, authorities_of(path, &provider)?, provider),
            Trust::Pin(pin) => own(builder, Believed::Pinned(*pin), provider),
        };
        // What is said early could be said again by somebody else: it stays off (RFC 8446 section 8).
        let mut config = builder.with_client_cert_resolver(identity.resolver());
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Makes the handshake over `stream`. A name is what the certificate must be for; it is sent (SNI), an
    /// address is not.
    pub(crate) async fn wrap(&self, stream: Stream, host: &HopHost) -> Result<Stream, Failure> {
        self.connect(stream.into_duplex(), host).await.map(Stream::wrapped)
    }

    /// The same; what is returned also knows what was agreed on.
    pub(crate) async fn connect(
        &self,
        stream: Box<dyn Duplex>,
        host: &HopHost,
    ) -> Result<TlsStream<Box<dyn Duplex>>, Failure> {
        let name = match host {
            HopHost::Address(ip) => ServerName::IpAddress((*ip).into()),
            HopHost::Name(name) => ServerName::try_from(name.clone())
                .map_err(|_| Failure::Certificate("no certificate can be for such a name".to_owned()))?,
        };
        let limit = |session: &mut rustls::ClientConnection| session.set_buffer_limit(Some(BUFFER));
        self.0.connect_with(name, stream, limit).await.map_err(|error| failure(&error))
    }
}

/// What an error of TLS means, or of a stream that TLS is spoken over.
pub(crate) fn failure(error: &std::io::Error) -> Failure {
    if let Some(Refused(failure)) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return failure.clone();
    }
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(why)) => Failure::Certificate(match why {
            CertificateError::ApplicationVerificationFailure => {
                "its public key is another than the pinned one".to_owned()
            }
            CertificateError::UnknownIssuer => "nobody who is trusted vouches for it".to_owned(),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "it has expired".to_owned()
            }
            why => Error::InvalidCertificate(why.clone()).to_string(),
        }),
        // The other end says nothing else about a certificate than what it thinks of ours.
        Some(Error::AlertReceived(
            AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA,
        )) => Failure::UnknownKey,
        Some(other) => Failure::Tls(other.to_string()),
        None if error.raw_os_error() == Some(libc::ETIMEDOUT) => Failure::TimedOut,
        None => Failure::UpstreamClosed,
    }
}

type Builder<State> = rustls::ConfigBuilder<ClientConfig, State>;

fn own(
    builder: Builder<rustls::WantsVerifier>,
    believed: Believed,
    provider: Arc<CryptoProvider>,
) -> Builder<rustls::client::WantsClientCert> {
    let verifier = Arc::new(Verifier { believed, signatures: Signatures(provider) });
    builder.dangerous().with_custom_certificate_verifier(verifier)
}

/// The certificates of a PEM file.
fn authorities_of(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Believed, String> {
    let named = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
    let given = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| named(&error))?;
    let mut roots = RootCertStore::empty();
    for certificate in &given {
        roots.add(certificate.clone()).map_err(|error| named(&error))?;
    }
    if roots.is_empty() {
        return Err(named(&"no certificate in PEM format"));
    }
    Ok(Believed::Given { authorities: authorities(roots, provider)?, given })
}

fn system_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(
            "no root certificates on this system; install ca-certificates, or use ?ca= or ?pin=".to_owned()
        );
    }
    Ok(roots)
}

fn authorities(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, String> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| error.to_string())
}

/// Whom a certificate is believed. Signatures of the handshake are judged as ever.
#[derive(Debug)]
struct Verifier {
    believed: Believed,
    signatures: Signatures,
}

#[derive(Debug)]
enum Believed {
    /// The authorities of a file, and the very certificates in it: one that has signed itself is what
    /// `openssl req -x509` makes, and no authority may be a server by the rules (RFC 5280).
    Given { authorities: Arc<WebPkiServerVerifier>, given: Vec<CertificateDer<'static>> },
    /// One public key, by its SHA-256, whoever vouches for it and however long.
    Pinned([u8; 32]),
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.believed {
            Believed::Given { given, .. } if given.iter().any(|given| given == certificate) => {
                // It was given in person; what is left to see is whether it is for this host.
                let parsed = rustls::server::ParsedCertificate::try_from(certificate)?;
                rustls::client::verify_server_name(&parsed, name)?;
                Ok(ServerCertVerified::assertion())
            }
            Believed::Given { authorities, .. } => {
                authorities.verify_server_cert(certificate, intermediates, name, ocsp, now)
            }
            Believed::Pinned(pin) => has_key(certificate, pin),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.tls12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.tls13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.schemes()
    }
}
