//! `[[expose]]`: which listeners of programs, and where they are reached; with `to`, one that leads there without a
//! program.

use std::collections::BTreeMap;

use super::super::expose::{Expose, Inside, Reverse};
use super::super::listen::forward::inside;
use super::super::problem::unknown;
use super::super::reader::{Entry, Reader};
use super::super::{Chain, ConfigError};

const KEYS: [&str; 6] = ["port", "program", "at", "address", "exit-port", "to"];

/// Of either kind, in their order.
pub(super) fn exposes(
    reader: &Reader<'_>,
    entry: &Entry<'_>,
    chains: &BTreeMap<String, Chain>,
) -> Result<(Vec<Expose>, Vec<Reverse>), ConfigError> {
    let (mut exposes, mut reverses) = (Vec::new(), Vec::new());
    for entry in reader.tables(entry)? {
        match expose(reader, &entry, chains)? {
            Listener::OfPrograms(expose) => exposes.push(expose),
            Listener::Reverse(reverse) => reverses.push(reverse),
        }
    }
    Ok((exposes, reverses))
}

/// What one table says.
enum Listener {
    OfPrograms(Expose),
    Reverse(Reverse),
}

fn expose(
    reader: &Reader<'_>,
    entry: &Entry<'_>,
    chains: &BTreeMap<String, Chain>,
) -> Result<Listener, ConfigError> {
    let mut table = reader.table(entry, &KEYS, "[[expose]]")?;
    let Some(at) = table.take("at") else {
        return reader.fail(entry.at, "nothing says where: write at = \"CHAIN\"");
    };
    let name = reader.string(&at)?;
    if !chains.contains_key(name) {
        return reader.fail(at.at, unknown("chain", name, chains.keys().map(String::as_str)));
    }
    let address = table.take("address").map(|entry| reader.parsed(&entry)).transpose()?;
    let (port, program) = (table.take("port"), table.take("program"));
    let (exit_port, to) = (table.take("exit-port"), table.take("to"));
    if let Some(to) = to {
        if let Some(entry) = port.or(program) {
            let text = "to leads there whoever listens: port and program are for listeners of programs";
            return reader.fail(entry.key_at, text);
        }
        let inside = inside(reader.string(&to)?).or_else(|why| reader.fail(to.at, format!("to: {why}")))?;
        let port = match (exit_port, &inside) {
            (Some(entry), _) => exit(reader, &entry)?,
            (None, Inside::Host(host)) => host.port(),
            (None, Inside::Path(_)) => {
                return reader.fail(
                    to.at,
                    "a path has no port: write exit-port = PORT, or 0 for one that the exit chooses",
                );
            }
        };
        return Ok(Listener::Reverse(Reverse { at: Some(name.to_owned()), address, port, to: inside }));
    }
    let ports = reader.list(port, Reader::ports)?;
    let is_one = matches!(&ports[..], [range] if range.first() == range.last());
    if let Some(entry) = exit_port.as_ref().filter(|_| !is_one) {
        return reader.fail(entry.key_at, "exit-port has a meaning beside one port alone");
    }
    let exit_port = exit_port.map(|entry| reader.number(&entry, u16::MAX.into())).transpose()?;
    Ok(Listener::OfPrograms(Expose {
        ports,
        programs: reader.list(program, Reader::parsed)?,
        at: name.to_owned(),
        address,
        exit_port: exit_port.and_then(|port| u16::try_from(port).ok()),
    }))
}

/// A port, or 0.
fn exit(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<u16, ConfigError> {
    let port = reader.integer(entry).flatten().and_then(|port| u16::try_from(port).ok());
    port.map_or_else(|| reader.fail(entry.at, "exit-port is a port, or 0 for one that the exit chooses"), Ok)
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::config::file::parse;

    fn parsed(table: &str) -> Result<Config, String> {
        let text = format!("proxy = 'socks5h://h:1'\n[[expose]]\n{table}\n");
        parse(&text, "c", |_| None).map(|parsed| parsed.config).map_err(|error| error.to_string())
    }

    #[test]
    fn programs_that_listen_are_chosen_by_port_and_file() {
        let one = |table: &str| parsed(table).unwrap().exposes.remove(0);
        let all = one("at = 'main'");
        assert!(all.ports.is_empty() && all.programs.is_empty() && all.address.is_none());
        assert_eq!((&*all.at, all.exit_port), ("main", None));
        let some = one("at = 'main'\nport = 8080\nexit-port = 80\nprogram = 'nginx'\naddress = '192.0.2.1'");
        assert_eq!((some.ports.len(), some.programs.len(), some.exit_port), (1, 1, Some(80)));
        assert_eq!(some.address, Some("192.0.2.1".parse().unwrap()));
        for (table, why) in [
            ("at = 'mian'", "c:3:6: unknown chain \"mian\""),
            ("at = 'main'\nexit-port = 80", "c:4:1: exit-port has a meaning beside one port alone"),
            ("at = 'main'\nport = [80, 81]\nexit-port = 80", "c:5:1: exit-port has a meaning"),
            ("at = 'main'\nport = '80-81'\nexit-port = 80", "c:5:1: exit-port has a meaning"),
            ("at = 'main'\nport = 80\nexit-port = 65536", "\"exit-port\" is a whole number"),
        ] {
            let said = parsed(table).unwrap_err();
            assert!(said.contains(why), "{table}: {said}");
        }
    }

    #[test]
    fn what_leads_to_one_place_needs_no_program() {
        for (table, shown) in [
            ("at = 'main'\nto = 'localhost:80'", "80:localhost:80"),
            (
                "at = 'main'\nto = '[::1]:80'\nexit-port = 8000\naddress = '192.0.2.1'",
                "192.0.2.1:8000:[::1]:80",
            ),
            ("at = 'main'\nto = '/run/web'\nexit-port = 0", "0:/run/web"),
        ] {
            let config = parsed(table).unwrap();
            assert!(config.exposes.is_empty());
            assert_eq!(config.reverses[0].to_string(), shown);
            assert_eq!(config.chain_of(&config.reverses[0]), Some("main"));
        }
        for (table, why) in [
            ("at = 'main'\nto = '/run/web'", "c:4:6: a path has no port"),
            ("at = 'main'\nto = 'localhost'", "is not HOST:PORT"),
            ("at = 'main'\nto = 'a:1'\nport = 8000", "c:5:1: to leads there"),
            ("at = 'main'\nto = 'a:1'\nexit-port = -1", "or 0 for one that the exit chooses"),
            ("to = 'a:1'", "nothing says where"),
        ] {
            let said = parsed(table).unwrap_err();
            assert!(said.contains(why), "{table}: {said}");
        }
    }
}
