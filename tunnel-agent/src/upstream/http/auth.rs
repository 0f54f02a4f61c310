//! How a proxy wants to be told who asks: Basic (RFC 7617) at once, Digest (RFC 7616) once it has sent
//! challenges.
//!
//! Proxies such as squid void a nonce whose counts arrive out of order, as they do when handshakes
//! run side by side. So a challenge is lent to one handshake at a time.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_auth::digest::Qop;
use http_auth::parser::ChallengeParser;
use http_auth::{DigestClient, PasswordParams};
use parking_lot::Mutex;
use underpass_core::failure::Failure;
use underpass_core::upstream::Credentials;

/// How many challenges are kept for handshakes to come.
const MAX_KEPT: usize = 64;

/// What is known of how one proxy authenticates; shared by all handshakes with it that have the same
/// credentials.
#[derive(Default)]
pub(crate) struct HttpAuth {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Whether it has challenged with Digest. From then on Basic is never sent, since it has either
    /// been refused or not been offered.
    digest: bool,
    /// Challenges that no handshake holds, the last one in front of the others.
    challenges: Vec<DigestClient>,
}

/// What one handshake answers with.
pub(super) enum Answer {
    Basic,
    /// Nothing yet, so that the proxy challenges.
    Nothing,
    Digest(Box<DigestClient>),
}

/// What a 407 means.
pub(super) enum Verdict {
    /// Try once more with this.
    Again(Answer),
    /// The credentials are wrong.
    Refused,
    /// It wants what is not spoken here.
    NoMethod,
}

impl HttpAuth {
    /// What to answer with, before anything was heard on this connection.
    pub(super) fn answer(&self) -> Answer {
        let mut known = self.known.lock();
        match known.challenges.pop() {
            Some(challenge) => Answer::Digest(Box::new(challenge)),
            None if known.digest => Answer::Nothing,
            None => Answer::Basic,
        }
    }

    /// Takes back what was not refused, for the next handshake.
    pub(super) fn release(&self, answer: Answer) {
        let Answer::Digest(challenge) = answer else { return };
        // Of a session, A1 belongs to the first client nonce (RFC 7616 section 3.4.2), which is not kept.
        let spent = challenge.session() && challenge.nonce_count() > 0;
        let mut known = self.known.lock();
        if !spent && known.challenges.len() < MAX_KEPT {
            known.challenges.push(*challenge);
        }
    }

    /// Judges a 407 in answer to `sent`; `challenges` are the values of `Proxy-Authenticate`.
    pub(super) fn judge<'a>(
        &self,
        sent: Option<Answer>,
        challenged: bool,
        challenges: impl Iterator<Item = &'a str>,
    ) -> Verdict {
        let offer = Offer::read(challenges);
        if offer.digest.is_some() {
            self.known.lock().digest = true;
        }
        match (sent, offer.digest) {
            // A nonce that served before may have been forgotten; one that did not was refused for
            // the credentials, unless the proxy says that it is stale.
            (Some(Answer::Digest(sent)), Some(next))
                if !challenged && (next.stale() || sent.nonce_count() > 1) =>
            {
                Verdict::Again(Answer::Digest(Box::new(next)))
            }
            (Some(Answer::Basic | Answer::Nothing), Some(next)) if !challenged => {
                Verdict::Again(Answer::Digest(Box::new(next)))
            }
            (_, Some(next)) => {
                self.release(Answer::Digest(Box::new(next)));
                Verdict::Refused
            }
            // After Basic alone: the proxy that never challenged with Digest has had what it wants.
            (Some(Answer::Basic), None) if offer.basic || offer.empty => Verdict::Refused,
            (Some(Answer::Digest(_)), None) if offer.empty => Verdict::Refused,
            _ => Verdict::NoMethod,
        }
    }
}

/// What a 407 offers.
#[derive(Default)]
struct Offer {
    empty: bool,
    basic: bool,
    /// The first challenge that can be answered, as RFC 7616 section 3.7 advises.
    digest: Option<DigestClient>,
}

impl Offer {
    fn read<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut offer = Self { empty: true, ..Self::default() };
        for value in values {
            offer.empty = false;
            // A list is read up to its first fault.
            for challenge in ChallengeParser::new(value).map_while(Result::ok) {
                if challenge.scheme.eq_ignore_ascii_case("Basic") {
                    offer.basic = true;
                } else if offer.digest.is_none() {
                    offer.digest =
                        DigestClient::try_from(&challenge).ok().filter(|client| client.qop() & Qop::Auth);
                }
            }
        }
        offer
    }
}

impl Answer {
    /// The value of `Proxy-Authorization` for a `CONNECT` to `authority`, if there is to be one, and
    /// what to keep until the proxy has spoken.
    pub(super) fn spend(
        self,
        credentials: &Credentials,
        authority: &str,
    ) -> Result<(Self, Option<String>), Failure> {
        match self {
            Self::Nothing => Ok((Self::Nothing, None)),
            Self::Basic if credentials.user.contains(&b':') => {
                Err(Failure::Credentials("a user name with a colon has no place in Basic credentials"))
            }
            Self::Basic => {
                let pair = [&credentials.user[..], b":", &credentials.password].concat();
                Ok((Self::Basic, Some(format!("Basic {}", STANDARD.encode(pair)))))
            }
            Self::Digest(mut challenge) => {
                let text = |bytes| std::str::from_utf8(bytes).map_err(|_| NOT_TEXT);
                let value = challenge.respond(&PasswordParams {
                    username: text(&credentials.user)?,
                    password: text(&credentials.password)?,
                    uri: authority,
                    method: "CONNECT",
                    body: None,
                });
                // The error holds what was to be written, so it is not passed on.
                let value = value.map_err(|_| NOT_ANSWERED)?;
                Ok((Self::Digest(challenge), Some(value)))
            }
        }
    }
}

const NOT_TEXT: Failure = Failure::Credentials("Digest credentials are text, and these are not UTF-8");
const NOT_ANSWERED: Failure = Failure::Protocol("its challenge cannot be answered");

/// Without the nonces.
impl fmt::Debug for HttpAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpAuth").finish_non_exhaustive()
    }
}
