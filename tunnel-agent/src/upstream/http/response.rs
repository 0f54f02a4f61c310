//! The head of an answer. What httparse takes and RFC 9112 does not is refused here.

use httparse::Header;
use underpass_core::failure::Failure;

use super::super::handshake::MAX_HEAD;

/// More header lines than this are refused.
const MAX_HEADERS: usize = 128;

/// Room for the headers.
pub(super) const EMPTY: [Header<'static>; MAX_HEADERS] = [httparse::EMPTY_HEADER; MAX_HEADERS];

/// A parsed head.
#[derive(Debug)]
pub(super) struct Response<'a> {
    /// 100 to 999.
    pub(super) status: u16,
    headers: &'a [Header<'a>],
}

impl<'a> Response<'a> {
    /// Parses `head`, which must be one head from its first byte to its last.
    pub(super) fn parse(head: &'a [u8], headers: &'a mut [Header<'a>; MAX_HEADERS]) -> Result<Self, Failure> {
        if head.len() > MAX_HEAD {
            return Err(Failure::Protocol("the head of its answer is longer than 64 KiB"));
        }
        let mut parsed = httparse::Response::new(headers);
        match parsed.parse(head) {
            Ok(httparse::Status::Complete(end)) if end == head.len() => {}
            Ok(httparse::Status::Complete(_)) => {
                return Err(Failure::Protocol("bytes follow the head of its answer too soon"));
            }
            Ok(httparse::Status::Partial) if head.len() == MAX_HEAD => {
                return Err(Failure::Protocol("the head of its answer is longer than 64 KiB"));
            }
            Ok(httparse::Status::Partial) => {
                return Err(Failure::Protocol("the head of its answer has no end"));
            }
            Err(error) => return Err(Failure::Protocol(words(error))),
        }
        match parsed.code {
            Some(status @ 100..=999) => Ok(Self { status, headers: parsed.headers }),
            _ => Err(Failure::Protocol("its answer has no status that HTTP knows")),
        }
    }

    /// The values of each header of this name, in order; such as are not UTF-8 are left out.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = self.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.filter_map(|header| std::str::from_utf8(header.value).ok())
    }
}

fn words(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::TooManyHeaders => "its answer has more than 128 header lines",
        httparse::Error::HeaderName => "a header of its answer has a malformed name, or is folded",
        httparse::Error::HeaderValue => "a header of its answer has a control character",
        httparse::Error::Status => "its answer has a malformed status",
        _ => "it does not answer in HTTP/1",
    }
}
