//! `[[listen]]`: doors of the agent.

use super::super::ConfigError;
use super::super::listen::Door;
use super::super::listen::forward::host_and_port;
use super::super::reader::{Entry, Reader};
use crate::upstream::Login;

const KEYS: [&str; 4] = ["at", "to", "login-file", "login-env"];

pub(super) fn doors(reader: &Reader<'_>, list: &Entry<'_>) -> Result<Vec<Door>, ConfigError> {
    reader.tables(list)?.iter().map(|entry| door(reader, entry)).collect()
}

fn door(reader: &Reader<'_>, entry: &Entry<'_>) -> Result<Door, ConfigError> {
    let mut table = reader.table(entry, &KEYS, "[[listen]]")?;
    let Some(at) = table.take("at") else {
        return reader.fail(entry.at, "a door needs at = \"socks5://127.0.0.1:1080\", or another place");
    };
    let to = match table.take("to") {
        Some(to) => {
            Some(host_and_port(reader.string(&to)?).or_else(|why| reader.fail(to.at, format!("to: {why}")))?)
        }
        None => None,
    };
    let login = match (table.take("login-file"), table.take("login-env")) {
        (None, None) => Login::Nobody,
        (Some(file), None) => Login::File(reader.string(&file)?.into()),
        (None, Some(name)) => Login::Environment(reader.string(&name)?.to_owned()),
        (Some(_), Some(name)) => return reader.fail(name.key_at, "login-file and login-env in one door"),
    };
    Door::new(reader.string(&at)?, to, login).or_else(|why| reader.fail(at.at, format!("at: {why}")))
}
