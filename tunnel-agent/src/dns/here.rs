//! What this agent knows by itself: names of the hosts file, and fake addresses.

use domain::base::iana::{OptRcode, Rtype};
use underpass_core::config::dns::Mode;
use underpass_core::wire::Family;

use super::message::Question;
use crate::agent::Agent;
use crate::names::{Meaning, is_nobodys, normalised};
use crate::plan::Plan;

/// Who knows the answer.
pub(super) enum Known {
    /// This is it.
    Answer(Vec<u8>),
    /// This machine's resolver, which is asked for the addresses of this name.
    ByThisMachine(String),
    /// A resolver beyond the chain.
    Elsewhere,
}

/// Whether a name gets a fake address: all do, or those that a route may look at.
pub(super) fn is_fake(plan: &Plan, name: &str) -> bool {
    plan.config.dns.mode == Mode::Fake || plan.config.minds_name(name)
}

/// The answer to a question, or who knows it.
///
/// A question for AAAA has an empty answer where one for A has a fake address: the two would stand for the
/// same name, and a program that asks for both would dial it twice where it fails or is slow.
pub(super) fn answer(agent: &Agent, plan: &Plan, question: &Question) -> Known {
    let host = question.host();
    let name = host.as_deref().and_then(|host| normalised(host.as_bytes()));
    // What the hosts file names is known for all types, and its name does not leave (hosts(5), RFC 6761).
    if let Some(local) = name.as_deref().and_then(|name| agent.hosts.find(name, Family::Any)) {
        return Known::Answer(question.addresses(&local.addresses));
    }
    if name.as_deref().is_some_and(is_nobodys) {
        return Known::Answer(question.failed(OptRcode::NXDOMAIN));
    }
    match question.kind {
        Rtype::A | Rtype::AAAA | Rtype::ANY => match (name, host.as_deref()) {
            (Some(name), _) if is_fake(plan, &name) => {
                Known::Answer(match agent.names.addresses_of(&name, &plan.config.pool) {
                    Ok((v4, _)) => question.addresses(&[v4.into()]),
                    Err(_) => question.failed(OptRcode::SERVFAIL),
                })
            }
            (Some(name), _) if plan.config.dns.mode == Mode::Local => Known::ByThisMachine(name),
            (Some(_), _) => Known::Elsewhere,
            (None, Some("")) => Known::Answer(question.addresses(&[])),
            // No host can have such a name.
            (None, _) => Known::Answer(question.failed(OptRcode::NXDOMAIN)),
        },
        Rtype::PTR => question.address().map_or(Known::Elsewhere, |ip| match agent.names.meaning(ip) {
            Meaning::Name(name) => Known::Answer(question.pointer(&name)),
            Meaning::Unknown => Known::Answer(question.failed(OptRcode::NXDOMAIN)),
            Meaning::Real => match agent.hosts.name_of(ip) {
                Some(names) => Known::Answer(question.pointer(names.split(' ').next().unwrap_or_default())),
                None => Known::Elsewhere,
            },
        }),
        _ => Known::Elsewhere,
    }
}
