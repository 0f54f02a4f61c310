//! What a configuration only names, fetched: credentials in files and environment variables, and the ids of
//! users.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Config;
use super::listen::Door;
use crate::failure::reason;
use crate::upstream::{Credentials, Login};

/// Longer than the longest user name and password.
const MAX_LOGIN_BYTES: u64 = 4096;

/// The id of the user of this name, by `/etc/passwd` alone: libc's other sources (nsswitch.conf(5)) are
/// libraries, which a static program has not.
pub fn user_id(name: &str) -> Option<u32> {
    find(name, &fs::read_to_string("/etc/passwd").ok()?)
}

/// In a text of the form of passwd(5).
fn find(name: &str, passwd: &str) -> Option<u32> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

/// Makes the paths in the URLs absolute, from `folder`, and fetches the credentials that they name; `key` is
/// shown to relays whose URLs name none; `variable` gives the value of an environment variable. The error is for a person and shows no secret.
pub fn fetch(
    config: &mut Config,
    folder: &Path,
    key: Option<&Path>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(), String> {
    for upstream in config.chains.values_mut().flat_map(|chain| &mut chain.hops) {
        let name = upstream.to_string();
        upstream.default_key(|| key.map(Path::to_owned));
        for path in upstream.paths_mut() {
            *path = std::path::absolute(folder.join(&*path)).map_err(|error| format!("{name}: {error}"))?;
        }
        upstream
            .fetch_login(|login| match login {
                Login::File(path) => {
                    from_file(path).map_err(|why| format!("login-file {}: {why}", path.display()))
                }
                Login::Environment(name) => {
                    variable(name).ok_or_else(|| format!("login-env {name}: the launch had no such variable"))
                }
                Login::Nobody | Login::Given(_) => Err("names nothing".to_owned()),
            })
            .map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

/// Fetches the logins of doors: afterwards [`Login`] is `Nobody` or `Given`. As [`fetch`] otherwise.
pub fn fetch_doors(
    doors: &mut [Door],
    folder: &Path,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(), String> {
    for door in doors {
        let text = match &door.login {
            Login::File(path) => from_file(&folder.join(path))
                .map_err(|why| format!("{door}: login-file {}: {why}", path.display()))?,
            Login::Environment(name) => variable(name)
                .ok_or_else(|| format!("{door}: login-env {name}: there is no such variable"))?,
            Login::Nobody | Login::Given(_) => continue,
        };
        let line = text.lines().next().unwrap_or_default();
        door.login =
            Credentials::from_line(line).map(Login::Given).map_err(|error| format!("{door}: {error}"))?;
    }
    Ok(())
}

/// The file of the key that is shown to relays, where nothing else is said: `client.key` below the folder of the
/// user's configurations (XDG Base Directory Specification, which has a relative one ignored).
pub fn default_key(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let folder = folder.or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("underpass/client.key"))
}

/// The content of a login file, or why it is not taken: as ssh has it with keys, what others can read is no
/// secret.
pub fn from_file(path: &Path) -> Result<String, String> {
    let system = |error: io::Error| format!("cannot be read: {}", reason(&error));
    let file = File::open(path).map_err(system)?;
    let mode = file.metadata().map_err(system)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(format!("its mode is {mode:04o}, so others than its owner can use it (chmod 600)"));
    }
    let mut text = String::new();
    file.take(MAX_LOGIN_BYTES).read_to_string(&mut text).map_err(system)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n\ntor:x:107:115::/var/lib/tor:/bin/false\nodd\n";
        assert_eq!((find("tor", passwd), find("root", passwd)), (Some(107), Some(0)));
        for none in ["to", "odd", "", "x"] {
            assert_eq!(find(none, passwd), None, "{none}");
        }
    }
}
