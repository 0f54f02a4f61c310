//! What the fake SOCKS5 proxy does, and how the tests say so to its process: one line each.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What the fake proxy does with a connection.
///
/// The faults before the request act on whole connections, so they serve only as the default;
/// the others can be bound to a destination's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// As RFC 1928 says.
    Normal,
    /// Waits before the reply.
    Delay(Duration),
    /// Answers this code and closes.
    Reply(u8),

    // Before the request.
    /// Accepts and never says a word.
    Silent,
    /// Answers the greeting with bytes that are no SOCKS5.
    Garbage,
    /// Sends without end, whatever is asked.
    Flood,
    /// Closes at once.
    AcceptClose,
    /// Resets at once.
    AcceptReset,
    /// Selects method 0x7b, which exists nowhere.
    BadMethod,
    /// Selects user name and password though they were not offered.
    MethodLie,
    /// Selects 0xff: none of the offered methods.
    NoMethod,
    /// Answers the greeting as version 4.
    Version4,
    /// Closes after the selected method.
    CloseAfterMethod,
    /// Resets after the selected method.
    ResetAfterMethod,

    // In answer to the request.
    /// Reads the request and never answers.
    SilentReply,
    /// Sends everything one byte at a time.
    Bytewise,
    /// Sends the reply and the first bytes of the stream in one segment.
    Coalesced,
    /// The reply's bound address is IPv6.
    BoundV6,
    /// The reply's bound address is a name of 255 bytes.
    BoundName,
    /// The reply's bound address is a name of no bytes.
    BoundEmptyName,
    /// The reply's address type exists nowhere.
    BadAddressType,
    /// The reply's version is 4.
    ReplyVersion4,
    /// Closes after this many bytes of the reply.
    CloseAfter(u8),
    /// Resets after this many bytes of the reply.
    ResetAfter(u8),
    /// Connects, passes the first bytes of the destination on, and resets when it is told to behave otherwise.
    ResetMidStream,
}

use Behaviour::*;

/// Each behaviour without a number, and its word.
const WORDS: [(Behaviour, &str); 21] = [
    (Normal, "normal"),
    (Silent, "silent"),
    (Garbage, "garbage"),
    (Flood, "flood"),
    (AcceptClose, "accept-close"),
    (AcceptReset, "accept-reset"),
    (BadMethod, "bad-method"),
    (MethodLie, "method-lie"),
    (NoMethod, "no-method"),
    (Version4, "version-4"),
    (CloseAfterMethod, "close-after-method"),
    (ResetAfterMethod, "reset-after-method"),
    (SilentReply, "silent-reply"),
    (Bytewise, "bytewise"),
    (Coalesced, "coalesced"),
    (BoundV6, "bound-v6"),
    (BoundName, "bound-name"),
    (BoundEmptyName, "bound-empty-name"),
    (BadAddressType, "bad-address-type"),
    (ReplyVersion4, "reply-version-4"),
    (ResetMidStream, "reset-mid-stream"),
];

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Delay(time) => write!(f, "delay={}", time.as_millis()),
            Reply(code) => write!(f, "reply={code}"),
            CloseAfter(bytes) => write!(f, "close-after={bytes}"),
            ResetAfter(bytes) => write!(f, "reset-after={bytes}"),
            _ => {
                let word = WORDS.iter().find(|(behaviour, _)| behaviour == self);
                f.write_str(word.map_or("?", |(_, word)| word))
            }
        }
    }
}

impl FromStr for Behaviour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("unknown behaviour {text:?}");
        let Some((word, number)) = text.split_once('=') else {
            let found = WORDS.iter().find(|(_, word)| *word == text);
            return found.map(|(behaviour, _)| *behaviour).ok_or_else(unknown);
        };
        let byte = || number.parse::<u8>().map_err(|_| unknown());
        match word {
            "delay" => Ok(Delay(Duration::from_millis(number.parse().map_err(|_| unknown())?))),
            "reply" => byte().map(Reply),
            "close-after" => byte().map(CloseAfter),
            "reset-after" => byte().map(ResetAfter),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaviours_survive_the_round_trip() {
        let numbered = [Delay(Duration::from_millis(300)), Reply(255), CloseAfter(3), ResetAfter(0)];
        for behaviour in WORDS.map(|(behaviour, _)| behaviour).into_iter().chain(numbered) {
            assert_eq!(behaviour.to_string().parse(), Ok(behaviour));
        }
    }
}
