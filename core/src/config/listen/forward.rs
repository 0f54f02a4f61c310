//! Forwards as ssh's options write them (ssh(1)): the doors of `-L [BIND:]PORT:HOST:HOSTPORT` and `-D [BIND:]PORT`, with a
//! path in place of bind and port, and `udp:` before them for datagrams; and the listeners at exits of
//! `-R [BIND:]PORT:HOST:HOSTPORT`, with a path in place of host and port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::expose::{Inside, Reverse};
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
        [_, path] | [_, _, path] if path.starts_with('/') => {
            return Err(format!(
                "{path:?} would be a Unix socket beyond the chain, where connections go to hosts and ports alone"
            ));
        }
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

/// `-R`. No bind, an empty one and `*` leave the address to the exit.
pub fn reverse(text: &str) -> Result<Reverse, String> {
    let parts = parts(text);
    let (bind, at, to) = match &parts[..] {
        ["udp", ..] => {
            return Err(
                "no proxy and no relay waits for datagrams of others: -R is for connections".to_owned()
            );
        }
        [path, _] | [path, _, _] if path.starts_with('/') => {
            return Err(format!(
                "{path:?} would be a Unix socket at the exit, and exits listen at ports alone"
            ));
        }
        [at, path] if path.starts_with('/') => (None, at, Inside::Path(path.into())),
        [bind, at, path] if path.starts_with('/') => (Some(*bind), at, Inside::Path(path.into())),
        [at, host, to] => (None, at, Inside::Host(destination(host, to)?)),
        [bind, at, host, to] => (Some(*bind), at, Inside::Host(destination(host, to)?)),
        _ => return Err(format!("{text:?} is not [BIND:]PORT:HOST:PORT or [BIND:]PORT:PATH")),
    };
    let address = match bind {
        None | Some("" | "*") => None,
        Some("localhost") => Some(Ipv4Addr::LOCALHOST.into()),
        Some(bind) => {
            Some(numeric(bind).ok_or_else(|| format!("{bind:?} is no address for the exit to listen at"))?)
        }
    };
    Ok(Reverse { at: None, address, port: port(at)?, to })
}

/// `HOST:PORT`, or a path.
pub fn inside(text: &str) -> Result<Inside, String> {
    match text.starts_with('/') {
        true => Ok(Inside::Path(text.into())),
        false => host_and_port(text).map(Inside::Host),
    }
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
    // Nobody is at port 0.
    let port = Some(port(at)?).filter(|port| *port != 0).ok_or_else(|| format!("{at:?} is no port"))?;
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
    fn a_reverse_one_listens_at_the_exit() {
        for (text, shown) in [
            ("8000:localhost:80", "8000:localhost:80"),
            (":8000:a.test:80", "8000:a.test:80"),
            ("*:0:192.0.2.1:80", "0:192.0.2.1:80"),
            ("localhost:8000:a:80", "127.0.0.1:8000:a:80"),
            ("[::]:8000:[::1]:80", "[::]:8000:[::1]:80"),
            ("8000:/run/web", "8000:/run/web"),
            ("192.0.2.7:8000:/run/web", "192.0.2.7:8000:/run/web"),
        ] {
            assert_eq!(reverse(text).unwrap().to_string(), shown, "{text}");
        }
        for (bad, why) in [
            ("", "is not [BIND:]PORT:HOST:PORT"),
            ("1080", "is not [BIND:]PORT:HOST:PORT"),
            ("x:a:1", "is no port"),
            ("65536:a:1", "is no port"),
            ("1:a:x", "is no port"),
            ("1:a:0", "is no port"),
            ("a.test:1:b:2", "is no address for the exit"),
            ("1:run/web", "is not [BIND:]PORT:HOST:PORT"),
            ("udp:53:a:53", "datagrams"),
            ("/run/a:b:1", "Unix socket at the exit"),
            ("/run/a:/run/b", "Unix socket at the exit"),
        ] {
            let said = reverse(bad).unwrap_err();
            assert!(said.contains(why), "{bad}: {said}");
        }
        let beyond = local("1:/run/a").unwrap_err();
        assert!(beyond.contains("beyond the chain"), "{beyond}");
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
