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
        (&["-x", "local:", "-x", "local:", "true"], "--proxy: more than one", ""),
        (&["-x", "local:", "--proxy=local:", "true"], "--proxy: more than one", ""),
        (&["-x"], "--proxy: URL is missing", ""),
        (&["--prxy", "local:", "true"], "--prxy: unknown option", "did you mean --proxy?"),
        (&["--verbos", "true"], "--verbos: unknown option", "did you mean --verbose?"),
        (&["--explian", "true"], "--explian: unknown option", "did you mean --explain?"),
        (&["--nonsense", "true"], "--nonsense: unknown option", "--help lists the options"),
        (&["-Z", "true"], "-Z: unknown option", "--help lists the options"),
        (&["--quiet=yes", "true"], "--quiet: takes no value", ""),
        (&["-x", "local:", "--why", "nonsense"], "--why: \"nonsense\" is not HOST:PORT", "db.internal:5432"),
        (&["--why", "a:1"], "no proxy given", "-x local:"),
        (&["-x", "local:", "--why", "a:1", "true"], "--why and --explain take no command", ""),
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
        ("socks5h://user:hunter2@h:1/path", "no path, query or fragment"),
        ("socks5h://user:hunter2@h:1?q", "no path, query or fragment"),
        ("socks5h://user:hunter2@h:1#f", "no path, query or fragment"),
        ("local://user:hunter2@h", "no path, query or fragment"),
        ("socks5h://hunter2@h", "user name and password"),
        ("socks5h://hunter2:@h", "user name and password"),
        ("socks5h://:hunter2@h", "user name and password"),
        (&long, "user name and password"),
        ("http://user:hunter2@h:1", "unknown scheme \"http\""),
        ("socks4://user:hunter2@h:1", "unknown scheme \"socks4\""),
    ] {
        for arguments in [&["-x", url, "true"][..], &["-x", url, "-v", "true"], &["-x", url, "--why", "a:1"]]
        {
            let done = underpass(&world, arguments).run();
            // Both words are right; what counts is that they are said.

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
