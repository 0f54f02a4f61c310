//! Doors as ssh's options write them: `-L [BIND:]PORT:HOST:HOSTPORT` and `-D [BIND:]PORT`, with a path in place of bind and
//! port, and `udp:` before them for datagrams.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Door, Kind, Place, Service};
use crate::destination::Destination;
use crate::upstream::Login;

/// `-L`.
pub fn local(text: &str) -> Result<Door, String> {
    let (udp, rest) = match text.strip_prefix("udp:") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("tcp:").unwrap_or(text)),
    };
    let parts = parts(rest);
    let (place, to) = match &parts[..] {
        [path, host, port] if path.starts_with('/') => (Place::Path(path.into()), destination(host, port)?),
        [port, host, to] => (address(None, port)?, destination(host, to)?),
        [bind, port, host, to] => (address(Some(bind), port)?, destination(host, to)?),
        _ => return Err(format!("{text:?} is not [BIND:]PORT:HOST:PORT or PATH:HOST:PORT")),
    };
    let service = if udp { Service::Udp(to) } else { Service::Tcp(to) };
    checked(Door { service, place, login: Login::Nobody })
}

/// `-D`.
pub fn dynamic(text: &str) -> Result<Door, String> {
    let place = match &parts(text)[..] {
        [path] if path.starts_with('/') => Place::Path(path.into()),
        [port] => address(None, port)?,
        [bind, port] => address(Some(bind), port)?,
        _ => return Err(format!("{text:?} is not [BIND:]PORT or PATH")),
    };
    checked(Door { service: Service::Proxy(Kind::Any), place, login: Login::Nobody })
}

/// `HOST:PORT`, with an address of IPv6 in brackets.
pub fn host_and_port(text: &str) -> Result<Destination, String> {
    match &parts(text)[..] {
        [host, port] => destination(host, port),
        _ => Err(format!("{text:?} is not HOST:PORT")),
    }
}

fn checked(door: Door) -> Result<Door, String> {
    door.check().map(|()| door)
}

/// What is between colons that are not in brackets.
fn parts(text: &str) -> Vec<&str> {
    let mut inside = false;
    let colon = |c: char| {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
        c == ':' && !inside
    };
    text.split(colon).collect()
}

fn port(text: &str) -> Result<u16, String> {
    let number = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    number.ok_or_else(|| format!("{text:?} is no port"))
}

/// As ssh has it: nothing and `*` are all addresses, and no bind at all is loopback.
fn address(bind: Option<&str>, at: &str) -> Result<Place, String> {
    let ip: IpAddr = match bind {
        None | Some("localhost") => Ipv4Addr::LOCALHOST.into(),
        Some("" | "*") => Ipv6Addr::UNSPECIFIED.into(),
        Some(bind) => numeric(bind).ok_or_else(|| format!("{bind:?} is no address to listen at"))?,
    };
    Ok(Place::Address((ip, port(at)?).into()))
}

fn destination(host: &str, at: &str) -> Result<Destination, String> {
    let port = port(at)?;
    if let Some(ip) = numeric(host) {
        return Ok(Destination::Address((ip, port).into()));
    }
    let is_name = (1..=255).contains(&host.len())
        && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:@[]?#\\".contains(&byte));
    match is_name {
        true => Ok(Destination::Name { host: host.to_owned(), port }),
        false => Err(format!("{host:?} is no host")),
    }
}

fn numeric(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(inside) => inside.parse::<Ipv6Addr>().ok().map(Into::into),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwards_are_written_as_for_ssh() {
        let shown = |text: &str| {
            let door = local(text).unwrap();
            let (Service::Tcp(to) | Service::Udp(to)) = &door.service else { panic!("{door:?}") };
            format!("{door} {to}")
        };
        for (text, door) in [
            ("5432:db.test:5432", "tcp://127.0.0.1:5432 db.test:5432"),
            ("localhost:1:192.0.2.1:2", "tcp://127.0.0.1:1 192.0.2.1:2"),
            ("[::1]:1:[2001:db8::1]:2", "tcp://[::1]:1 [2001:db8::1]:2"),
            (":1:a:2", "tcp://[::]:1 a:2"),
            ("*:1:a:2", "tcp://[::]:1 a:2"),
            ("udp:53:192.0.2.1:53", "udp://127.0.0.1:53 192.0.2.1:53"),
            ("/run/a:db.test:5432", "tcp:///run/a db.test:5432"),
        ] {
            assert_eq!(shown(text), door);
        }
        for bad in [
            "",
            "1",
            "1:a",
            "a:1",
            "x:a:1",
            "1:a:x",
            "1:a:+1",
            "1::2",
            "1:a/b:2",
            "host:1:a:2",
            "udp:/run/a:b:1",
            "1:2:3:4:5",
            "1:/run/a",
        ] {
            local(bad).expect_err(bad);
        }
    }

    #[test]
    fn a_dynamic_one_is_a_proxy_on_loopback() {
        for (text, door) in
            [("1080", "any://127.0.0.1:1080"), ("[::1]:1080", "any://[::1]:1080"), ("/run/a", "any:///run/a")]
        {
            assert_eq!(dynamic(text).unwrap().to_string(), door);
        }
        for bad in ["*:1080", "0.0.0.0:1080", "x", "1:2:3", ""] {
            dynamic(bad).expect_err(bad);
        }
    }
}
