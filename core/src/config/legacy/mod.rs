//! The configuration files of proxychains-ng, torsocks and tsocks, as they are.
//!
//! What the original silently ignores, and what behaves otherwise here, is a warning; what the original
//! rejects, or what would take traffic another way here, is an error. Which directive becomes what is
//! in `docs/configuration.md`.

pub mod proxychains;
pub mod torsocks;
pub mod tsocks;

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::file::MAX_BYTES;
use super::pattern::number;
use super::pool::Pool;
use super::{ConfigError, Warning};
use crate::upstream::{
    Credentials, Flights, HopHost, Isolation, Login, Protocol, Proxy, Trust, Upstream, UpstreamError,
};

/// Where the reader is, and what it has noticed.
struct Notes<'f> {
    file: &'f str,
    /// From 1.
    line: usize,
    warnings: Vec<Warning>,
}

impl<'f> Notes<'f> {
    fn new(text: &str, file: &'f str) -> Result<Self, ConfigError> {
        match text.len() > MAX_BYTES {
            true => Err(ConfigError::whole(file, "longer than 1 MiB: this is no configuration")),
            false => Ok(Self { file, line: 0, warnings: Vec::new() }),
        }
    }

    fn warn(&mut self, message: impl Into<String>) {
        self.warn_of(self.line, message);
    }

    fn warn_of(&mut self, line: usize, message: impl Into<String>) {
        self.warnings.push(Warning { file: self.file.to_owned(), line, message: message.into() });
    }

    fn error(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::line(self.file, self.line, message)
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T, ConfigError> {
        Err(self.error(message))
    }
}

/// A hop of what a file names. Checked in the way of a URL, which is how the agent gets it.
fn hop(
    protocol: Protocol,
    host: HopHost,
    port: u16,
    login: Option<(&str, &str)>,
    isolation: Isolation,
) -> Result<Upstream, UpstreamError> {
    let credentials =
        login.map(|(user, password)| Credentials { user: user.into(), password: password.into() });
    let login = credentials.map_or(Login::Nobody, Login::Given);
    let trust = Trust::System;
    let flights = Flights::Probed;
    let proxy = Proxy { protocol, host, port, login, trust, key: None, isolation, flights };
    let hop = Upstream::Proxy(Box::new(proxy));
    match String::from(hop.clone()).parse::<Upstream>() {
        Ok(again) if again == hop => Ok(hop),
        Ok(_) => Err(UpstreamError::Syntax),
        Err(error) => Err(error),
    }
}

/// The addresses that stand for names, where a file says which: ours, with a warning, where it cannot be so.
fn pool(notes: &mut Notes<'_>, key: &str, range: Ipv4Net) -> Pool {
    Pool::new(range, None).unwrap_or_else(|why| {
        let ours = Pool::default();
        let (v4, _) = ours.ranges();
        notes.warn(format!("{key} has no effect: {why}; names stand for addresses of {v4}"));
        ours
    })
}

/// The bits of a mask such as `255.255.0.0`; `None` if it has holes or is no mask.
fn mask(text: &str) -> Option<u8> {
    ipnet::ipv4_mask_to_prefix(text.parse::<Ipv4Addr>().ok()?).ok()
}

/// A port of a hop.
fn port(text: &str) -> Option<u16> {
    number(text).filter(|port| *port != 0)
}
