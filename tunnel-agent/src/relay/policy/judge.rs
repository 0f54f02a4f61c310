//! The judgement: the first rule that matches decides, and what none matches is refused.
//!
//! A client may have rules of its own. They restrict: what they deny, or do not permit where one of them permits
//! something, is refused before the relay's are asked, and what they permit the relay's must permit, too.
//!
//! It has two steps, because names are resolved between them. [`Judge::name`] says whether a name may be
//! looked up at all. [`Judge::address`] judges each address that the look-up has given, or the one that was
//! asked for, and makes the only thing that may be dialled: so nothing is dialled that was not judged,
//! whatever a second look-up would say (DNS rebinding).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use super::client::Client;
use super::own::Own;
use super::rules::{Asked, Judged, Protocol, Rule};
use super::special::Special;

/// The rules of a relay.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judge {
    pub(crate) rules: Vec<Rule>,
    pub(crate) udp: bool,
    pub(crate) own: Own,
}

/// An address that may be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Permitted {
    address: SocketAddr,
    rule: Arc<str>,
}

impl Permitted {
    /// What to dial: this and no other spelling of it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The rule that says so.
    pub(crate) fn rule(&self) -> &Arc<str> {
        &self.rule
    }
}

/// What a client may not have.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) why: Why,
    /// The rule, if it is one that says so.
    pub(crate) rule: Option<Arc<str>>,
}

/// Why it may not.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Why {
    Rule,
    NoRule,
    /// The client has rules that permit something, and none permits this.
    NoOwnRule,
    Expired,
    NoUdp,
    NoPort,
    Special(&'static Special),
    Own,
    Relay,
}

impl Why {
    /// The error type of RFC 9209 section 2.3.
    pub(crate) fn error_type(self) -> &'static str {
        match self {
            Self::Special(_) | Self::Own | Self::Relay => "destination_ip_prohibited",
            _ => "http_request_denied",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rule => "a rule denies it",
            Self::NoRule => "no rule permits it",
            Self::NoOwnRule => "no rule of the client's own permits it",
            Self::Expired => "the client's key has expired",
            Self::NoUdp => "datagrams are not carried",
            Self::NoPort => "port 0 is none",
            Self::Special(special) => return write!(f, "{special} that no rule names"),
            Self::Own => "an address of the relay that no rule names",
            Self::Relay => "the relay itself",
        })
    }
}

impl Judge {
    /// Whether the client may have the name looked up. A rule that permits some addresses is enough for a
    /// yes.
    pub(crate) fn name(&self, client: &Client, asked: &Asked<'_>, now: SystemTime) -> Result<(), Refusal> {
        self.at_all(client, asked, now)?;
        let matters = |rule: &Rule| rule.permit || rule.addresses.is_empty();
        own(client, asked, matters)?;
        let mut rules = self.rules.iter().filter(|rule| rule.is_for(&client.name, asked));
        match rules.find(|rule| matters(rule)) {
            Some(rule) if rule.permit => Ok(()),
            Some(rule) => Err(Refusal { why: Why::Rule, rule: Some(Arc::clone(&rule.label)) }),
            None => Err(Refusal { why: Why::NoRule, rule: None }),
        }
    }

    /// Whether the client may connect to an address, by which name ever.
    pub(crate) fn address(
        &self,
        client: &Client,
        asked: &Asked<'_>,
        ip: IpAddr,
        now: SystemTime,
    ) -> Result<Permitted, Refusal> {
        self.at_all(client, asked, now)?;
        let judged = Judged::new(ip, |ip| self.own.has(ip));
        let mut spellings = [Some(judged.ip), judged.behind].into_iter().flatten();
        if asked.protocol == Protocol::Tcp && spellings.any(|ip| self.own.is_relay(ip, asked.port)) {
            return Err(Refusal { why: Why::Relay, rule: None });
        }
        own(client, asked, |rule| rule.is_for_address(&judged))?;
        let mut why = Why::NoRule;
        let rules = self.rules.iter().filter(|rule| rule.is_for(&client.name, asked));
        for rule in rules.filter(|rule| rule.is_for_address(&judged)) {
            if !rule.permit {
                return Err(Refusal { why: Why::Rule, rule: Some(Arc::clone(&rule.label)) });
            }
            let shut = match judged.special {
                Some(special) if !rule.opens(&judged) => Why::Special(special),
                _ if judged.own && !rule.names(&judged) => Why::Own,
                _ => {
                    let address = SocketAddr::new(judged.ip, asked.port);
                    return Ok(Permitted { address, rule: Arc::clone(&rule.label) });
                }
            };
            // It would be permitted, were it not for what it is; of several reasons the one that is the last hurdle.
            if !matches!(why, Why::Own) {
                why = shut;
            }
        }
        Err(Refusal { why, rule: None })
    }

    fn at_all(&self, client: &Client, asked: &Asked<'_>, now: SystemTime) -> Result<(), Refusal> {
        let why = match asked {
            _ if client.has_expired(now) => Why::Expired,
            Asked { port: 0, .. } => Why::NoPort,
            Asked { protocol: Protocol::Udp, .. } if !self.udp => Why::NoUdp,
            _ => return Ok(()),
        };
        Err(Refusal { why, rule: None })
    }
}

/// What the client's own rules say; `matters` is of those that are for what is asked.
fn own(client: &Client, asked: &Asked<'_>, matters: impl Fn(&Rule) -> bool) -> Result<(), Refusal> {
    let mut rules = client.rules.iter().filter(|rule| rule.is_for(&client.name, asked));
    match rules.find(|rule| matters(rule)) {
        Some(rule) if rule.permit => Ok(()),
        Some(rule) => Err(Refusal { why: Why::Rule, rule: Some(Arc::clone(&rule.label)) }),
        None if client.rules.iter().any(|rule| rule.permit) => {
            Err(Refusal { why: Why::NoOwnRule, rule: None })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
