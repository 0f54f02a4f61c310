//! `--dns exit` and `--dns local`: real addresses, and what does not exist does not.

use std::time::{Duration, Instant};

use underpass_tests::proxies::script;
use underpass_tests::servers::{self, Resolver};
use underpass_tests::{World, artifacts, proxies};

use crate::place::{Native, Place, sorted};

/// The addresses that getaddrinfo gives, or its error.
const RESOLVE: &str = "
import socket, sys
for name in sys.argv[1:]:
    try:
        found = socket.getaddrinfo(name, 7001, type=socket.SOCK_STREAM)
        print(name, *sorted({one[4][0] for one in found}))
    except socket.gaierror as error:
        print(name, 'error', error.errno)
";

fn resolve(place: &Place, options: &[&str], names: &[&str]) -> String {
    place.with(options, "/usr/bin/python3").args(["-c", RESOLVE]).args(names).run().success()
}

#[test]
fn by_exit_names_have_the_addresses_that_they_have_beyond_the_proxy() {
    let (native, place) = (Native::new(), Place::new());
    let names = ["echo.test", "both.test", "v6.test", "alias.test", "many.test", "missing.test", "localhost"];
    let line = [&["-c", RESOLVE], &names[..]].concat();
    let natively = native.run("/usr/bin/python3", &line).success();
    assert!(natively.contains("missing.test error -2\n"), "{natively}");
    assert_eq!(resolve(&place, &["--dns", "exit"], &names), natively);
    // Nothing that had to be resolved here was.
    let connect = "exec 3<>/dev/tcp/echo.test/7001; cat <&3";
    let done = place.with(&["--dns=exit"], "bash").args(["-c", connect]).run();
    assert_eq!(done.success(), "hello\n");
    assert_eq!(place.proxy.served("10.99.0.1", 7001), 1);
    assert_eq!(place.proxy.served("echo.test", 7001), 0);
    place.no_leaks();
}

/// On port 53, too, and by the resolver that is named.
#[test]
fn by_exit_port_53_has_real_answers_and_what_does_not_exist_does_not() {
    let (native, place) = (Native::new(), Place::new());
    for (name, kind) in
        [("both.test", "A"), ("both.test", "AAAA"), ("alias.test", "A"), ("echo.test", "AAAA")]
    {
        let line = ["+tcp", "+short", "@10.77.0.1", name, kind];
        let natively = native.run("dig", &line).success();
        let line = ["+tcp", "+short", "@127.0.0.53", name, kind];
        let carried = place.with(&["--dns", "exit:10.99.0.1"], "dig").args(line).run().success();
        assert_eq!(sorted(&carried), sorted(&natively), "{name} {kind}");
    }
    let missing = place.with(&["--dns", "exit"], "dig").args(["+tcp", "@127.0.0.53", "missing.test"]).run();
    assert!(missing.stdout.contains("status: NXDOMAIN"), "{missing}");
    assert!(place.proxy.served("10.99.0.1", 53) >= 1 && place.proxy.served("10.77.0.1", 53) >= 1);
    place.no_leaks();
}

/// An answer from beyond names no address of this machine, and none that stands for another name.
#[test]
fn addresses_that_mean_something_else_here_are_left_out() {
    let world = World::new();
    let more = "host-record=here.test,127.0.0.1\nhost-record=fake.test,198.18.0.1\nhost-record=some.test,0.0.0.0\n\
                host-record=some.test,10.99.0.1\nhost-record=mapped.test,::ffff:127.0.0.1";
    let resolver = servers::resolver_with(&world, more);
    let proxy = proxies::microsocks(&world, None);
    let place = Place { world, proxy, resolver };
    let dig = |name: &str, kind: &str| {
        let line = ["+tcp", "+short", "@127.0.0.53", name, kind];
        place.with(&["--dns", "exit"], "dig").args(line).run().success()
    };
    assert_eq!(dig("here.test", "A"), "");
    assert_eq!(dig("fake.test", "A"), "");
    assert_eq!(dig("mapped.test", "AAAA"), "");
    assert_eq!(dig("some.test", "A"), "10.99.0.1\n");
    assert_eq!(place.resolver.questions().len(), 4);
    place.no_leaks();
}

/// Routes that look at names still see them.
#[test]
fn a_name_of_a_route_keeps_its_stand_in() {
    let place = Place::new();
    let path = place.world.directory().join("routes.toml");
    let url = place.proxy.url();
    let text = format!(
        "proxy = '{url}'\ndns = 'exit'\n[[route]]\ndomain = '.far.test'\nport = 1\nto = 'refuse'\n\
         [[route]]\ndomain = 'echo.test'\nport = 7001\nto = 'main'\n"
    );
    std::fs::write(&path, text).expect("the directory is ours");
    let underpass =
        || place.world.client(artifacts::underpass()).arg("-f").arg(&path).arg("/usr/bin/python3");
    let names = ["echo.test", "both.test", "a.far.test"];
    let done = underpass().args(["-c", RESOLVE]).args(names).run().success();
    let lines: Vec<&str> = done.lines().collect();
    assert!(lines[0].starts_with("echo.test 198.18.0."), "{done}");
    assert_eq!(lines[1], "both.test 10.99.0.1 fd99::1");
    assert!(lines[2].starts_with("a.far.test 198.18.0."), "{done}");
    place.no_leaks();
}

/// As the hint says that an error has where a name is to go by SOCKS4.
#[test]
fn by_exit_names_go_over_socks4() {
    let world = World::new();
    servers::start(&world);
    let resolver = servers::resolver(&world);
    let proxy = proxies::dante(&world);
    let url = proxy.url_as("socks4");
    let connect = "exec 3<>/dev/tcp/echo.test/7001; cat <&3";
    let plain = world.wrapped(&url, "bash").args(["-c", connect]).run();
    assert_ne!(plain.code(), 0, "{plain}");
    let with_exit = world.client(artifacts::underpass()).args([
        "-x",
        &url,
        "--dns",
        "exit:10.99.0.1",
        "bash",
        "-c",
        connect,
    ]);
    assert_eq!(with_exit.run().success(), "hello\n");
    assert!(resolver.questions().contains(&"A echo.test".to_owned()));
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

/// What was found is remembered for as long as it may be.
#[test]
fn by_exit_a_name_is_asked_for_once() {
    let world = World::new();
    let resolver = servers::resolver_with(&world, "local-ttl=100");
    let proxy = proxies::microsocks(&world, None);
    let place = Place { world, proxy, resolver };
    let names = ["echo.test"; 5];
    let first = resolve(&place, &["--dns", "exit"], &names);
    assert_eq!(first.lines().count(), 5);
    assert_eq!(place.resolver.questions().iter().filter(|asked| *asked == "A echo.test").count(), 1);
    place.no_leaks();
}

/// A resolver that does not answer is not a name that does not exist.
#[test]
fn by_exit_a_resolver_that_is_down_says_nothing_of_a_name() {
    let place = Place::new();
    let found = resolve(&place, &["--dns", "exit:10.99.0.77"], &["echo.test"]);
    assert_eq!(found, "echo.test error -3\n");
    place.no_leaks();
}

/// The name server of resolv.conf may be one that only this machine reaches: the log says what to do.
#[test]
fn by_exit_a_resolver_that_nobody_named_and_nobody_reaches_is_hinted_at() {
    let world = World::new();
    let proxy = proxies::microsocks(&world, None);
    let underpass = world.client(artifacts::underpass()).env("UNDERPASS_LOG", "info");
    let python =
        underpass.args(["-x", proxy.url(), "--dns", "exit", "--", "/usr/bin/python3", "-c", RESOLVE]);
    let mut keeper = world.wrapped(proxy.url(), "cat").env("UNDERPASS_LOG", "info").spawn();
    keeper.say("up");
    assert_eq!(keeper.next_line(), "up");
    assert_eq!(python.arg("echo.test").run().success(), "echo.test error -3\n");
    let log = world.client("sh").args(["-c", "cat $(find /run /tmp -name agent.log)"]).run().stdout;
    let line = log.lines().find(|line| line.contains("a question was not answered")).unwrap_or_default();
    assert!(line.contains("server=10.77.0.1:53") && line.contains("--dns exit:ADDRESS"), "{log}");
    drop(keeper);
}

/// Names leave this machine, and the launcher says so.
#[test]
fn by_local_this_machines_resolver_is_asked() {
    let world = World::direct();
    let resolver: Resolver = servers::resolver(&world);
    let proxy = proxies::microsocks(&world, None);
    let place = Place { world, proxy, resolver };
    let dig = |name: &str, kind: &str| {
        let line = ["+tcp", "+short", "@127.0.0.53", name, kind];
        place.with(&["--dns", "local"], "dig").args(line).run()
    };
    let warning = "warning: dns local: names leave this machine";
    let done = dig("both.test", "A");
    assert!(done.stdout == "10.99.0.1\n" && done.stderr.contains(warning), "{done}");
    assert_eq!(dig("both.test", "AAAA").success(), "fd99::1\n");
    assert_eq!(dig("missing.test", "A").success(), "");
    assert_eq!(place.proxy.served("10.77.0.1", 53), 0);
    assert_eq!(dig("text.test", "TXT").success(), "\"v=spf1 -all\"\n");
    assert_eq!(place.proxy.served("10.77.0.1", 53), 1);
    let quiet = place.with(&["-q", "--dns", "local"], "/usr/bin/python3").args([
        "-c",
        RESOLVE,
        "echo.test",
        "missing.test",
    ]);
    let done = quiet.run();
    assert_eq!(
        (done.stdout.as_str(), done.stderr.as_str()),
        ("echo.test 10.99.0.1\nmissing.test error -2\n", ""),
        "{done}"
    );
}

/// As many questions as are under way at once, and more, wait for a chain that does not answer: another launch's names are found.
#[test]
fn by_exit_a_chain_that_does_not_answer_keeps_nobody_else_waiting() {
    let place = Place::new();
    place.world.allow_proxy(3131);
    let silent = script::start(&place.world);
    silent.listen(3131, script::Protocol::Http, &[script::Step::Hold]);
    let flood = r#"
import socket, threading, time
def ask(name):
    try: socket.getaddrinfo(name, 80, socket.AF_INET)
    except OSError: pass
for n in range(150):
    for turn in range(2):
        threading.Thread(target=ask, args=("%d-%d.test" % (n, turn),), daemon=True).start()
time.sleep(1)
print("asked", flush=True)
time.sleep(60)
"#;
    let underpass = place.world.client(artifacts::underpass()).args(["-x", "http://10.77.0.1:3131"]);
    let python = underpass.args(["--dns", "exit:10.99.0.1", "--", "/usr/bin/python3", "-c", flood]);
    let mut flood = python.spawn();
    assert_eq!(flood.next_line(), "asked");
    let since = Instant::now();
    let found = resolve(&place, &["--dns", "exit:10.99.0.1"], &["echo.test"]);
    assert_eq!(found, "echo.test 10.99.0.1\n");
    // The others are given up after 10 s.
    assert!(since.elapsed() < Duration::from_secs(7) && !flood.has_ended(), "{:?}", since.elapsed());
    place.no_leaks();
}
