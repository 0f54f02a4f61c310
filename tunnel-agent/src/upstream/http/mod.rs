//! The client's side of HTTP/1.1 `CONNECT` (RFC 9110 section 9.3.6), without I/O.
//!
//! The head of the answer is parsed by httparse, challenges by http-auth, and `Proxy-Status` by sfv;
//! what is here decides what they mean. It keeps no connection open for a second try: a challenge
//! ends the handshake, and the handshake can be played once more on a new connection.
#![forbid(unsafe_code)]

mod auth;
pub(crate) mod authority;
mod response;
pub(crate) mod told;

use std::fmt;
use std::sync::Arc;

use underpass_core::destination::Destination;
use underpass_core::failure::Failure;
use underpass_core::upstream::Credentials;

pub(crate) use auth::HttpAuth;

use super::handshake::{Handshake, Step};
use auth::{Answer, Verdict};
use response::Response;

/// How many informational answers (1xx) may precede the final one.
const MAX_INFORMATIONAL: u32 = 16;

/// One handshake. After [`Failure::Challenged`] the same value can be played once more, from its start
/// and on a new connection; it then answers the challenge.
pub(crate) struct HttpConnect {
    state: State,
    /// `HOST:PORT`.
    authority: String,
    login: Option<Login>,
    request: Vec<u8>,
}

struct Login {
    credentials: Credentials,
    auth: Arc<HttpAuth>,
    /// What was sent, or is sent next time.
    answer: Option<Answer>,
    /// Whether a challenge was taken up already.
    challenged: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Request,
    /// So many informational answers have come.
    AwaitAnswer(u32),
    Done,
}

impl HttpConnect {
    /// A handshake for `destination`. `auth` is what is known of how this proxy authenticates, shared
    /// by all handshakes with it; it is not used without credentials.
    ///
    /// [`Failure::Request`] if the name cannot be written into a request, or the user name into
    /// Basic credentials.
    pub(crate) fn new(
        destination: &Destination,
        credentials: Option<&Credentials>,
        auth: Arc<HttpAuth>,
    ) -> Result<Self, Failure> {
        let authority = authority::of(destination)?;
        let login = credentials.map(|credentials| Login {
            credentials: credentials.clone(),
            auth,
            answer: None,
            challenged: false,
        });
        Ok(Self { state: State::Request, authority, login, request: Vec::new() })
    }

    /// The request, with credentials made for this very connection.
    fn write_request(&mut self) -> Result<(), Failure> {
        let authority = &self.authority;
        let mut head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some(login) = &mut self.login {
            let answer = match login.answer.take() {
                Some(answer) => answer,
                None => login.auth.answer(),
            };
            let (answer, value) = answer.spend(&login.credentials, authority)?;
            if let Some(value) = value {
                head.push_str("Proxy-Authorization: ");
                head.push_str(&value);
                head.push_str("\r\n");
            }
            login.answer = Some(answer);
        }
        head.push_str("\r\n");
        self.request = head.into_bytes();
        Ok(())
    }

    /// The proxy wants to know who asks.
    fn unauthorized(&mut self, response: &Response<'_>) -> Failure {
        let Some(login) = &mut self.login else {
            return Failure::Http { status: response.status, told: None };
        };
        let sent = login.answer.take();
        match login.auth.judge(sent, login.challenged, response.values("proxy-authenticate")) {
            Verdict::Again(answer) => {
                login.answer = Some(answer);
                login.challenged = true;
                self.state = State::Request;
                Failure::Challenged
            }
            Verdict::Refused => Failure::Unauthorized,
            Verdict::NoMethod => Failure::NoAcceptableMethod,
        }
    }
}

impl Handshake for HttpConnect {
    fn step(&mut self) -> Result<Step<'_>, Failure> {
        Ok(match self.state {
            State::Request => {
                self.write_request()?;
                self.state = State::AwaitAnswer(0);
                Step::Send(&self.request)
            }
            State::AwaitAnswer(_) => Step::ReceiveHead,
            State::Done => Step::Done,
        })
    }

    fn received(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let State::AwaitAnswer(informational) = self.state else {
            return Err(Failure::Protocol("it answers before it is asked"));
        };
        let mut headers = response::EMPTY;
        let response = Response::parse(bytes, &mut headers)?;
        match response.status {
            101 => Err(Failure::Protocol("it switches to another protocol unasked")),
            100..=199 if informational >= MAX_INFORMATIONAL => {
                Err(Failure::Protocol("it sends informational answers without end"))
            }
            100..=199 => {
                self.state = State::AwaitAnswer(informational + 1);
                Ok(())
            }
            // Whatever Content-Length and Transfer-Encoding say: the tunnel begins behind the head.
            200..=299 => {
                self.release();
                self.state = State::Done;
                Ok(())
            }
            407 => Err(self.unauthorized(&response)),
            status => {
                self.release();
                Err(Failure::Http { status, told: told::errno(|name| response.values(name)) })
            }
        }
    }
}

impl HttpConnect {
    /// Gives back the nonce, which the proxy has accepted.
    fn release(&mut self) {
        if let Some(login) = &mut self.login
            && let Some(answer) = login.answer.take()
        {
            login.auth.release(answer);
        }
    }
}

/// A challenge that was not answered serves another handshake.
impl Drop for HttpConnect {
    fn drop(&mut self) {
        if let State::Request = self.state {
            self.release();
        }
    }
}

/// Without the request, which holds credentials.
impl fmt::Debug for HttpConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConnect")
            .field("state", &self.state)
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
