//! Doors: where the agent listens for those that do not load the library, and what it does with what comes.
//!
//! # Layout
//!
//! - [`forward`]: the forms of ssh's `-L`, `-D` and `-R`.

pub mod forward;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use super::problem::shown;
use crate::destination::Destination;
use crate::upstream::Login;

/// One door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// What becomes of who comes in.
    pub service: Service,
    /// Where.
    pub place: Place,
    /// Who may come in, where it is a proxy; [`Login::Nobody`]: whoever reaches it.
    pub login: Login,
}

/// What becomes of what comes in by a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// It says where it wants to go.
    Proxy(Kind),
    /// Connections go to this destination.
    Tcp(Destination),
    /// Datagrams go to this destination.
    Udp(Destination),
    /// Connections that the kernel has redirected (nftables) go to where they were going. With the number of a queue of the
    /// kernel's in which their SYNs wait, they are accepted when the far end has accepted.
    Redirect(Option<u16>),
    /// Datagrams that the kernel gives us instead of routing them (TPROXY) go to where they were going.
    Tproxy,
}

/// What is spoken by a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// SOCKS version 5 (RFC 1928), 4 and 4a.
    Socks,
    /// `CONNECT` of HTTP/1.1 (RFC 9110 section 9.3.6).
    Http,
    /// All of these; the first byte tells.
    Any,
}

/// The schemes of proxies; the first of a kind is how it is written.
const PROXIES: [(&str, Kind); 7] = [
    ("socks5", Kind::Socks),
    ("socks5h", Kind::Socks),
    ("socks4", Kind::Socks),
    ("socks4a", Kind::Socks),
    ("socks", Kind::Socks),
    ("http", Kind::Http),
    ("any", Kind::Any),
];

/// Where somebody listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At an address of this machine.
    Address(SocketAddr),
    /// At a Unix socket, whose file says who may come in.
    Path(PathBuf),
}

impl Place {
    /// Whether nobody beyond this machine reaches it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Address(address) => address.ip().to_canonical().is_loopback(),
            Self::Path(_) => true,
        }
    }
}

impl Door {
    /// A door at a URL; `to` is where those of `tcp://` and `udp://` lead.
    pub fn new(url: &str, to: Option<Destination>, login: Login) -> Result<Self, String> {
        let (scheme, place) =
            url.split_once("://").ok_or("no socks5://, http:// or any:// before the address")?;
        let (place, queue) = match place.split_once('?') {
            Some((place, query)) if scheme == "redirect" => (place, Some(queue_of(query)?)),
            _ => (place, None),
        };
        let proxy = PROXIES.iter().find(|(known, _)| *known == scheme);
        let service = match (proxy, scheme, to) {
            (Some((_, kind)), _, None) => Service::Proxy(*kind),
            (None, "tcp", Some(to)) => Service::Tcp(to),
            (None, "udp", Some(to)) => Service::Udp(to),
            (None, "tcp" | "udp", None) => return Err(format!("{scheme}:// needs to = \"HOST:PORT\"")),
            (None, "redirect", None) => Service::Redirect(queue),
            (None, "tproxy", None) => Service::Tproxy,
            (Some(_), _, Some(_)) | (None, "redirect" | "tproxy", Some(_)) => {
                return Err("only tcp:// and udp:// lead to one destination".to_owned());
            }
            (None, _, _) => {
                let scheme = shown(scheme);
                return Err(format!("{scheme} is neither socks5, http, any, tcp, udp, redirect nor tproxy"));
            }
        };
        let place = place_of(place)?;
        let door = Self { service, place, login };
        door.check().map(|()| door)
    }

    fn check(&self) -> Result<(), String> {
        let is_proxy = matches!(self.service, Service::Proxy(_));
        let path = matches!(self.place, Place::Path(_));
        if path && !is_proxy && !matches!(self.service, Service::Tcp(_)) {
            return Err(
                "there are no Unix sockets for datagrams, nor for what the kernel redirects".to_owned()
            );
        }
        if self.login != Login::Nobody && !is_proxy {
            return Err("only a proxy asks for a login".to_owned());
        }
        if let Place::Address(address) = &self.place
            && is_proxy
            && self.login == Login::Nobody
            && !self.place.is_local()
        {
            let ip = address.ip();
            return Err(format!("{ip} is not on loopback, and whoever reaches it could use it (login-file)"));
        }
        Ok(())
    }
}

fn queue_of(query: &str) -> Result<u16, String> {
    let number =
        query.strip_prefix("hold=").filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    number
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| "what follows the ? is not hold=QUEUE, a number from 0 to 65535".to_owned())
}

fn place_of(text: &str) -> Result<Place, String> {
    if text.starts_with('/') {
        return Ok(Place::Path(text.into()));
    }
    // As other programs have it; whatever is behind it is not shown.
    if text.contains('@') {
        return Err("who may come in does not belong into the address (login-file, login-env)".to_owned());
    }
    let place = text.strip_suffix('/').unwrap_or(text);
    place.parse().map(Place::Address).map_err(|_| {
        let place = place.split(['?', '#', '/']).next().unwrap_or_default();
        format!("{place:?} is no address with a port, as 127.0.0.1:1080 or [::1]:1080")
    })
}

/// As for `--listen`: a proxy that asks nobody who they are.
impl FromStr for Door {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        Self::new(url, None, Login::Nobody)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match &self.service {
            Service::Proxy(kind) => {
                PROXIES.iter().find(|(_, known)| known == kind).map_or("", |(scheme, _)| scheme)
            }
            Service::Tcp(_) => "tcp",
            Service::Udp(_) => "udp",
            Service::Redirect(_) => "redirect",
            Service::Tproxy => "tproxy",
        };
        write!(f, "{scheme}://{}", self.place)?;
        match self.service {
            Service::Redirect(Some(queue)) => write!(f, "?hold={queue}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_are_on_loopback_and_written_as_urls() {
        for good in [
            "socks5://127.0.0.1:1080",
            "http://[::1]:8080",
            "any://127.9.9.9:0",
            "any:///run/door",
            "redirect://0.0.0.0:1",
            "tproxy://[::]:1",
            "redirect://[::]:1?hold=0",
            "redirect://[::]:1?hold=65535",
        ] {
            assert_eq!(good.parse::<Door>().unwrap().to_string(), good);
        }
        assert_eq!("socks4a://[::1]:1/".parse::<Door>().unwrap().to_string(), "socks5://[::1]:1");
        for (bad, why) in [
            ("127.0.0.1:1080", "no socks5://"),
            ("https://127.0.0.1:1080", "neither socks5, http, any, tcp"),
            ("socks5://0.0.0.0:1080", "not on loopback"),
            ("http://192.0.2.1:80", "not on loopback"),
            ("socks5://localhost:1080", "is no address with a port"),
            ("socks5://127.0.0.1", "is no address with a port"),
            ("http://user:secret@127.0.0.1:80", "(login-file, login-env)"),
            ("http://127.0.0.1:80/?password=secret", "\"127.0.0.1:80\" is no address with a port"),
            ("redirect://[::]:1?secret", "is not hold=QUEUE"),
            ("user:secret@socks5://127.0.0.1:80", "(not shown) is neither socks5"),
            ("tcp://127.0.0.1:1", "needs to = "),
            ("tproxy:///run/door", "no Unix sockets for datagrams"),
            ("redirect://[::]:1?hold=65536", "is not hold=QUEUE"),
            ("redirect://[::]:1?hold=", "is not hold=QUEUE"),
            ("redirect://[::]:1?hold=+1", "is not hold=QUEUE"),
            ("redirect://[::]:1?held=1", "is not hold=QUEUE"),
            ("tproxy://[::]:1?hold=1", "is no address with a port"),
        ] {
            let said = bad.parse::<Door>().unwrap_err();
            assert!(said.contains(why) && !said.contains("secret"), "{bad}: {said}");
        }
    }

    #[test]
    fn what_is_reached_from_elsewhere_asks_for_a_login() {
        let login = || Login::Environment("X".to_owned());
        let to = || Some(Destination::Name { host: "a.test".to_owned(), port: 1 });
        assert!(Door::new("socks5://0.0.0.0:1080", None, login()).is_ok());
        assert!(Door::new("tcp://0.0.0.0:1080", to(), Login::Nobody).is_ok());
        for (url, to, login) in [
            ("socks5://0.0.0.0:1080", None, Login::Nobody),
            ("tcp://127.0.0.1:1", to(), login()),
            ("any://127.0.0.1:1", to(), Login::Nobody),
            ("redirect://127.0.0.1:1", to(), Login::Nobody),
            ("udp:///run/x", to(), Login::Nobody),
        ] {
            Door::new(url, to, login).expect_err(url);
        }
    }
}
