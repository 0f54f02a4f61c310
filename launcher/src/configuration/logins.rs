//! Credentials that a URL only names, and the paths in URLs: what the agent, which may have been started
//! elsewhere and by another environment, cannot find.

use std::env;
use std::path::{Path, PathBuf};

use underpass_core::config::Config;
use underpass_core::config::logins::{default_key, from_file};
use underpass_core::upstream::{Login, Upstream};

use super::{Found, set};
use crate::messages::{Failure, reason};

/// Makes paths in URLs absolute, from `folder` or else from the current directory.
pub(super) fn make_absolute(config: &mut Config, folder: Option<&Path>) -> Result<(), Failure> {
    for upstream in upstreams(config) {
        upstream.default_key(client_key);
        for path in upstream.paths_mut() {
            let from_folder = folder.map_or_else(|| path.clone(), |folder| folder.join(&*path));
            *path = std::path::absolute(&from_folder)
                .map_err(|error| Failure::setup(format_args!("{}: {}", path.display(), reason(&error))))?;
        }
    }
    Ok(())
}

/// The key that relays are shown where nothing says another.
pub(super) fn client_key() -> Option<PathBuf> {
    default_key(|name| set(name)?.into_string().ok())
}

/// Fetches what the URLs name, and notes the variables that it was taken from.
pub(crate) fn fetch(found: &mut Found) -> Result<(), Failure> {
    for upstream in upstreams(&mut found.config) {
        let name = upstream.to_string();
        let source = match upstream {
            Upstream::Proxy(proxy) => proxy.login.clone(),
            _ => continue,
        };
        let at = match &source {
            Login::File(path) => format!("login-file {}", path.display()),
            Login::Environment(variable) => format!("login-env {variable}"),
            Login::Nobody | Login::Given(_) => continue,
        };
        upstream
            .fetch_login(|login| match login {
                Login::File(path) => from_file(path),
                Login::Environment(variable) => from_variable(variable),
                Login::Nobody | Login::Given(_) => Err("names nothing".to_owned()),
            })
            .map_err(|why| Failure::setup(format_args!("{name}: {at}: {why}")))?;
        if let (Login::Environment(variable), Upstream::Proxy(proxy)) = (source, &*upstream) {
            if let Some(credentials) = proxy.login.credentials() {
                found.logins.insert(variable.clone(), credentials.clone());
            }
            found.taken.push(variable);
        }
    }
    Ok(())
}

fn upstreams(config: &mut Config) -> impl Iterator<Item = &mut Upstream> {
    config.chains.values_mut().flat_map(|chain| &mut chain.hops)
}

fn from_variable(name: &str) -> Result<String, String> {
    match env::var(name) {
        Ok(value) => Ok(value),
        Err(env::VarError::NotPresent) => Err("the variable is not set".to_owned()),
        Err(env::VarError::NotUnicode(_)) => Err("its value is not in UTF-8".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::super::Origin;
    use super::*;
    use crate::scratch::Scratch;

    fn config(urls: &[&str]) -> Config {
        Config::strict(urls.iter().map(|url| url.parse().unwrap()).collect())
    }

    fn urls(config: &Config) -> Vec<String> {
        config.chains["main"].hops.iter().map(|hop| String::from(hop.clone())).collect()
    }

    #[test]
    fn paths_are_relative_to_the_folder() {
        let mut it = config(&["https://a:1?ca=c.pem&login-file=../l", "https://b:1?ca=%2Fetc%2Fc", "local:"]);
        make_absolute(&mut it, Some(Path::new("/f/g"))).unwrap();
        assert_eq!(
            urls(&it),
            [
                "https://a:1?login-file=%2Ff%2Fg%2F..%2Fl&ca=%2Ff%2Fg%2Fc.pem",
                "https://b:1?ca=%2Fetc%2Fc",
                "local:"
            ]
        );
        let mut it = config(&["http://a:1?login-file=l"]);
        make_absolute(&mut it, None).unwrap();
        let here = env::current_dir().unwrap().join("l");
        let Upstream::Proxy(proxy) = &it.chains["main"].hops[0] else { panic!() };
        assert_eq!(proxy.login, Login::File(here));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let scratch = Scratch::new();
        let path = scratch.file("login", "me:hunter2\nmore\n");
        let url = format!("http://h:1?login-file={}", path.display());
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let mut found = Found::new(config(&[&url]), Origin::Options);
            match fetch(&mut found) {
                Ok(()) => {
                    assert_eq!((good, urls(&found.config)), (true, vec!["http://me:hunter2@h:1".to_owned()]))
                }
                Err(failure) => {
                    assert!(!good && failure.message.contains("(chmod 600)"), "{failure}");
                    assert!(!failure.message.contains("hunter2"), "{failure}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_there_or_no_login_is_said_and_not_shown() {
        let scratch = Scratch::new();
        let path = scratch.file("login", "hunter2");
        set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        for (login, why) in [
            (format!("login-file={}", path.display()), "a user name of 1 to 255 bytes"),
            ("login-file=/no/such".to_owned(), "login-file /no/such: cannot be read: no such file"),
            (
                "login-env=UNDERPASS_NO_SUCH".to_owned(),
                "login-env UNDERPASS_NO_SUCH: the variable is not set",
            ),
        ] {
            let mut found = Found::new(config(&[&format!("http://h:1?{login}")]), Origin::Options);
            let failure = fetch(&mut found).unwrap_err();
            assert!(failure.message.starts_with("http://h:1: login-"), "{failure}");
            assert!(failure.message.contains(why) && !failure.message.contains("hunter2"), "{failure}");
        }
    }
}
