use super::super::super::route::Asked;
use super::*;

const WHOLE: &str = "\
# comment
local = 192.168.0.0/255.255.255.0
path { # one
  reaches = 150.0.0.0/255.0.0.0
  reaches = 160.0.0.0:80-1024/255.255.0.0
  server = 10.1.7.25
  server_type = 5
  default_user = delius
  default_pass = hello
}
path {
  reaches = 150.1.0.0/255.255.0.0
  server = socks.example
  server_port = 1081
}
server = 192.168.0.1
";

fn to(config: &Config, host: &str, port: u16) -> String {
    let ip = host.parse().ok();
    let asked = Asked { name: ip.is_none().then_some(host), ip, port: Some(port), ..Asked::default() };
    match config.decide(&asked).1 {
        To::Chain(name) => config.chains[name].hops[0].clone().into(),
        To::Direct => "direct".to_owned(),
        To::Refuse(errno) => errno.to_string(),
    }
}

#[test]
fn each_network_has_its_server_and_the_last_path_is_looked_at_first() {
    let parsed = parse(WHOLE, "t").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(parsed.warnings, []);
    for (host, port, way) in [
        ("192.168.0.9", 1, "direct"),
        ("150.2.0.1", 1, "socks5h://delius:hello@10.1.7.25:1080"),
        ("150.1.0.1", 1, "socks4a://socks.example:1081"),
        ("160.0.9.9", 80, "socks5h://delius:hello@10.1.7.25:1080"),
        ("160.0.9.9", 79, "socks4a://192.168.0.1:1080"),
        ("9.9.9.9", 1, "socks4a://192.168.0.1:1080"),
        ("db.internal", 1, "socks4a://192.168.0.1:1080"),
    ] {
        assert_eq!(to(&parsed.config, host, port), way, "{host}:{port}");
    }
}

#[test]
fn without_a_default_server_the_rest_is_refused() {
    let text = "path {\nreaches = 150.0.0.0/255.0.0.0\nserver = 10.1.7.25\n}\n";
    let config = parse(text, "t").expect("read").config;
    assert_eq!(to(&config, "9.9.9.9", 1), "111");
}

#[test]
fn what_has_no_effect_is_a_warning() {
    for (text, warns) in [
        ("server = 10.0.0.1\n", 0),
        ("server = 10.0.0.1\nserver_type = 4\ndefault_user = u\ndefault_pass = p\n", 1),
        ("server = 10.0.0.1\nreaches = 10.0.0.0/255.0.0.0\n", 1),
        ("server = 10.0.0.1\n}\n", 1),
        ("server = 10.0.0.1\npath {\nserver = 10.0.0.2\n}\n", 1),
        ("server = 10.0.0.1\npath {\nserver = 10.0.0.2\nreaches = 10.0.0.0/255.0.0.0\n", 1),
    ] {
        let parsed = parse(text, "t").unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(parsed.warnings.len(), warns, "{text}: {:?}", parsed.warnings);
    }
}

#[test]
fn what_tsocks_complains_about_is_an_error() {
    for text in [
        "",
        "server=10.0.0.1\n",
        "server = \n",
        "server = a b\n",
        "sevrer = 10.0.0.1\n",
        "server_type = 6\n",
        "server_port = 0\n",
        "server = a\nserver = b\n",
        "local = 10.0.0.0/8\n",
        "local = 10.0.0.1/255.0.0.0\n",
        "local = 10.0.0.0/255.0.255.0\n",
        "local = 10.0.0.0:80/255.0.0.0\n",
        "local = x/255.0.0.0\n",
        "path\n",
        "path {\npath {\n}\n}\n",
        "path { }\n",
        "} x\n",
        "path {\nlocal = 10.0.0.0/255.0.0.0\n}\n",
        "path {\nreaches = 10.0.0.0/255.0.0.0\n}\n",
        "path {\nreaches = 10.0.0.0:9-8/255.0.0.0\nserver = a\n}\n",
        "server = a\ndefault_pass = hunter2\n",
        "server = a\nserver_type = 5\ndefault_user = hunter2\n",
        "server = a@b\n",
        "default_pass=hunter2\n",
        "hunter2:x = 1\n",
    ] {
        let error = parse(text, "t").expect_err(text).to_string();
        assert!(error.starts_with("t:") && !error.contains("hunter2"), "{error}");
    }
    assert_eq!(
        parse("server = a\nsevrer_port = 1\n", "t").expect_err("unknown").to_string(),
        "t:2: unknown key \"sevrer_port\" (did you mean \"server_port\"?)"
    );
}
