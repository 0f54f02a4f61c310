//! Command lines that are wrong: status 125, one line and perhaps a hint, nothing started, and no
//! password printed.

use underpass_tests::World;

use crate::{failed, nothing_happened, underpass};

#[test]
fn each_wrong_command_line_has_its_message() {
    let world = World::new();
    let x = ["-x", "local:"];
    let table: &[(&[&str], &str, &str)] = &[
        (&[], "no command given", "--help"),
        (&x, "no command given", "--help"),
        (&["true"], "no proxy given", "underpass -x socks5h://HOST:PORT COMMAND"),
        (&["--", "true"], "no proxy given", "-x local:"),
        (&["-x"], "--proxy: URL is missing", ""),
        (&["-f"], "--config: FILE is missing", ""),
        (&["-f", "a", "-x", "local:", "true"], "--config: not together with --proxy", ""),
        (&["-f", "a", "--config=b", "true"], "--config: given twice", ""),
        (&["--format", "tsocks", "true"], "--format: says how to read a --config", ""),
        (&["-f", "a", "--format", "tsock", "true"], "did you mean \"tsocks\"?", ""),
        (&["-f", "no-such.toml", "true"], "no-such.toml: no such file", ""),
        (&["-f", ".", "true"], ".: cannot be read: is a directory", ""),
        (&["--prxy", "local:", "true"], "--prxy: unknown option", "did you mean --proxy?"),
        (&["--verbos", "true"], "--verbos: unknown option", "did you mean --verbose?"),
        (&["--explian", "true"], "--explian: unknown option", "did you mean --explain?"),
        (&["--shel"], "--shel: unknown option", "did you mean --shell?"),
        (&["--nonsense", "true"], "--nonsense: unknown option", "--help lists the options"),
        (&["-Z", "true"], "-Z: unknown option", "--help lists the options"),
        (&["--quiet=yes", "true"], "--quiet: takes no value", ""),
        (&["-x", "local:", "--why", "a:nonsense"], "--why: not HOST or HOST:PORT", "db.internal:5432"),
        (&["--why", "a:1"], "no proxy given", "-x local:"),
        (&["--check"], "no proxy given", "-x local:"),
        (&["--shell"], "no proxy given", "-x local:"),
        (&["-x", "local:", "--why", "a:1", "true"], "--why: takes no command", ""),
        (&["-x", "local:", "--check", "true"], "--check: takes no command", ""),
        (&["-x", "local:", "--shell", "--check"], "--check: not together with --shell", ""),
        (&["-x", "local:", "--explain", "true"], "--explain: takes no other option", ""),
    ];
    for (arguments, what, hint) in table {
        let done = underpass(&world, arguments).run();
        failed(&done, 125, what);
        let found = done.stderr.lines().nth(1).unwrap_or_default();
        assert!(found.contains(hint) && found.is_empty() == hint.is_empty(), "{hint:?}: {done}");
    }
    nothing_happened(&world);
}

#[test]
fn each_bad_url_has_its_reason_and_none_is_repeated() {
    let world = World::new();
    let long = format!("socks5h://{}:hunter2@h", "u".repeat(256));
    for (url, what) in [
        ("", "not a URL"),
        ("10.0.0.1:1080", "not a URL"),
        ("user:hunter2@h:1080", ""),
        ("socks5h://user:hunter2 @h", "not a URL"),
        ("socks5h://user:hunter2@h:1080\n", "not a URL"),
        ("socks5h:", "names no host"),
        ("socks5h://user:hunter2@:1080", "names no host"),
        ("socks5h://user:hunter2@h:0", "port is not between"),
        ("socks5h://user:hunter2@h:65536", "port is not between"),
        ("socks5h://user:hunter2@h:1/path", "no path or fragment"),
        ("socks5h://user:hunter2@h:1?q", "an unknown parameter"),
        ("socks5h://user:hunter2@h:1#f", "no path or fragment"),
        ("local://user:hunter2@h", "no path or fragment"),
        ("socks5h://hunter2@h", "a user name of 1 to 255 bytes"),
        ("socks5h://hunter2:@h", "a user name of 1 to 255 bytes"),
        ("socks5h://:hunter2@h", "a user name of 1 to 255 bytes"),
        (&long, "a user name of 1 to 255 bytes"),
        ("htpp://user:hunter2@h:1", "unknown scheme \"htpp\""),
        ("socks4://user:hunter2@h:1", "SOCKS4: no password"),
        ("ssh://user:hunter2@h", "ssh and relay: none"),
    ] {
        for arguments in [&["-x", url, "true"][..], &["-x", url, "-v", "true"], &["-x", url, "--why", "a:1"]]
        {
            let done = underpass(&world, arguments).run();
            failed(&done, 125, what);
            assert!(done.stderr.starts_with("underpass: --proxy: "), "{done}");
            assert!(!done.stderr.contains("hunter2"), "{done}");
        }
    }
    nothing_happened(&world);
}

/// The message lists every place and why it will not do.
#[test]
fn without_a_directory_for_the_agent_nothing_is_started() {
    let world = World::new();
    let loose = world.directory().join("loose");
    std::fs::create_dir(&loose).expect("the directory is ours");
    world.client("chmod").args(["777", "loose"]).run().success();
    // A file where root's directory would be.
    world.client("touch").arg("/run/underpass").run().success();
    let run = underpass(&world, &["-x", "socks5h://user:hunter2@10.77.0.1:1", "true"])
        .env("XDG_RUNTIME_DIR", &loose)
        .env("HOME", "/dev/null")
        .env("TMPDIR", "/dev/null")
        .run();
    failed(&run, 125, "no directory for the agent: ");
    for part in [
        "/run/underpass is a symbolic link or no directory; ",
        "/loose has mode 0777; ",
        "/dev/null is a symbolic link or no directory; ",
        "/dev/null/underpass-",
    ] {
        assert!(run.stderr.contains(part), "no {part:?} in {run}");
    }
    assert!(run.stderr.contains("hint: set XDG_RUNTIME_DIR") && !run.stderr.contains("hunter2"), "{run}");
    nothing_happened(&world);
}
