//! `proxychains.conf` of proxychains-ng.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroUsize;

use ipnet::Ipv4Net;

use super::super::pattern::{AddressRange, PortRange, number};
use super::super::pool::Pool;
use super::super::problem::{nearest, shown};
use super::super::route::{Route, To};
use super::super::{Chain, Config, ConfigError, Kind, MAIN_CHAIN, Parsed};
use super::{Notes, hop, mask, pool, port};
use crate::upstream::{HopHost, Isolation, Protocol, Upstream};

/// A longer line, in bytes, proxychains would read as two.
const MAX_LINE: usize = 1022;

/// Milliseconds that proxychains waits for an answer, and for a connection, if nothing is said.
const READ_TIME_OUT: u32 = 4000;
const CONNECT_TIME_OUT: u32 = 10_000;

const LIST: &str = "[ProxyList]";
const TYPES: [&str; 3] = ["http", "socks4", "socks5"];
const DIRECTIVES: [&str; 15] = [
    LIST,
    "strict_chain",
    "dynamic_chain",
    "round_robin_chain",
    "random_chain",
    "chain_len",
    "quiet_mode",
    "proxy_dns",
    "proxy_dns_old",
    "proxy_dns_daemon",
    "remote_dns_subnet",
    "tcp_read_time_out",
    "tcp_connect_time_out",
    "localnet",
    "dnat",
];

struct Reading<'f> {
    notes: Notes<'f>,
    /// The kind and its line; the last one said is meant.
    kind: Option<(Kind, usize)>,
    /// `chain_len` and its line.
    length: Option<(NonZeroUsize, usize)>,
    remote_dns: bool,
    read: u32,
    connect: u32,
    routes: Vec<Route>,
    hops: Vec<Upstream>,
    pool: Pool,
}

/// Reads a file.
pub fn parse(text: &str, file: &str) -> Result<Parsed, ConfigError> {
    let mut reading = Reading {
        notes: Notes::new(text, file)?,
        kind: None,
        length: None,
        remote_dns: false,
        read: READ_TIME_OUT,
        connect: CONNECT_TIME_OUT,
        routes: Vec::new(),
        hops: Vec::new(),
        pool: Pool::default(),
    };
    let mut in_list = false;
    for (number, line) in text.split('\n').enumerate() {
        reading.notes.line = number + 1;
        if line.len() > MAX_LINE {
            return reading.notes.fail("the line is longer than 1022 bytes: proxychains reads it as two");
        }
        match line.trim_ascii() {
            line if line.is_empty() || line.starts_with('#') => {}
            line if in_list => reading.proxy(line)?,
            LIST => in_list = true,
            line => reading.directive(line)?,
        }
    }
    reading.finish()
}

impl Reading<'_> {
    fn finish(mut self) -> Result<Parsed, ConfigError> {
        let file = self.notes.file;
        if self.hops.is_empty() {
            return Err(ConfigError::whole(file, "no proxy: proxies are listed below [ProxyList]"));
        }
        let kind = self.kind.map_or(Kind::Dynamic, |(kind, _)| kind);
        let counted = matches!(kind, Kind::Random | Kind::RoundRobin);
        match self.length {
            Some((_, line)) if !counted => {
                self.notes.warn_of(line, "chain_len has no effect without random_chain or round_robin_chain");
            }
            Some((length, line)) if length.get() > self.hops.len() => {
                let text =
                    format!("chain_len is larger than the number of proxies, which is {}", self.hops.len());
                return Err(ConfigError::line(file, line, text));
            }
            _ => {}
        }
        self.notes.warnings.sort_by_key(|warning| warning.line);
        let length = counted.then(|| self.length.map_or(NonZeroUsize::MIN, |(length, _)| length));
        let mut config = Config::strict(Vec::new());
        config.chains = BTreeMap::from([(MAIN_CHAIN.to_owned(), Chain { kind, hops: self.hops, length })]);
        config.routes = self.routes;
        config.pool = self.pool;
        config.deadline = self.read.saturating_add(self.connect).div_ceil(1000);
        Ok(Parsed { config, warnings: self.notes.warnings })
    }

    fn directive(&mut self, line: &str) -> Result<(), ConfigError> {
        let kind = match line {
            "strict_chain" => Kind::Strict,
            "dynamic_chain" => Kind::Dynamic,
            "round_robin_chain" => Kind::RoundRobin,
            "random_chain" => Kind::Random,
            // Programs are silent here unless -v is given.
            "quiet_mode" => return Ok(()),
            "proxy_dns" | "proxy_dns_old" => {
                self.remote_dns = true;
                return Ok(());
            }
            _ => return self.directive_with_value(line),
        };
        if let Some((before, at)) = self.kind.replace((kind, self.notes.line))
            && before != kind
        {
            self.notes
                .warn_of(at, "the kind of chain has no effect: another follows, and the last one is meant");
        }
        Ok(())
    }

    fn directive_with_value(&mut self, line: &str) -> Result<(), ConfigError> {
        if let Some(rest) = line.strip_prefix("chain_len") {
            return self.chain_len(rest);
        }
        let mut words = line.split_ascii_whitespace();
        let name = words.next().unwrap_or_default();
        let value = words.next().unwrap_or_default();
        match name {
            "proxy_dns_daemon" => {
                self.remote_dns = true;
                let address = value.split_once(':').filter(|(ip, _)| ip.parse::<Ipv4Addr>().is_ok());
                if address.and_then(|(_, text)| port(text)).is_none() {
                    return self.notes.fail("proxy_dns_daemon needs IPV4:PORT");
                }
            }
            "remote_dns_subnet" => {
                let Some(octet) = number(value).and_then(|octet| u8::try_from(octet).ok()) else {
                    return self.notes.fail("remote_dns_subnet needs a number from 0 to 255");
                };
                // Every distribution's file has the default; whoever has another one wanted something.
                if octet != 224 {
                    self.pool = pool(
                        &mut self.notes,
                        "remote_dns_subnet",
                        Ipv4Net::new_assert([octet, 0, 0, 0].into(), 8),
                    );
                }
            }
            "tcp_read_time_out" => self.read = self.milliseconds(name, value)?,
            "tcp_connect_time_out" => self.connect = self.milliseconds(name, value)?,
            "localnet" => {
                let route = localnet(value).or_else(|why| self.notes.fail(format!("localnet: {why}")))?;
                self.routes.push(route);
            }
            "dnat" => {
                return self.notes.fail(
                    "dnat is not supported: without it, connections would go elsewhere than this file says",
                );
            }
            _ => {
                self.ignored(name);
                return Ok(());
            }
        }
        if words.next().is_some() {
            self.notes.warn(format!("{name}: the text after the value is ignored"));
        }
        Ok(())
    }

    fn chain_len(&mut self, rest: &str) -> Result<(), ConfigError> {
        let Some((_, value)) = rest.split_once('=') else {
            return self.notes.fail("chain_len needs an equals sign: chain_len = 2");
        };
        let value = value.trim_ascii();
        let end = value.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(value.len());
        let (digits, after) = value.split_at(end);
        let Ok(length) = digits.parse::<usize>() else {
            return self.notes.fail("chain_len needs a number");
        };
        if !after.is_empty() {
            self.notes.warn("chain_len: the text after the value is ignored");
        }
        self.length = Some((NonZeroUsize::new(length).unwrap_or(NonZeroUsize::MIN), self.notes.line));
        Ok(())
    }

    fn milliseconds(&self, name: &str, value: &str) -> Result<u32, ConfigError> {
        // An hour is enough for anything.
        let number = value.parse().ok().filter(|number| (1..=3_600_000).contains(number));
        let digits = value.bytes().all(|byte| byte.is_ascii_digit());
        match number.filter(|_| digits) {
            Some(number) => Ok(number),
            None => self.notes.fail(format!("{name} needs milliseconds, from 1 to 3600000")),
        }
    }

    /// What proxychains ignores in silence.
    fn ignored(&mut self, name: &str) {
        let hint = match nearest(name, DIRECTIVES) {
            _ if TYPES.contains(&name) || name.contains("://") => {
                "; proxies are listed below [ProxyList]".to_owned()
            }
            Some(near) if near == name => "; it stands alone on its line".to_owned(),
            Some(near) => format!("; did you mean \"{near}\"?"),
            None => String::new(),
        };
        self.notes.warn(format!("{} is no directive, and has no effect{hint}", shown(name)));
    }

    fn proxy(&mut self, line: &str) -> Result<(), ConfigError> {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let starts_with_digit = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
        match words.as_slice() {
            [kind, host, port, rest @ ..] if starts_with_digit(port) => {
                let login = rest.first().map(|user| (*user, rest.get(1).copied().unwrap_or_default()));
                if rest.first().is_some_and(|user| user.starts_with('#')) {
                    self.notes.warn("a comment cannot follow a proxy: # is taken for a user name");
                } else if rest.len() > 2 {
                    self.notes.warn("the text after the password is ignored");
                }
                self.add(kind, host, port, login)
            }
            [url, rest @ ..] if url.contains("://") => self.url(url, !rest.is_empty()),
            _ => self.notes.fail(
                "not a proxy: write TYPE HOST PORT [USER PASSWORD], or TYPE://[USER:PASSWORD@]HOST:PORT",
            ),
        }
    }

    /// No percent-decoding: these are not URLs but for their looks.
    fn url(&mut self, url: &str, more: bool) -> Result<(), ConfigError> {
        let (kind, rest) = url.split_once("://").unwrap_or((url, ""));
        let (login, place) = match rest.rsplit_once('@') {
            Some(_) if kind == "socks4" => {
                return self.notes.fail("socks4 takes no user and password in this form");
            }
            Some((login, place)) => match login.split_once(':') {
                Some(login) => (Some(login), place),
                None => return self.notes.fail("user and password are needed before the @"),
            },
            None => (None, rest),
        };
        let Some((host, port)) = place.rsplit_once(':') else {
            return self.notes.fail("the proxy has no port");
        };
        if host.contains(':') {
            return self.notes.fail("no IPv6 in this form: write TYPE HOST PORT");
        }
        let end = port.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(port.len());
        let (port, after) = port.split_at(end);
        if more || !matches!(after, "" | "/") {
            self.notes.warn("the text after the port is ignored");
        }
        self.add(kind, host, port, login)
    }

    fn add(
        &mut self,
        kind: &str,
        host: &str,
        text: &str,
        login: Option<(&str, &str)>,
    ) -> Result<(), ConfigError> {
        let (protocol, login) = match kind {
            "http" => (Protocol::Http, login),
            "socks5" => (Protocol::Socks5, login),
            // Names are asked for as SOCKS4a has it, addresses as SOCKS4 has it; these are the same bytes.
            "socks4" => {
                if login.is_some_and(|(_, password)| !password.is_empty()) {
                    self.notes.warn("the password has no effect: SOCKS4 has none");
                }
                (Protocol::Socks4a, login.map(|(user, _)| (user, "")))
            }
            "raw" => {
                return self
                    .notes
                    .fail("raw is not supported: it would send the program's bytes to a third party");
            }
            _ => {
                let near = nearest(kind, TYPES).map(|near| format!(" (did you mean \"{near}\"?)"));
                let near = near.unwrap_or_else(|| "; known are http, socks4 and socks5".to_owned());
                return self.notes.fail(format!("unknown type of proxy {}{near}", shown(kind)));
            }
        };
        if !text.is_empty() && text.bytes().all(|byte| byte == b'0') {
            self.notes.warn("the proxy has no effect: its port is 0");
            return Ok(());
        }
        let Some(port) = port(text) else { return self.notes.fail("the port is not from 1 to 65535") };
        let address = match host.contains(':') {
            true => host.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            false => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        };
        let strict = self.kind.is_some_and(|(kind, _)| kind == Kind::Strict);
        let host = match address {
            Some(address) => HopHost::Address(address),
            None if strict && self.remote_dns && !self.hops.is_empty() => HopHost::Name(host.to_owned()),
            None => {
                return self.notes.fail(
                    "the host is not an address: proxychains takes a name only with strict_chain and proxy_dns, \
                     and not for the first proxy; -x takes one anywhere",
                );
            }
        };
        let hop = hop(protocol, host, port, login, Isolation::No);
        self.hops.push(hop.or_else(|error| self.notes.fail(error.to_string()))?);
        Ok(())
    }
}

/// `ADDRESS[:PORT]/MASK`, IPv6 in brackets where a port follows; port 0 means every port.
fn localnet(text: &str) -> Result<Route, &'static str> {
    const FORM: &str = "write ADDRESS[:PORT]/MASK, as 10.0.0.0/255.0.0.0, 10.0.0.0:80/8 or [fd00::]:80/8";
    let (place, bits) = text.rsplit_once('/').ok_or(FORM)?;
    let (ip, text) = match place.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((ip, ""))) => (ip, None),
        Some(Some((ip, rest))) => (ip, Some(rest.strip_prefix(':').ok_or(FORM)?)),
        Some(None) => return Err(FORM),
        None if place.matches(':').count() > 1 => (place, None),
        None => place.split_once(':').map_or((place, None), |(ip, text)| (ip, Some(text))),
    };
    let ip: IpAddr = ip.parse().map_err(|_| "not an address")?;
    if place.starts_with('[') && ip.is_ipv4() {
        return Err(FORM);
    }
    let port = text.map(|text| number(text).ok_or("the port is not from 0 to 65535")).transpose()?;
    let prefix = match bits.contains('.') && ip.is_ipv4() {
        true => mask(bits).ok_or("not a mask, or one with holes")?,
        false => number(bits).and_then(|bits| u8::try_from(bits).ok()).ok_or("not a mask")?,
    };
    let range = AddressRange::new(ip, prefix).ok_or("more bits than the address has")?;
    let ports = port.and_then(|port| PortRange::new(port, port)).into_iter().collect();
    Ok(Route { addresses: vec![range], ports, to: To::Direct, ..Route::default() })
}

#[cfg(test)]
mod tests;
