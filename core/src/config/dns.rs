//! How names are answered: `fake`, `exit` or `local`, and whom else is asked.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::problem::nearest;
use crate::destination::{DNS_PORT, is_local};

/// What addresses a name gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One that stands for it: the name itself travels to the last hop.
    #[default]
    Fake,
    /// The real ones, asked for through the chain.
    Exit,
    /// The real ones, as this machine's resolver knows them.
    Local,
}

/// Written as `MODE` or `MODE:ADDRESS[:PORT]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Dns {
    /// What addresses a name gets.
    pub mode: Mode,
    /// The resolver that is asked through the chain; `None`: that of resolv.conf, see `docs/configuration.md`.
    pub server: Option<SocketAddr>,
}

const MODES: [(&str, Mode); 3] = [("fake", Mode::Fake), ("exit", Mode::Exit), ("local", Mode::Local)];

impl FromStr for Dns {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, server) = text.split_once(':').map_or((text, None), |(word, rest)| (word, Some(rest)));
        let Some((_, mode)) = MODES.iter().find(|(known, _)| *known == word) else {
            let known = MODES.iter().map(|(known, _)| *known);
            return Err(match nearest(word, known) {
                Some(near) => format!("no way to answer names (did you mean \"{near}\"?)"),
                None => "write fake, exit or local, and :ADDRESS[:PORT] of a resolver behind it".to_owned(),
            });
        };
        let server = server.map(server_of).transpose()?;
        Ok(Self { mode: *mode, server })
    }
}

fn server_of(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = match bare.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip.to_canonical(), DNS_PORT),
        Err(_) => text.parse().map_err(|_| "the resolver is not ADDRESS or ADDRESS:PORT".to_owned())?,
    };
    match address {
        _ if address.port() == 0 => Err("the resolver's port is not from 1 to 65535".to_owned()),
        // It is asked from the far end of the chain, where this machine's own addresses mean another one.
        _ if is_local(address.ip()) => Err("the resolver cannot be this machine".to_owned()),
        _ => Ok(address),
    }
}

impl fmt::Display for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = MODES.iter().find(|(_, mode)| *mode == self.mode).map_or("", |(word, _)| word);
        match self.server {
            Some(server) => write!(f, "{word}:{server}"),
            None => f.write_str(word),
        }
    }
}

impl From<Dns> for String {
    fn from(dns: Dns) -> Self {
        dns.to_string()
    }
}

impl TryFrom<String> for Dns {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_may_name_a_resolver() {
        for (text, mode, server) in [
            ("fake", Mode::Fake, None),
            ("exit", Mode::Exit, None),
            ("local", Mode::Local, None),
            ("exit:9.9.9.9", Mode::Exit, Some("9.9.9.9:53")),
            ("exit:9.9.9.9:5353", Mode::Exit, Some("9.9.9.9:5353")),
            ("fake:2620:fe::fe", Mode::Fake, Some("[2620:fe::fe]:53")),
            ("fake:[2620:fe::fe]", Mode::Fake, Some("[2620:fe::fe]:53")),
            ("fake:[2620:fe::fe]:54", Mode::Fake, Some("[2620:fe::fe]:54")),
        ] {
            let dns: Dns = text.parse().expect(text);
            assert_eq!(
                dns,
                Dns { mode, server: server.map(|server| server.parse().expect(server)) },
                "{text}"
            );
            assert_eq!(dns.to_string().parse(), Ok(dns));
        }
        for text in [
            "",
            "exti",
            "Exit",
            "exit:",
            "exit:dns.example",
            "exit:127.0.0.1",
            "exit:[::1]:53",
            "exit:9.9.9.9:0",
        ] {
            assert!(text.parse::<Dns>().is_err(), "{text}");
        }
    }
}
