//! Certificates for proxies that speak TLS.

use std::path::PathBuf;

use crate::World;

/// A certificate authority of our own and one certificate of it.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The authority's certificate.
    pub authority: PathBuf,
    /// The server's certificate, for `web.test`, `10.77.0.1` and `10.99.0.1`, and the authority's.
    pub chain: PathBuf,
    /// The server's key.
    pub key: PathBuf,
    /// The public key's SHA-256, as curl writes it: `sha256//BASE64`.
    pub pin: String,
}

/// Makes one by openssl in the world's directory; the name keeps several apart.
pub fn certificate(world: &World, name: &str) -> Certificate {
    let script = r#"
        new() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 "$@" 2>/dev/null; }
        new -keyout "$1.ca.key" -out "$1.ca.pem" -subj "/CN=$1 authority"
        new -keyout "$1.key" -out "$1.pem" -subj /CN=web.test -CA "$1.ca.pem" -CAkey "$1.ca.key" \
            -addext subjectAltName=DNS:web.test,IP:10.77.0.1,IP:10.99.0.1 \
            -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth
        cat "$1.pem" "$1.ca.pem" >"$1.chain.pem"
        openssl x509 -in "$1.pem" -pubkey -noout | openssl pkey -pubin -outform der |
            openssl dgst -sha256 -binary | openssl base64"#;
    let hash = world.far("sh").args(["-ec", script, "sh", name]).run().success();
    let file = |end: &str| world.directory().join(format!("{name}.{end}"));
    Certificate {
        authority: file("ca.pem"),
        chain: file("chain.pem"),
        key: file("key"),
        pin: format!("sha256//{}", hash.trim()),
    }
}
