//! Files and variables: which is used, and that none which is there and bad is passed over.

use underpass_tests::{Command, World, proxies};

use crate::{HELLO, failed, file, nothing_happened, underpass, web};

/// `-v` says which configuration is used; each place has a port of its own.
#[track_caller]
fn uses(command: Command, port: u16) {
    let done = command.run();
    assert!(done.stderr.contains(&format!("session via socks5h://h:{port} ")), "{port}: {done}");
    done.success();
}

/// A configuration with one proxy.
fn by(port: u16) -> String {
    format!("proxy = \"socks5h://h:{port}\"\n")
}

#[test]
fn the_places_are_searched_in_their_order() {
    let world = World::new();
    // A copy of /etc that can be written to.
    let copy = "cp -r /etc own-etc 2>/dev/null; mkdir -p own-etc/underpass; mount --bind own-etc /etc";
    world.client("sh").args(["-c", copy]).run().success();
    let variables = |command: Command| {
        let command = command.env("ALL_PROXY", "socks5h://h:5").env("https_proxy", "socks5h://h:6");
        command.env("SOCKS_SERVER", "h:7").env("NO_PROXY", "")
    };
    let run = || variables(underpass(&world, &["-v", "true"]));
    // Nobody has asked for these.
    for name in ["config.toml", "underpass.toml", "underpass/config.toml", "proxychains.conf"] {
        file(&world, name, &by(9));
    }
    uses(run(), 5);
    uses(run().env("ALL_PROXY", ""), 6);
    uses(run().env("ALL_PROXY", "").env("https_proxy", ""), 7);
    file(&world, "own-etc/underpass/config.toml", &by(4));
    uses(run(), 4);
    file(&world, "home/.config/underpass/config.toml", &by(3));
    uses(run(), 3);
    file(&world, "xdg/underpass/config.toml", &by(2));
    let xdg = world.directory().join("xdg");
    uses(run().env("XDG_CONFIG_HOME", &xdg), 2);
    uses(run().env("XDG_CONFIG_HOME", "xdg"), 3);
    uses(run().env("XDG_CONFIG_HOME", "/no/such"), 4);
    file(&world, "named.toml", &by(1));
    uses(run().env("UNDERPASS_CONFIG", "named.toml").env("XDG_CONFIG_HOME", &xdg), 1);
    uses(run().env("UNDERPASS_CONFIG", "").env("XDG_CONFIG_HOME", &xdg), 2);
    let option = variables(underpass(&world, &["-f", "config.toml", "-v", "true"]));
    uses(option.env("UNDERPASS_CONFIG", "named.toml"), 9);
    let option = underpass(&world, &["-x", "socks5h://h:8", "-v", "true"]).run();
    assert!(option.stderr.starts_with("underpass: session via socks5h://h:8, tier hook, "), "{option}");
}

#[test]
fn what_is_there_and_cannot_be_used_is_an_error_and_nothing_else_is_tried() {
    let world = World::new();
    let run = || underpass(&world, &["true"]).env("ALL_PROXY", "local:");
    failed(&run().env("UNDERPASS_CONFIG", "no-such").run(), 125, "no-such: no such file");
    for (text, what) in [
        ("proxi = \"local:\"\n", "config.toml:1:1: unknown key \"proxi\" (did you mean \"proxy\"?)"),
        ("proxy = \"sokcs5://u:hunter2@h\"\n", "config.toml:1:9: "),
        ("proxy = \n", "config.toml:1:"),
        ("", "config.toml: no chain"),
    ] {
        file(&world, "home/.config/underpass/config.toml", text);
        let done = run().run();
        failed(&done, 125, what);
        assert!(!done.stderr.contains("hunter2"), "{done}");
    }
    let path = world.directory().join("home/.config/underpass/config.toml");
    std::fs::write(&path, b"proxy = \"\xff\"").expect("the directory is ours");
    failed(&run().run(), 125, "config.toml: not a text in UTF-8");
    std::fs::remove_file(&path).expect("the file is ours");
    std::fs::create_dir(&path).expect("the directory is ours");
    failed(&run().run(), 125, "config.toml: cannot be read: is a directory");
    std::fs::remove_dir(&path).expect("the directory is ours");
    std::os::unix::fs::symlink("/no/such", &path).expect("the directory is ours");
    failed(&run().run(), 125, "config.toml: cannot be read: no such file");
    std::fs::remove_file(&path).expect("the file is ours");
    let bad =
        underpass(&world, &["true"]).env("ALL_PROXY", "sokcs5://u:hunter2@h").env("SOCKS_SERVER", "h:1");
    let done = bad.run();
    failed(&done, 125, "ALL_PROXY: unknown scheme");
    assert!(!done.stderr.contains("hunter2"), "{done}");
    nothing_happened(&world);
}

#[test]
fn the_variable_that_was_used_is_taken_out_and_the_others_stay() {
    let world = World::new();
    let run = || {
        let command =
            underpass(&world, &["env"]).env("ALL_PROXY", "local:").env("all_proxy", "socks5h://h:1");
        command.env("HTTPS_PROXY", "http://h:2").env("NO_PROXY", ".internal").env("SOCKS_SERVER", "h:3")
    };
    let lines = run().run().success();
    assert!(!lines.to_ascii_lowercase().contains("\nall_proxy="), "{lines}");
    for stays in ["HTTPS_PROXY=http://h:2\n", "NO_PROXY=.internal\n", "SOCKS_SERVER=h:3\n"] {
        assert!(lines.contains(stays), "no {stays:?} in {lines}");
    }
    let lines = run().env("ALL_PROXY", "").env("all_proxy", "").env("https_proxy", "x").run().success();
    assert!(!lines.to_ascii_lowercase().contains("\nhttps_proxy="), "{lines}");
    assert!(lines.contains("all_proxy=\n"), "{lines}");
    // A configuration that was named is the one that counts.
    let file = file(&world, "it.toml", "proxy = \"local:\"\n");
    let command = underpass(&world, &["-f", &file, "env"]).env("ALL_PROXY", "http://h:1");
    assert!(command.run().success().contains("ALL_PROXY=http://h:1\n"));
}

#[test]
fn a_file_and_a_variable_carry_as_the_option_does() {
    let world = World::new();
    web(&world);
    let proxy = proxies::microsocks(&world, Some(("me", "pass:word")));
    let text = format!("proxy = \"{}\"\n", proxy.url());
    let path = file(&world, "it.toml", &text);
    let curl = |options: &[&str]| underpass(&world, options).arg("curl").args(HELLO);
    assert_eq!(curl(&["-f", &path]).run().success(), "hello\n");
    assert_eq!(curl(&[]).env("UNDERPASS_CONFIG", &path).run().success(), "hello\n");
    // curl itself knows the variable, too: it is to be carried, not to ask the proxy by itself.
    assert_eq!(curl(&[]).env("ALL_PROXY", proxy.url()).run().success(), "hello\n");
    proxy.wait_served("echo.test", 7080, 3);
    let chains = format!("[ProxyList]\nsocks5 10.77.0.1 {} me pass:word\n", proxy.port());
    let odd = file(&world, "odd-name", &format!("proxy_dns\n{chains}"));
    assert_eq!(curl(&["-f", &odd, "--format", "proxychains", "-q"]).run().success(), "hello\n");
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

/// By its name; a path of its own for addresses, the default for names, and what is local goes direct.
#[test]
fn a_tsocks_conf_is_taken_as_it_is() {
    let world = World::new();
    web(&world);
    let default = proxies::microsocks(&world, Some(("me", "word")));
    let other = proxies::microsocks_at(&world, 1091, None).allowed(&world);
    let text = format!(
        "# tsocks.conf\nlocal = 192.168.0.0/255.255.0.0\nserver = 10.77.0.1\nserver_type = 5\n\
         server_port = {}\ndefault_user = me\ndefault_pass = word\npath {{\n  reaches = 10.99.0.0/255.255.0.0\n  \
         reaches = 10.50.0.0:80-90/255.255.0.0\n  server = 10.77.0.1\n  server_type = 5\n  server_port = {}\n}}\n",
        default.port(),
        other.port()
    );
    let path = file(&world, "tsocks.conf", &text);
    let run = |words: &[&str]| underpass(&world, &["-f", &path]).args(words).run();
    let by_name = run(&["curl", HELLO[0], HELLO[1]]);
    assert_eq!((&*by_name.stdout, &*by_name.stderr), ("hello\n", ""), "{by_name}");
    assert_eq!(run(&["curl", "-sS", "http://10.99.0.1:7080/hello"]).success(), "hello\n");
    default.wait_served("echo.test", 7080, 1);
    other.wait_served("10.99.0.1", 7080, 1);
    for (destination, way) in [
        ("192.168.3.4:80", "direct"),
        ("10.50.3.4:85", "carried by socks5h://10.77.0.1:1091"),
        ("10.50.3.4:91", "carried by socks5h://10.77.0.1:"),
    ] {
        let why = run(&["--why", destination]).success();
        assert!(why.starts_with(&format!("{destination}: {way}")), "{why}");
        assert_eq!(why.contains(":1091"), destination.ends_with(":85"), "{why}");
    }
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

#[test]
fn warnings_are_lines_that_quiet_silences() {
    let world = World::new();
    let path = file(&world, "proxychains.conf", "strict_chain\nproxydns\n[ProxyList]\nsocks5 10.77.0.1 1\n");
    let done = underpass(&world, &["-f", &path, "true"]).run();
    assert!(done.stderr.starts_with(&format!("underpass: {path}:2: warning: ")), "{done}");
    assert!(done.stderr.lines().all(|line| line.contains(": warning: ")), "{done}");
    done.success();
    let done = underpass(&world, &["-q", "-f", &path, "true"]).run();
    assert_eq!((done.code(), &*done.stderr), (0, ""), "{done}");
}
