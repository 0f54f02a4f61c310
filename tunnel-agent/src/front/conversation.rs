//! What is said at a door until it is known what is asked for. Not a byte more is read: what follows is for whoever is
//! at the far end.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underpass_core::config::listen::Kind;
use underpass_core::destination::canonical;
use underpass_core::failure::Failure;

use super::asked::{Asked, Parsed, Refused};
use super::login::Login;
use super::{http, socks4, socks5};
use crate::upstream::stream::Bare;

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Socks4,
    Socks5,
    Http,
}

impl Language {
    /// How a request is answered that has come to nothing, or one that is carried.
    pub(super) fn answer(self, failure: Option<&Failure>) -> Vec<u8> {
        match (self, failure) {
            (Self::Socks4, failure) => socks4::answer(failure.is_none()),
            (Self::Socks5, failure) => socks5::answer(failure.map_or(0, Failure::errno)),
            (Self::Http, None) => http::CARRIED.to_vec(),
            (Self::Http, Some(failure)) => http::failed(failure),
        }
    }

    /// The answer to a request that is carried, with an address that the client needs; `None` where the protocol cannot
    /// say it.
    pub(super) fn reached(self, address: SocketAddr) -> Option<Vec<u8>> {
        match (self, canonical(address)) {
            (Self::Socks4, SocketAddr::V4(v4)) => Some(socks4::granted_at(v4)),
            (Self::Socks5, address) => Some(socks5::carried_at(address)),
            (Self::Socks4, SocketAddr::V6(_)) | (Self::Http, _) => None,
        }
    }
}

/// Reads what is asked; `None` after a refusal that has been answered.
pub(super) async fn asked(
    stream: &mut Bare<OwnedFd>,
    kind: Kind,
    login: Option<&Login>,
) -> io::Result<Option<(Language, Asked)>> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    let language = match first {
        [socks4::VERSION] => Language::Socks4,
        [socks5::VERSION] => Language::Socks5,
        _ => Language::Http,
    };
    let asked = match (language, kind) {
        (Language::Http, Kind::Http | Kind::Any) => {
            read(stream, |bytes| http::request(bytes, |given| admits(login, given))).await
        }
        (Language::Socks5, Kind::Socks | Kind::Any) => by_socks5(stream, login).await,
        // It has no password.
        (Language::Socks4, Kind::Socks | Kind::Any) if login.is_none() => read(stream, socks4::request).await,
        (Language::Socks4, Kind::Socks | Kind::Any) => Ok(Err(Refused(socks4::answer(false)))),
        (Language::Socks4 | Language::Socks5, Kind::Http) | (Language::Http, Kind::Socks) => {
            Ok(Err(Refused(Vec::new())))
        }
    };
    match asked? {
        Ok(asked) => Ok(Some((language, asked))),
        Err(Refused(answer)) => {
            stream.write_all(&answer).await?;
            Ok(None)
        }
    }
}

async fn by_socks5(stream: &mut Bare<OwnedFd>, login: Option<&Login>) -> io::Result<Result<Asked, Refused>> {
    let with_login = login.is_some();
    if let Err(refused) = read(stream, |bytes| socks5::greeting(bytes, with_login)).await? {
        return Ok(Err(refused));
    }
    stream.write_all(&socks5::method(with_login)).await?;
    if login.is_some() {
        match read(stream, socks5::login).await? {
            Ok((user, password)) if admits(login, Some((&user, &password))) => {
                stream.write_all(&socks5::verdict(true)).await?;
            }
            Ok(_) => return Ok(Err(Refused(socks5::verdict(false).to_vec()))),
            Err(refused) => return Ok(Err(refused)),
        }
    }
    read(stream, socks5::request).await
}

fn admits(login: Option<&Login>, given: Option<(&[u8], &[u8])>) -> bool {
    login.is_none_or(|login| given.is_some_and(|(user, password)| login.is(user, password)))
}

/// Reads one message.
async fn read<T>(
    stream: &mut Bare<OwnedFd>,
    parse: impl Fn(&[u8]) -> Parsed<T>,
) -> io::Result<Result<T, Refused>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 2048];
    loop {
        let seen = stream.peek(&mut piece).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let before = bytes.len();
        bytes.extend_from_slice(&piece[..seen]);
        let parsed = parse(&bytes);
        let used = match &parsed {
            Some(Ok((_, used))) => *used,
            _ => bytes.len(),
        };
        stream.read_exact(&mut piece[..used.saturating_sub(before)]).await?;
        if let Some(parsed) = parsed {
            return Ok(parsed.map(|(message, _)| message));
        }
    }
}
