//! Tokens, for browsers and others that have no key: `Proxy-Authorization` with Bearer (RFC 6750), or with Basic
//! (RFC 7617), where the password is the token and the user's name is not looked at.

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::Known;
use super::policy::client::Client;

/// What a 407 offers.
pub(crate) const CHALLENGES: [&str; 2] =
    ["Basic realm=\"relay\", charset=\"UTF-8\"", "Bearer realm=\"relay\""];
/// What it says, whoever asks for whatever.
pub(crate) const BODY: &str = "This relay wants to know who asks.\n";

/// Who has this value of `Proxy-Authorization`.
pub(crate) fn client(known: &Known, authorization: Option<&str>) -> Option<Arc<Client>> {
    known.by_token(&token(authorization?)?, SystemTime::now())
}

fn token(value: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Zeroizing::new(rest.as_bytes().to_vec()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = Zeroizing::new(STANDARD.decode(rest).ok()?);
    let colon = pair.iter().position(|&byte| byte == b':')?;
    Some(Zeroizing::new(pair[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_schemes_carry_the_same_token() {
        for value in ["Bearer open:sesame", "bearer  open:sesame", "Basic YWxpOm9wZW46c2VzYW1l"] {
            assert_eq!(token(value).unwrap().as_slice(), b"open:sesame", "{value}");
        }
        for value in ["", "Basic", "Basic !!", "Basic YQ==", "Digest a=b", "open:sesame"] {
            assert!(token(value).is_none(), "{value}");
        }
    }
}
