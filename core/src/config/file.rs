//! Our own configuration format: TOML. `docs/configuration.md` is its description for people.
//!
//! # Layout
//!
//! - `chain`, `route`, `expose`, `listen`: the tables; `names`: how names are answered.

mod chain;
mod expose;
mod listen;
mod names;
mod route;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::dns::Dns;
use super::inherited::{ForeignSockets, Inherited};
use super::metrics::Metrics;
use super::problem::{nearest, unknown};
pub use super::reader::MAX_BYTES;
use super::reader::{Entry, Reader};
use super::route::To;
use super::tier::Tier;
use super::{
    Chain, Config, ConfigError, DEADLINE, Handoff, Kind, MAIN_CHAIN, Parsed, Udp, Warning, no_proxy,
};
use crate::failure::errno;

/// The longest deadline, in seconds.
pub const MAX_DEADLINE: u32 = 3600;

const KEYS: [&str; 20] = [
    "proxy",
    "client-key",
    "deadline",
    "handoff",
    "warm",
    "udp",
    "default",
    "chain",
    "route",
    "expose",
    "no-proxy",
    "dns",
    "fake-pool",
    "fake-pool6",
    "inherited",
    "foreign-sockets",
    "tier",
    "listen",
    "let-in",
    "metrics",
];

/// The words of `to` and `default` that are no chain.
const DIRECT: &str = "direct";
const REFUSE: &str = "refuse";

/// Gives the id of a user by its name.
type UserId<'a> = &'a dyn Fn(&str) -> Option<u32>;

/// Reads a configuration. `file` names it in errors; `user_id` gives the id of a user by its name.
pub fn parse(text: &str, file: &str, user_id: impl Fn(&str) -> Option<u32>) -> Result<Parsed, ConfigError> {
    let reader = Reader::new(text, file);
    let document = reader.document()?;
    let mut root = reader.root(&document, &KEYS)?;
    let (mut chains, places) = chains(&reader, root.take("proxy"), root.take("chain"))?;
    if let Some(entry) = root.take("client-key") {
        let key = reader.string(&entry)?;
        if key.is_empty() {
            return reader
                .fail(entry.at, "client-key is the path of a key; underpass-agent keygen makes one");
        }
        let hops = chains.values_mut().flat_map(|chain| &mut chain.hops);
        hops.for_each(|hop| hop.default_key(|| Some(key.into())));
    }
    let otherwise = otherwise(&reader, root.take("default"), &chains)?;
    let mut routes = Vec::new();
    if let Some(list) = root.take("no-proxy") {
        let text = reader.string(&list)?;
        routes = no_proxy::routes(text).or_else(|why| reader.fail(list.at, format!("no-proxy: {why}")))?;
    }
    if let Some(list) = root.take("route") {
        routes.extend(route::routes(&reader, &list, &chains, &user_id)?);
    }
    let exposes = root.take("expose");
    let (exposes, reverses) =
        exposes.map_or(Ok(Default::default()), |list| expose::exposes(&reader, &list, &chains))?;
    let deadline = match root.take("deadline") {
        Some(entry) => reader.number(&entry, MAX_DEADLINE)?,
        None => DEADLINE,
    };
    let handoff = match root.take("handoff") {
        Some(entry) => {
            let known = [("auto", Handoff::Auto), ("always", Handoff::Always), ("never", Handoff::Never)];
            reader.word(&entry, &known)?
        }
        None => Handoff::default(),
    };
    let warm = root.take("warm").map_or(Ok(true), |entry| reader.boolean(&entry))?;
    let udp = root.take("udp").map_or(Ok(Udp::default()), |entry| reader.word(&entry, &Udp::WORDS))?;
    let dns = root.take("dns").map_or(Ok(Dns::default()), |entry| names::dns(&reader, &entry))?;
    let pool = names::pool(&reader, root.take("fake-pool"), root.take("fake-pool6"))?;
    let inherited = root.take("inherited");
    let inherited =
        inherited.map_or(Ok(Inherited::default()), |entry| reader.word(&entry, &Inherited::WORDS))?;
    let foreign_sockets = root.take("foreign-sockets");
    let foreign_sockets = foreign_sockets
        .map_or(Ok(ForeignSockets::default()), |entry| reader.word(&entry, &ForeignSockets::WORDS))?;
    let tier = root.take("tier").map_or(Ok(Tier::default()), |entry| reader.word(&entry, &Tier::WORDS))?;
    let listen = root.take("listen").map_or(Ok(Vec::new()), |list| listen::doors(&reader, &list))?;
    let metrics = root.take("metrics").map(|entry| metrics(&reader, &entry)).transpose()?;
    let let_in = reader.list(root.take("let-in"), path)?;
    let config = Config {
        chains,
        routes,
        otherwise,
        handoff,
        deadline,
        warm,
        udp,
        dns,
        pool,
        exposes,
        reverses,
        foreign_sockets,
        inherited,
        tier,
        listen,
        metrics,
        let_in,
    };
    let warnings = unused(&reader, &config, &places);
    Ok(Parsed { config, warnings })
}

/// A place for metrics; the relay's configuration has the same.
pub fn metrics(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<Metrics, ConfigError> {
    reader.string(entry)?.parse().or_else(|why: String| reader.fail(entry.at, why))
}

/// A path of a file.
fn path(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<PathBuf, ConfigError> {
    let path = PathBuf::from(reader.string(entry)?);
    if path.is_absolute() { Ok(path) } else { reader.fail(entry.at, "let-in is a list of absolute paths") }
}

/// The chains by name, and where in the text each begins.
#[expect(clippy::type_complexity, reason = "two maps with the same keys")]
fn chains(
    reader: &Reader<'_>,
    proxy: Option<Entry<'_>>,
    tables: Option<Entry<'_>>,
) -> Result<(BTreeMap<String, Chain>, BTreeMap<String, usize>), ConfigError> {
    let (mut chains, mut places) = (BTreeMap::new(), BTreeMap::new());
    if let Some(proxy) = proxy {
        let hops = chain::hops(reader, &proxy)?;
        chains.insert(MAIN_CHAIN.to_owned(), Chain { kind: Kind::Strict, hops, length: None });
        places.insert(MAIN_CHAIN.to_owned(), proxy.key_at);
    }
    for entry in
        tables.map(|tables| reader.members(&tables, "[chain.NAME]")).transpose()?.into_iter().flatten()
    {
        let name = entry.key;
        let odd = |c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c);
        if name == DIRECT || name == REFUSE {
            return reader
                .fail(entry.key_at, format!("a chain cannot be called \"{name}\": this is a way already"));
        }
        if name.is_empty() || name.len() > 64 || name.contains(odd) {
            return reader.fail(entry.key_at, "a chain's name is 1 to 64 letters, digits, - _ and .");
        }
        let chain = chain::chain(reader, &entry)?;
        if chains.insert(name.to_owned(), chain).is_some() {
            return reader.fail(entry.key_at, "duplicate chain \"main\": `proxy` has made it already");
        }
        places.insert(name.to_owned(), entry.key_at);
    }
    Ok((chains, places))
}

fn otherwise(
    reader: &Reader<'_>,
    entry: Option<Entry<'_>>,
    chains: &BTreeMap<String, Chain>,
) -> Result<To, ConfigError> {
    match (entry, chains.len()) {
        (Some(entry), _) => to(reader, &entry, chains),
        (None, 1) => Ok(To::Chain(chains.keys().next().cloned().unwrap_or_default())),
        (None, 0) => Err(ConfigError::whole(reader.file, "no chain: write proxy = \"socks5h://HOST:PORT\"")),
        (None, _) => Err(ConfigError::whole(
            reader.file,
            "no default: with several chains, write default = \"CHAIN\", \"direct\" or \"refuse\"",
        )),
    }
}

/// `CHAIN`, `direct` or `refuse`.
fn to(reader: &Reader<'_>, entry: &Entry<'_>, chains: &BTreeMap<String, Chain>) -> Result<To, ConfigError> {
    let word = reader.string(entry)?;
    match word {
        DIRECT => Ok(To::Direct),
        REFUSE => Ok(To::Refuse(errno::EACCES)),
        _ if chains.contains_key(word) => Ok(To::Chain(word.to_owned())),
        _ => {
            let known = [DIRECT, REFUSE].into_iter().chain(chains.keys().map(String::as_str));
            // Only a chain can be missing, so this is what the message says.
            let text = match nearest(word, known.clone()) {
                Some(_) => unknown("chain", word, known),
                None => unknown("chain", word, known) + "; a chain is made by [chain.NAME]",
            };
            reader.fail(entry.at, text)
        }
    }
}

/// Chains that nothing leads to.
fn unused(reader: &Reader<'_>, config: &Config, places: &BTreeMap<String, usize>) -> Vec<Warning> {
    let ways = || config.routes.iter().map(|route| &route.to).chain([&config.otherwise]);
    let exposed = |name: &str| {
        config.exposes.iter().any(|expose| expose.at == name)
            || config.reverses.iter().any(|reverse| reverse.at.as_deref() == Some(name))
    };
    let used = |name: &str| ways().any(|to| matches!(to, To::Chain(chain) if chain == name)) || exposed(name);
    let unused = places.iter().filter(|(name, _)| !used(name));
    unused.map(|(name, at)| reader.warning(*at, format!("chain \"{name}\" is used by no route"))).collect()
}

#[cfg(test)]
mod tests;
