//! `UNDERPASS_SESSION`: the one variable that ties a program to its session.
//!
//! Its value is `1:TOKEN:PATH`: the wire version, 32 hexadecimal digits, and the absolute path of
//! the agent's socket. Words before the path, in this order, say `loopback:` where routes say something of loopback,
//! `resolver:` where names are for this machine's resolver, `foreign:` where sockets of other processes are refused, `listen:`
//! where listeners may be exposed, `auto:` in tier auto, and `guard:` where the program is supervised. Parsing
//! allocates nothing; it runs when the library is loaded.

use crate::wire::{Token, VERSION};

/// The name of the variable.
pub const VARIABLE: &str = "UNDERPASS_SESSION";

/// The value with which a launcher inside a session starts an agent: that one process is not of the
/// session, else it would be carried by itself.
pub const OUTSIDE: &str = "none";

/// The value in a program that is sealed: it needs no session, and nobody in there can open another one.
pub const SEALED: &str = "sealed";

/// `sun_path` has 108 bytes, one of them the terminating zero (unix(7)).
pub const MAX_PATH: usize = 107;

/// Before the path, which begins with a slash.
const LOOPBACK: &[u8] = b"loopback:";
const RESOLVER: &[u8] = b"resolver:";
const FOREIGN: &[u8] = b"foreign:";
const LISTEN: &[u8] = b"listen:";
const AUTO: &[u8] = b"auto:";
const GUARD: &[u8] = b"guard:";
const WORDS: usize =
    LOOPBACK.len() + RESOLVER.len() + FOREIGN.len() + LISTEN.len() + AUTO.len() + GUARD.len();

/// The longest value of the variable, in bytes.
pub const MAX_VALUE: usize = 2 + 33 + WORDS + MAX_PATH;

/// What the variable says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEnv<'a> {
    /// Names the session to the agent.
    pub token: Token,
    /// Whether the agent is to be asked about connections to loopback, too.
    pub loopback: bool,
    /// Whether names are for this machine's resolver (`--dns local`): then the program may ask it, too.
    pub asks_resolver: bool,
    /// Whether a socket that another process passes is refused if the agent does not know it.
    pub refuses_foreign: bool,
    /// Whether the agent is to be asked about sockets that are bound and listen: some are exposed elsewhere.
    pub listens: bool,
    /// Whether the library starts under guard what cannot load it. The launcher's word: under guard itself there is no
    /// need for it.
    pub auto: bool,
    /// Whether the program is under guard: its datagrams are carried by its supervisor, and its sockets for them are of
    /// another network.
    pub supervised: bool,
    /// Absolute path of the agent's socket, at most [`MAX_PATH`] bytes.
    pub socket: &'a [u8],
}

impl<'a> SessionEnv<'a> {
    /// Parses the variable's value; `None` where anything about it is not as this version writes it.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let rest = value.strip_prefix(&[b'0' + VERSION, b':'])?;
        let (hex, rest) = rest.split_at_checked(32)?;
        let rest = rest.strip_prefix(b":")?;
        let word = |word, rest: &'a [u8]| rest.strip_prefix(word).map_or((false, rest), |rest| (true, rest));
        let (loopback, rest) = word(LOOPBACK, rest);
        let (asks_resolver, rest) = word(RESOLVER, rest);
        let (refuses_foreign, rest) = word(FOREIGN, rest);
        let (listens, rest) = word(LISTEN, rest);
        let (auto, rest) = word(AUTO, rest);
        let (supervised, socket) = word(GUARD, rest);
        if !(2..=MAX_PATH).contains(&socket.len()) || socket[0] != b'/' || socket.contains(&0) {
            return None;
        }
        let mut token = [0u8; 16];
        for (byte, pair) in token.iter_mut().zip(hex.chunks_exact(2)) {
            let &[high, low] = pair else { return None };
            *byte = digit(high)? << 4 | digit(low)?;
        }
        let token = Token(token);
        Some(Self { token, loopback, asks_resolver, refuses_foreign, listens, auto, supervised, socket })
    }

    /// The value that [`Self::parse`] reads.
    pub fn to_value(&self) -> Vec<u8> {
        let mut value = format!("{VERSION}:").into_bytes();
        for byte in self.token.0 {
            value.extend_from_slice(format!("{byte:02x}").as_bytes());
        }
        value.push(b':');
        if self.loopback {
            value.extend_from_slice(LOOPBACK);
        }
        if self.asks_resolver {
            value.extend_from_slice(RESOLVER);
        }
        if self.refuses_foreign {
            value.extend_from_slice(FOREIGN);
        }
        if self.listens {
            value.extend_from_slice(LISTEN);
        }
        if self.auto {
            value.extend_from_slice(AUTO);
        }
        if self.supervised {
            value.extend_from_slice(GUARD);
        }
        value.extend_from_slice(self.socket);
        value
    }
}

/// One lower-case hexadecimal digit; upper case is not written by us, so it is not read.
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for words in 0..64 {
            let [loopback, asks_resolver, refuses_foreign, listens, auto, supervised] =
                [1, 2, 4, 8, 16, 32].map(|word| words & word != 0);
            let token = Token(*b"\x00\xff234567890abcde");
            let socket = b"/run/user/0/underpass/x.sock";
            let session = SessionEnv {
                token,
                loopback,
                asks_resolver,
                refuses_foreign,
                listens,
                auto,
                supervised,
                socket,
            };
            assert_eq!(SessionEnv::parse(&session.to_value()), Some(session));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let good = SessionEnv {
            listens: false,
            token: Token([1; 16]),
            loopback: false,
            asks_resolver: false,
            refuses_foreign: false,
            auto: false,
            supervised: false,
            socket: b"/s",
        }
        .to_value();
        for cut in 0..good.len() {
            assert_eq!(SessionEnv::parse(&good[..cut]), None, "cut at {cut}");
        }
        assert_eq!(SessionEnv::parse(b"2:00000000000000000000000000000000:/s"), None);
        assert_eq!(SessionEnv::parse(b"1:0000000000000000000000000000000G:/s"), None);
        assert_eq!(SessionEnv::parse(b"1:00000000000000000000000000000000:s"), None);
        assert_eq!(SessionEnv::parse(b"1:00000000000000000000000000000000:loopbac:/s"), None);
        assert_eq!(SessionEnv::parse(b"1:00000000000000000000000000000000:loopback:loopback:/s"), None);
        let long = [&good[..], &[b'x'; MAX_PATH]].concat();
        assert_eq!(SessionEnv::parse(&long), None);
    }
}
