//! The addresses of a name for the resolver functions of programs.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::base::iana::{OptRcode, Rtype};
use underpass_core::config::dns::Mode;
use underpass_core::wire::{Addresses, Family, Reply};

use super::kept::Key;
use super::message::Question;
use super::message::foreign::Found;
use super::{elsewhere, here};
use crate::agent::Agent;
use crate::names::{NoAddress, is_nobodys, normalised};
use crate::plan::Plan;
use crate::upstream::hop::Client;

/// How long this machine's resolver may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is told of a name.
#[derive(Debug)]
pub(crate) enum Told {
    Addresses(Box<Addresses>, String),
    NoName,
    NoAddress,
    TryAgain,
}

impl Told {
    /// As it is told.
    pub(crate) fn reply(&self) -> Reply<'_> {
        match self {
            Self::Addresses(addresses, canonical) => {
                Reply::Resolved { addresses: **addresses, canonical: canonical.as_bytes() }
            }
            Self::NoName => Reply::Unknown,
            Self::NoAddress => Reply::NoAddress,
            Self::TryAgain => Reply::TryAgain,
        }
    }

    fn of(addresses: impl Iterator<Item = IpAddr>, canonical: String) -> Self {
        let addresses: Addresses = addresses.collect();
        if addresses.is_empty() { Self::NoAddress } else { Self::Addresses(Box::new(addresses), canonical) }
    }
}

/// What is known without asking anybody; `None` if somebody has to be asked. Names of this machine have
/// their addresses. Of the fake ones, one is given where no family is wanted, not two: a name that fails
/// would be tried twice.
pub(crate) fn known(agent: &Agent, plan: &Plan, name: &[u8], family: Family) -> Option<Told> {
    let Some(name) = normalised(name) else { return Some(Told::NoName) };
    if let Some(local) = agent.hosts.find(&name, family) {
        // As libc says of a name that the file knows for the other family alone.
        return Some(match local.addresses[..] {
            [] => Told::NoName,
            _ => Told::of(local.addresses.into_iter(), local.names),
        });
    }
    if is_nobodys(&name) {
        return Some(Told::NoName);
    }
    if !here::is_fake(plan, &name) {
        return None;
    }
    Some(match agent.names.addresses_of(&name, &plan.config.pool) {
        Ok((_, v6)) if family == Family::V6 => Told::of(std::iter::once(v6.into()), String::new()),
        Ok((v4, _)) => Told::of(std::iter::once(v4.into()), String::new()),
        Err(NoAddress::Full) => Told::TryAgain,
    })
}

/// What others know of a name that is not [`known`].
pub(crate) async fn look_up(
    agent: &Arc<Agent>,
    plan: &Arc<Plan>,
    client: &Client,
    name: &[u8],
    family: Family,
) -> Told {
    let Some(host) = normalised(name) else { return Told::NoName };
    if plan.config.dns.mode == Mode::Local {
        return by_this_machine(&host, family).await;
    }
    let settings = agent.resolver.settings.read();
    let mut told = Told::NoName;
    for candidate in settings.candidates(&host, name.ends_with(b".")) {
        // A domain that was searched may have made it a name that a route looks at.
        if candidate != host
            && let Some(known) = known(agent, plan, candidate.as_bytes(), family)
        {
            return known;
        }
        match by_the_chain(agent, plan, client, &candidate, family).await {
            Told::NoName => {}
            Told::NoAddress => told = Told::NoAddress,
            found => return found,
        }
    }
    told
}

/// Both families are asked for at once. IPv4 comes first: whether the far end of the chain speaks IPv6,
/// nobody here knows.
async fn by_the_chain(
    agent: &Arc<Agent>,
    plan: &Arc<Plan>,
    client: &Client,
    name: &str,
    family: Family,
) -> Told {
    let ask = async |kind, wanted: bool| match wanted {
        true => Some(find(agent, plan, client, name, kind).await),
        false => None,
    };
    let found = tokio::join!(ask(Rtype::A, family != Family::V6), ask(Rtype::AAAA, family != Family::V4));
    let found: Vec<Found> = [found.0, found.1].into_iter().flatten().collect();
    let mut addresses = Vec::new();
    let mut name_of = None;
    for one in &found {
        if let Found::Addresses(list, canonical) = one {
            addresses.extend_from_slice(list);
            name_of.get_or_insert(canonical);
        }
    }
    match name_of {
        Some(canonical) => {
            let other = if canonical.eq_ignore_ascii_case(name) { "" } else { canonical };
            Told::of(addresses.into_iter(), other.to_owned())
        }
        None if found.contains(&Found::Failed) => Told::TryAgain,
        None if found.contains(&Found::NoName) => Told::NoName,
        None => Told::NoAddress,
    }
}

async fn find(agent: &Arc<Agent>, plan: &Arc<Plan>, client: &Client, name: &str, kind: Rtype) -> Found {
    let Some(question) = Question::of(name, kind) else { return Found::NoName };
    let server = elsewhere::default_server(agent, plan);
    let asked = (Key::new(plan, &server, client), name.to_owned(), kind);
    if let Some(found) = agent.resolver.cache.get(&asked) {
        return found;
    }
    match elsewhere::ask(agent, plan, client, &server, &question).await {
        Some(answer) => {
            let (found, seconds) = question.found(&answer);
            agent.resolver.cache.put(asked, &found, seconds);
            found
        }
        None => Found::Failed,
    }
}

/// The answer to a question of DNS by this machine's resolver.
pub(super) async fn answer(question: &Question, name: &str) -> Vec<u8> {
    let family = match question.kind {
        Rtype::A => Family::V4,
        Rtype::AAAA => Family::V6,
        _ => Family::Any,
    };
    match by_this_machine(name, family).await {
        Told::Addresses(addresses, _) => question.addresses(addresses.as_slice()),
        Told::NoAddress => question.addresses(&[]),
        Told::NoName => question.failed(OptRcode::NXDOMAIN),
        Told::TryAgain => question.failed(OptRcode::SERVFAIL),
    }
}

async fn by_this_machine(name: &str, family: Family) -> Told {
    use dns_lookup::{AddrFamily, AddrInfoHints, LookupErrorKind, SockType};

    let hints = AddrInfoHints {
        socktype: SockType::Stream.into(),
        address: match family {
            Family::Any => 0,
            Family::V4 => AddrFamily::Inet.into(),
            Family::V6 => AddrFamily::Inet6.into(),
        },
        ..AddrInfoHints::default()
    };
    let name = name.to_owned();
    let looking = tokio::task::spawn_blocking(move || {
        let found = dns_lookup::getaddrinfo(Some(&name), None, Some(hints)).map_err(|error| error.kind())?;
        Ok(found.filter_map(|found| Some(found.ok()?.sockaddr.ip())).collect::<Vec<_>>())
    });
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(Ok(Ok(found))) => Told::of(found.into_iter(), String::new()),
        Ok(Ok(Err(LookupErrorKind::NoName))) => Told::NoName,
        Ok(Ok(Err(LookupErrorKind::NoData))) => Told::NoAddress,
        _ => Told::TryAgain,
    }
}
