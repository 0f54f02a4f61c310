//! The variables that other programs read their proxy from. `HTTP_PROXY` is not among them: it is for
//! `http://` URLs alone, and a server may have let a client set it (CVE-2016-5385).

use super::route::To;
use super::{Config, ConfigError, MAIN_CHAIN, no_proxy};
use crate::upstream::Upstream;

/// In this order; the first that is set and not empty is used.
const PROXY_VARIABLES: [&str; 4] = ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"];
const SOCKS_SERVER: &str = "SOCKS_SERVER";

/// The configuration that the environment has, and the variable that it was taken from; `None` if there
/// is none. `get` gives a variable's value.
///
/// `ALL_PROXY` and `HTTPS_PROXY` hold a URL, which without a scheme is an `http://` one, as for curl;
/// `SOCKS_SERVER` holds `HOST:PORT` of a SOCKS5 proxy. What `NO_PROXY` (or `no_proxy`) lists goes direct.
/// An empty variable is one that is not set.
pub fn from_environment(
    get: impl Fn(&str) -> Option<String>,
) -> Option<Result<(String, Config), ConfigError>> {
    let get = |name: &&'static str| {
        let value = get(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| (*name, value.to_owned()))
    };
    let (name, value) = PROXY_VARIABLES.iter().chain([&SOCKS_SERVER]).find_map(get)?;
    let upstream = match name {
        SOCKS_SERVER => socks_server(&value),
        _ => url(&value),
    };
    let config = upstream.map_err(|message| ConfigError::whole(name, message)).and_then(|upstream| {
        let mut config = Config::strict(vec![upstream]);
        debug_assert_eq!(config.otherwise, To::Chain(MAIN_CHAIN.to_owned()));
        if let Some((name, list)) = ["NO_PROXY", "no_proxy"].iter().find_map(get) {
            config.routes = no_proxy::routes(&list).map_err(|message| ConfigError::whole(name, message))?;
        }
        Ok((name.to_owned(), config))
    });
    Some(config)
}

fn url(value: &str) -> Result<Upstream, String> {
    let url = match value == "local:" || value.contains("://") {
        true => value.to_owned(),
        false => format!("http://{value}"),
    };
    url.parse::<Upstream>().map_err(|error| error.to_string())
}

fn socks_server(value: &str) -> Result<Upstream, String> {
    let wrong = || "not HOST:PORT of a SOCKS5 proxy".to_owned();
    let (host, port) = value.rsplit_once(':').ok_or_else(wrong)?;
    if host.contains(['@', '/', '?', '#', '\\', '%']) || super::pattern::number(port).is_none() {
        return Err(wrong());
    }
    format!("socks5h://{value}").parse::<Upstream>().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::route::Asked;
    use super::*;

    /// Of `NAME=VALUE` words.
    fn read(environment: &str) -> Option<Result<(String, Config), ConfigError>> {
        let pairs: Vec<_> = environment.split(';').filter_map(|pair| pair.split_once('=')).collect();
        from_environment(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
        })
    }

    #[test]
    fn the_first_variable_that_is_set_is_used() {
        for (environment, variable, upstream) in [
            ("ALL_PROXY=socks5h://a:1;all_proxy=http://b:2", "ALL_PROXY", "socks5h://a:1"),
            ("all_proxy=socks5://b:2;HTTPS_PROXY=http://c:3", "all_proxy", "socks5h://b:2"),
            ("ALL_PROXY=;https_proxy=https://d", "https_proxy", "https://d:443"),
            ("HTTPS_PROXY=c:3", "HTTPS_PROXY", "http://c:3"),
            ("HTTPS_PROXY=c", "HTTPS_PROXY", "http://c:1080"),
            ("ALL_PROXY=user:pass@c:3", "ALL_PROXY", "http://c:3"),
            ("ALL_PROXY=[::1]:3", "ALL_PROXY", "http://[::1]:3"),
            ("ALL_PROXY=local:", "ALL_PROXY", "local:"),
            ("ALL_PROXY= http://c:3/ ", "ALL_PROXY", "http://c:3"),
            ("SOCKS_SERVER=e:1080", "SOCKS_SERVER", "socks5h://e:1080"),
            ("SOCKS_SERVER=[::1]:9;HTTPS_PROXY=", "SOCKS_SERVER", "socks5h://[::1]:9"),
        ] {
            let (used, config) = read(environment).expect(environment).expect(environment);
            assert_eq!(
                (used.as_str(), config.chains[MAIN_CHAIN].hops[0].to_string().as_str()),
                (variable, upstream)
            );
        }
        for environment in ["", "HTTP_PROXY=http://a:1", "http_proxy=http://a:1", "ALL_PROXY=", "NO_PROXY=*"]
        {
            assert_eq!(read(environment), None, "{environment}");
        }
    }

    #[test]
    fn what_no_proxy_lists_is_direct() {
        let (_, config) =
            read("ALL_PROXY=http://a:1;NO_PROXY=;no_proxy=.internal,10.0.0.0/8").expect("set").expect("read");
        let name = Asked { name: Some("db.internal"), port: Some(1), ..Asked::default() };
        assert_eq!(config.decide(&name).1, &To::Direct);
        let name = Asked { name: Some("example"), port: Some(1), ..Asked::default() };
        assert_eq!(config.decide(&name).1, &To::Chain(MAIN_CHAIN.into()));
    }

    #[test]
    fn a_mistake_names_the_variable_and_no_credentials() {
        for environment in [
            "ALL_PROXY=sokcs5://user:hunter2@h:1",
            "ALL_PROXY=user:hunter2@h:99999",
            "ALL_PROXY=http://user:12?hunter2@h:1",
            "ALL_PROXY=http://user:hunter2@h:1/path",
            "ALL_PROXY=http://user:hunt er2@h:1",
            "HTTPS_PROXY=",
            "SOCKS_SERVER=h",
            "SOCKS_SERVER=h:",
            "SOCKS_SERVER=u:hunter2@h:1",
            "SOCKS_SERVER=socks5://h:1",
            "SOCKS_SERVER=h:0",
            "ALL_PROXY=http://a:1;NO_PROXY=hunter2:x@y",
        ] {
            let Some(read) = read(environment) else {
                assert_eq!(environment, "HTTPS_PROXY=");
                continue;
            };
            let text = read.expect_err(environment).to_string();
            assert!(!text.contains("hunter2") && text.contains("_"), "{text}");
        }
        assert_eq!(
            read("ALL_PROXY=http://a:1;NO_PROXY=10.0.0.0/40").expect("set").expect_err("bad").to_string(),
            "NO_PROXY: entry \"10.0.0.0/40\": more bits than the address has: 32 with IPv4, 128 with IPv6"
        );
    }
}
