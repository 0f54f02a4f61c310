//! Metrics of an agent and of a relay, judged by Prometheus' own tool, and compared with `docs/metrics.md`.

use std::collections::{BTreeMap, BTreeSet};

use underpass_tests::behaviour::Behaviour;
use underpass_tests::{World, proxies};

use crate::{STAYS, connected, file, script, wait, world};

/// One sample: labels in the order of their names, and the value.
type Samples = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// A text of format 0.0.4, with types by the names of metrics.
struct Told {
    types: BTreeMap<String, String>,
    samples: Samples,
}

impl Told {
    /// The value of the one sample with these labels.
    #[track_caller]
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let key = (name.to_owned(), labels);
        *self.samples.get(&key).unwrap_or_else(|| panic!("no {key:?}: {:?}", self.samples))
    }
}

/// Reads it; every departure from the format is a panic.
fn read(text: &str) -> Told {
    assert!(text.ends_with('\n'), "{text}");
    let (mut types, mut helped) = (BTreeMap::new(), BTreeSet::new());
    let mut samples = Samples::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect(line);
            assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect(line);
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(helped.contains(name) && (kind == "counter") == name.ends_with("_total"), "{line}");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
            name.clone_into(&mut current);
            continue;
        }
        let end = line.find(['{', ' ']).expect(line);
        let (name, mut rest) = line.split_at(end);
        let suffix = name.strip_prefix(&current).expect(line);
        let known: &[&str] =
            if types[&current] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        assert!(known.contains(&suffix), "{line}");
        let mut labels = BTreeMap::new();
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside;
            loop {
                let (label, after) = rest.split_once("=\"").expect(line);
                assert!(label.bytes().all(|byte| byte.is_ascii_lowercase()), "{line}");
                let mut value = String::new();
                let mut chars = after.char_indices();
                let close = loop {
                    match chars.next().expect(line) {
                        (at, '"') => break at,
                        (_, '\\') => value.push(match chars.next().expect(line).1 {
                            'n' => '\n',
                            c @ ('"' | '\\') => c,
                            c => panic!("\\{c}: {line}"),
                        }),
                        (_, c) => value.push(c),
                    }
                };
                assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
                let after = &after[close + 1..];
                match after.strip_prefix(',') {
                    Some(more) => rest = more,
                    None => break rest = after.strip_prefix('}').expect(line),
                }
            }
        }
        let value = rest.strip_prefix(' ').and_then(|value| value.parse().ok()).expect(line);
        assert!(samples.insert((name.to_owned(), labels), value).is_none(), "twice: {line}");
    }
    Told { types, samples }
}

/// Prometheus reads it, and has nothing to say about it.
#[track_caller]
fn judged(world: &World, text: &str) {
    let done = world.client("promtool").args(["check", "metrics"]).input(text).run();
    assert_eq!((done.code(), &*done.stdout, &*done.stderr), (0, "", ""), "{done}\n{text}");
}

fn text(world: &World, socket: &str) -> String {
    let client = world.client("curl").args(["-sS", "--fail", "--unix-socket", socket]);
    client.arg("http://localhost/metrics").run().success()
}

fn curl(world: &World, socket: &str) -> Told {
    read(&text(world, socket))
}

/// Names and types of the document's tables under these headings.
fn documented(headings: &[&str]) -> BTreeMap<String, String> {
    let document = include_str!("../../../docs/metrics.md");
    let parts = document.split("\n## ").filter(|part| headings.iter().any(|head| part.starts_with(head)));
    let rows = parts.flat_map(str::lines).filter_map(|line| line.strip_prefix("| `"));
    let row = |row: &str| {
        let mut cells = row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned());
        (cells.next().expect("a name"), cells.next().expect("a type"))
    };
    rows.map(row).collect()
}

#[test]
fn an_agent_tells_what_has_become_of_connections() {
    let (world, proxy) = world();
    let socket = world.directory().join("m.sock").display().to_string();
    let settings = |handoff: &str, more: &str| {
        let text = format!("proxy = '{}'\nhandoff = '{handoff}'\n{more}", proxy.url());
        file(&world, handoff, &text)
    };
    let never = settings("never", &format!("metrics = 'unix:{socket}'\n"));
    let relayed = connected(script(&world, &never, STAYS));
    let handed_off = connected(script(&world, &settings("always", ""), STAYS));
    proxy.behave(Behaviour::NoMethod);
    let vain = "for i in 1 2; do exec 3<>/dev/tcp/far.test/7007; done; true";
    assert_eq!(script(&world, &never, vain).run().code(), 0);

    judged(&world, &text(&world, &socket));
    let told = curl(&world, &socket);
    let total =
        |outcome| told.value("underpass_connections_total", &[("chain", "main"), ("outcome", outcome)]);
    assert_eq!([total("relayed"), total("handed_off"), total("failed")], [1.0, 1.0, 2.0]);
    let reason = [("chain", "main"), ("reason", "no_acceptable_method")];
    assert_eq!(told.value("underpass_connection_failures_total", &reason), 2.0);
    for direction in ["up", "down"] {
        let bytes = told.value("underpass_bytes_total", &[("chain", "main"), ("direction", direction)]);
        assert_eq!(bytes, 5.0, "{direction}");
    }
    for mechanism in ["relayed", "handed_off"] {
        let open = told.value("underpass_connections_open", &[("chain", "main"), ("mechanism", mechanism)]);
        assert_eq!(open, 1.0, "{mechanism}");
    }
    let main = [("chain", "main")];
    assert_eq!(told.value("underpass_connect_seconds_count", &main), 2.0);
    let all = told.value("underpass_connect_seconds_bucket", &[("chain", "main"), ("le", "+Inf")]);
    assert_eq!(all, 2.0);
    let hop = [("chain", "main"), ("hop", "1"), ("url", proxy.url())];
    assert_eq!(told.value("underpass_hop_up", &hop), 0.0);
    assert_eq!(told.value("underpass_hop_failures", &hop), 2.0);
    assert!(told.value("underpass_hop_round_trip_seconds", &hop) > 0.0);
    // Two of the three launches have asked for the same.
    assert_eq!(told.value("underpass_sessions", &[]), 2.0);
    assert!(
        told.value("process_open_fds", &[]) > 5.0 && told.value("process_resident_memory_bytes", &[]) > 1e5
    );
    assert_eq!(told.types, documented(&["Of every process", "Of an agent"]));

    drop((relayed, handed_off));
    wait("nothing is open", || {
        let open = curl(&world, &socket);
        let open = open.samples.iter().filter(|((name, _), _)| name == "underpass_connections_open");
        open.map(|(_, count)| count).sum::<f64>() == 0.0
    });
    let told = curl(&world, &socket);
    let bytes = told.value("underpass_bytes_total", &[("chain", "main"), ("direction", "up")]);
    assert_eq!(bytes, 5.0, "what was counted stays");
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

#[test]
fn only_metrics_are_told_and_only_to_who_asks_loopback() {
    let (world, proxy) = world();
    let text = format!("proxy = '{}'\nmetrics = '127.0.0.1:9469'\n", proxy.url());
    let settings = file(&world, "c.toml", &text);
    let program = connected(script(&world, &settings, STAYS));
    let curl = |words: &[&str]| {
        let client =
            world.client("curl").args(["-sS", "-o", "/dev/null", "-w", "%{http_code} %{content_type}"]);
        client.args(words).run().success()
    };
    let here = "http://127.0.0.1:9469/metrics";
    assert_eq!(curl(&[here]), "200 text/plain; version=0.0.4; charset=utf-8");
    for (words, status) in [
        (&["-X", "POST", "-d", "x", here][..], "405"),
        (&["-I", here], "405"),
        (&["http://127.0.0.1:9469/"], "404"),
        (&["-H", "Host: evil.example", here], "421"),
        (&["-H", &format!("X: {}", "x".repeat(9000)), here], "431"),
    ] {
        assert!(curl(words).starts_with(status), "{words:?}: {}", curl(words));
    }
    // Whoever says nothing keeps nobody from it for long.
    let silent = "for i in $(seq 8); do exec {fd}<>/dev/tcp/127.0.0.1/9469; done; echo ready; read line";
    let mut silent = world.client("bash").args(["-c", silent]).spawn();
    assert_eq!(silent.next_line(), "ready");
    assert!(curl(&["--max-time", "30", here]).starts_with("200"));
    drop((silent, program));
}

#[test]
fn a_place_that_cannot_be_is_an_error_in_words() {
    let (world, proxy) = world();
    let taken = "import socket,sys;s=socket.create_server(('127.0.0.1',9470));print('taken',flush=True);sys.stdin.read()";
    let mut taken = world.client("python3").args(["-c", taken]).spawn();
    assert_eq!(taken.next_line(), "taken");
    for (place, why) in [
        ("0.0.0.0:9469", ":2:11: 0.0.0.0 is no loopback address: "),
        ("metrics.sock", ":2:11: metrics is \"unix:/PATH\", "),
        ("127.0.0.1:9470", "metrics 127.0.0.1:9470: Address already in use"),
        ("unix:/nowhere/m.sock", "metrics unix:/nowhere/m.sock: No such file or directory"),
    ] {
        let settings = file(&world, "c.toml", &format!("proxy = '{}'\nmetrics = '{place}'\n", proxy.url()));
        let done = script(&world, &settings, "true").run();
        assert_eq!((done.code(), &*done.stdout), (125, ""), "{done}");
        assert!(done.stderr.starts_with("underpass: ") && done.stderr.contains(why), "{place}: {done}");
    }
    drop(taken);
}

#[test]
fn a_relay_tells_what_its_clients_use() {
    let world = World::new();
    underpass_tests::servers::start(&world);
    let key = proxies::key(&world, "client");
    let socket = world.directory().join("relay.sock").display().to_string();
    let relay = proxies::relay_set(&world, 4433, &[&key], 7008, &format!("metrics = 'unix:{socket}'\n"));
    let relay = relay.allowed(&world);
    let settings = file(&world, "c.toml", &format!("proxy = '{}'\n", relay.url(&key)));
    let program = connected(script(&world, &settings, STAYS));
    assert_ne!(script(&world, &settings, "exec 3<>/dev/tcp/far.test/7008").run().code(), 0);
    let text = || {
        let client = world.far("curl").args(["-sS", "--fail", "--unix-socket", &socket]);
        client.arg("http://localhost/metrics").run().success()
    };
    let told = || read(&text());
    let client = ("client", "client-0");
    judged(&world, &text());
    let shown = told();
    assert_eq!(shown.value("underpass_relay_streams_total", &[client]), 2.0);
    assert_eq!(shown.value("underpass_relay_streams_open", &[client]), 1.0);
    for direction in ["up", "down"] {
        assert_eq!(shown.value("underpass_relay_bytes_total", &[client, ("direction", direction)]), 5.0);
    }
    let refused = [client, ("reason", "http_request_denied")];
    assert_eq!(shown.value("underpass_relay_refusals_total", &refused), 1.0);
    assert_eq!(shown.value("underpass_relay_strangers_total", &[]), 0.0);
    assert_eq!(shown.value("underpass_relay_audit_lost_total", &[]), 0.0);
    assert_eq!(shown.types, documented(&["Of every process", "Of a relay"]));
    drop(program);
    wait("the stream has ended", || told().value("underpass_relay_streams_open", &[client]) == 0.0);
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}
