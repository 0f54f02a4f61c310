//! `--check`: the configuration, and each hop of each chain.

use underpass_tests::proxies::{self, Squid};
use underpass_tests::{World, servers};

use crate::{failed, file, nothing_happened, underpass};

#[test]
fn each_hop_has_a_row_and_the_status_says_whether_all_are_well() {
    let world = World::new();
    let open = proxies::microsocks(&world, None);
    let locked = proxies::microsocks_at(&world, 1091, Some(("me", "word")));
    let locked = locked.allowed(&world);
    let chain = ["-x", open.url(), "-x", locked.url(), "--check"];
    let done = underpass(&world, &chain).run();
    assert_eq!((done.code(), &*done.stderr), (0, ""), "{done}");
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{done}");
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["chain", "hop", "upstream", "result"]);
    let first = format!("main   1 of 2  socks5h://10.77.0.1:{}  reachable, ", open.port());
    assert!(lines[1].starts_with(&first) && lines[1].contains(" ms, round trip "), "{done}");
    assert!(lines[2].contains("  reachable, authenticated, ") && !done.stdout.contains("word"), "{done}");
    // How far it is from the hop before it, nobody here can know.
    assert!(!lines[2].contains("round trip"), "{done}");
    assert!(!done.stdout.contains('\x1b'), "{done}");

    let down = proxies::down(&world);
    let text = format!(
        "default = \"a\"\n[chain.a]\nkind = \"failover\"\nhops = [\"{down}\", \"{}\"]\n\
         [chain.b]\nhops = [\"{}\"]\n[[route]]\ndomain = \"x\"\nto = \"b\"\n",
        open.url(),
        locked.url().replace("word", "wrong")
    );
    let path = file(&world, "it.toml", &text);
    let done = underpass(&world, &["-f", &path, "--check"]).run();
    assert_eq!((done.code(), &*done.stderr), (1, ""), "{done}");
    let row = |start: &str| done.stdout.lines().find(|line| line.starts_with(start)).unwrap_or_default();
    assert!(row("a      1 of 2").contains("  failed: "), "{done}");
    assert!(row("a      2 of 2").contains("  reachable, "), "{done}");
    assert!(row("b      1 of 1").contains("  failed: "), "{done}");
    assert!(done.stdout.contains("  hint: ") && !done.stdout.contains("wrong"), "{done}");
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

/// The proxies know without asking anybody that nobody listens there: no resolver can be reached.
fn far_side_knows(world: &World) {
    let path = world.directory().join("far-hosts");
    let hosts = std::fs::read_to_string(&path).expect("it is there");
    // In its place, since it is mounted over the one in /etc.
    std::fs::write(path, format!("{hosts}10.99.0.1 check.invalid\n")).expect("the directory is ours");
}

/// A proxy of HTTP says what it thinks of us only when it is asked for something.
#[test]
fn a_login_counts_once_the_proxy_has_taken_it() {
    let world = World::new();
    far_side_knows(&world);
    let denied = servers::port::RESET;
    let basic = proxies::squid(&world, 3128, Squid::Basic("me", "word"), denied).allowed(&world);
    let digest = proxies::squid(&world, 3129, Squid::Digest("me", "word"), denied).allowed(&world);
    for (proxy, is_good) in [(&basic, true), (&basic, false), (&digest, true), (&digest, false)] {
        let password = if is_good { "word" } else { "hunter2" };
        let url = format!("http://me:{password}@10.77.0.1:{}", proxy.port());
        let done = underpass(&world, &["-x", &url, "--check"]).run();
        assert_eq!(done.code(), i32::from(!is_good), "{done}");
        let said = if is_good {
            "  reachable, authenticated, "
        } else {
            "  failed: the upstream refused the user name"
        };
        assert!(done.stdout.contains(said) && !done.stdout.contains(password), "{done}");
    }
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

#[test]
fn what_the_rules_of_a_hop_refuse_is_told() {
    let world = World::new();
    far_side_knows(&world);
    let tls_alone = proxies::tinyproxy_to(&world, 3128, None, &[443]).allowed(&world);
    let choosy = proxies::privoxy(&world, 3129, 22).allowed(&world);
    let dante = proxies::dante(&world);
    let microsocks = proxies::microsocks(&world, None);
    for (url, refused) in [
        (tls_alone.url_as("http"), ", refuses port 80, port 22\n"),
        (choosy.url_as("http"), ", refuses port 22\n"),
        (dante.url_as("socks5h"), " ms\n"),
        (dante.url_as("socks4"), ", refuses names\n"),
        (microsocks.url_as("socks5h"), ", refuses datagrams\n"),
    ] {
        let done = underpass(&world, &["-x", &url, "--check"]).run();
        assert_eq!(done.code(), 0, "{done}");
        assert!(done.stdout.contains("  reachable, ") && done.stdout.ends_with(refused), "{url}: {done}");
    }
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

/// Its own OpenSSH would connect from here.
#[test]
fn ssh_behind_a_proxy_is_tried_through_it() {
    let world = World::new();
    far_side_knows(&world);
    let sshd = proxies::sshd(&world, 2222);
    sshd.configure_client(&world);
    let squid = proxies::squid(&world, 3128, Squid::Open, servers::port::RESET).allowed(&world);
    let check = |user: &str| {
        let ssh = format!("ssh://{user}@10.99.0.1:2222");
        underpass(&world, &["-x", &squid.url_as("http"), "-x", &ssh, "--check"]).run()
    };
    let done = check("far");
    assert_eq!(done.code(), 0, "{done}");
    assert!(done.stdout.contains("2 of 2  ssh://far@10.99.0.1:2222  reachable, authenticated, "), "{done}");
    squid.wait_served("10.99.0.1", 2222, 1);
    let done = check("nobody");
    assert_eq!(done.code(), 1, "{done}");
    assert!(done.stdout.contains("2 of 2  ssh://nobody@10.99.0.1:2222  failed: "), "{done}");
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

#[test]
fn a_machine_without_ssh_is_told_so() {
    let world = World::new();
    let check = underpass(&world, &["-x", "ssh://ann@10.99.0.1", "--check"]).env("PATH", "/nonexistent");
    let done = check.run();
    assert_eq!(done.code(), 1, "{done}");
    assert!(done.stdout.contains("there is no ssh on this machine; install openssh-client"), "{done}");
}

#[test]
fn a_terminal_gets_colours_and_progress_and_no_color_is_honoured() {
    let world = World::new();
    let check = format!("{} -x local: --check", underpass_tests::artifacts::underpass().display());
    let on_terminal = || world.client("script").args(["-qc", &check, "/dev/null"]);
    let coloured = on_terminal().run().success();
    assert!(coloured.contains("\x1b[32mreachable\x1b[0m"), "{coloured:?}");
    assert!(coloured.contains("\rtrying hop 1 of 1 ..."), "{coloured:?}");
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = on_terminal().env(name, value).run().success();
        assert!(plain.contains("  reachable, ") && !plain.contains("\x1b[32m"), "{plain:?}");
    }
}

#[test]
fn what_is_only_a_warning_elsewhere_is_an_error() {
    let world = World::new();
    let path = file(&world, "proxychains.conf", "strict_chain\nproxydns\n[ProxyList]\nsocks5 10.77.0.1 1\n");
    let done = underpass(&world, &["-f", &path, "--check"]).run();
    assert_eq!((done.code(), &*done.stdout), (125, ""), "{done}");
    assert!(done.stderr.starts_with(&format!("underpass: {path}:2: ")), "{done}");
    assert!(!done.stderr.contains("warning"), "{done}");
    let path = file(&world, "it.toml", "proxy = \"local\"\n");
    failed(&underpass(&world, &["-f", &path, "--check"]).run(), 125, "it.toml:1:9: ");
    nothing_happened(&world);
}
