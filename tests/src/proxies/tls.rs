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

/// The names and addresses at which proxies are.
const HERE: &str = "DNS:web.test,IP:10.77.0.1,IP:10.99.0.1";

/// Makes one by openssl in the world's directory; the name keeps several apart.
pub fn certificate(world: &World, name: &str) -> Certificate {
    signed(world, name, HERE, 30)
}

/// One that has expired.
pub fn expired_certificate(world: &World, name: &str) -> Certificate {
    signed(world, name, HERE, -1)
}

/// One for another host.
pub fn foreign_certificate(world: &World, name: &str) -> Certificate {
    signed(world, name, "DNS:other.test,IP:10.99.0.2", 30)
}

/// One that has signed itself, as `openssl req -x509` makes it: its own authority.
pub fn self_signed_certificate(world: &World, name: &str) -> Certificate {
    let script = r#"
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
            -keyout "$1.key" -out "$1.pem" -subj /CN=web.test -addext "subjectAltName=$2" 2>/dev/null
        cp "$1.pem" "$1.ca.pem"
        cp "$1.pem" "$1.chain.pem"
    "#;
    made(world, name, script, HERE, 30)
}

fn signed(world: &World, name: &str, hosts: &str, days: i32) -> Certificate {
    let script = r#"
        new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "$@" 2>/dev/null; }
        new -x509 -days 30 -keyout "$1.ca.key" -out "$1.ca.pem" -subj "/CN=$1 authority"
        new -keyout "$1.key" -out "$1.csr" -subj /CN=web.test
        printf 'subjectAltName=%s\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n' "$2" >"$1.ext"
        openssl x509 -req -in "$1.csr" -CA "$1.ca.pem" -CAkey "$1.ca.key" -CAcreateserial -days "$3" \
            -extfile "$1.ext" -out "$1.pem" 2>/dev/null
        cat "$1.pem" "$1.ca.pem" >"$1.chain.pem"
    "#;
    made(world, name, script, hosts, days)
}

fn made(world: &World, name: &str, script: &str, hosts: &str, days: i32) -> Certificate {
    let pin = r#"openssl x509 -in "$1.pem" -pubkey -noout | openssl pkey -pubin -outform der |
        openssl dgst -sha256 -binary | openssl base64"#;
    let arguments = [&format!("{script}\n{pin}"), "sh", name, hosts, &days.to_string()];
    let hash = world.far("sh").arg("-ec").args(arguments).run().success();
    let file = |end: &str| world.directory().join(format!("{name}.{end}"));
    Certificate {
        authority: file("ca.pem"),
        chain: file("chain.pem"),
        key: file("key"),
        pin: format!("sha256//{}", hash.trim()),
    }
}
