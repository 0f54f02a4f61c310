//! `--check`: the configuration, and each hop of each chain.

use underpass_tests::{World, proxies};

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
    assert!(lines[1].starts_with(&first) && lines[1].ends_with(" ms"), "{done}");
    assert!(lines[2].contains("  reachable, authenticated, ") && !done.stdout.contains("word"), "{done}");
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
