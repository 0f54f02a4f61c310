//! What was asked for goes to standard output; what is said about a launch, to standard error, and
//! only if it was asked for.

use underpass_tests::{World, artifacts};

use crate::{nothing_happened, underpass};

#[test]
fn help_and_version_fit_a_screen() {
    let world = World::new();
    for option in ["--help", "-h"] {
        let done = underpass(&world, &[option]).run();
        assert_eq!((done.code(), &*done.stderr), (0, ""), "{done}");
        assert!(done.stdout.lines().all(|line| line.chars().count() <= 80), "{done}");
        assert!(done.stdout.lines().count() <= 24, "{done}");
        for option in
            ["--proxy", "--config", "--format", "--quiet", "--verbose", "--shell", "--check", "--why"]
                .into_iter()
                .chain(["--explain", "--version", "--help", "125", "126", "127"])
        {
            assert!(done.stdout.contains(option), "no {option}: {done}");
        }
    }
    let version = underpass(&world, &["--version"]).run().success();
    assert_eq!(version, format!("underpass {}\n", env!("CARGO_PKG_VERSION")));
    // After the command they are the command's.
    let done = underpass(&world, &["-x", "local:", "echo", "--version", "-h"]).run();
    assert_eq!(done.success(), "--version -h\n");
}

/// An answer that cannot be written is a failure, not a panic.
#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let world = World::new();
    for output in ["/dev/full", "/dev/null/none"] {
        let script = format!("{} --help >{output}", artifacts::underpass().display());
        let done = world.client("sh").args(["-c", &script]).run();
        assert_ne!(done.code(), 0, "{done}");
        assert!(!done.stderr.contains("panicked"), "{done}");
    }
}

#[test]
fn why_says_where_a_connection_would_go() {
    let world = World::new();
    let url = "socks5h://user:hunter2@proxy.test:1080";
    for (destination, route) in [
        ("db.internal:5432", "carried by socks5h://proxy.test:1080, name resolved there"),
        ("10.1.2.3:80", "carried by socks5h://proxy.test:1080"),
        ("[fd77::1]:80", "carried by socks5h://proxy.test:1080"),
        ("localhost:80", "direct, loopback (127.0.0.1 by the hosts file)"),
        ("[::1]:80", "direct, loopback"),
        ("127.0.0.1:53", "answered by the agent, DNS never leaves directly"),
    ] {
        let done = underpass(&world, &["-x", url, "--why", destination]).run();
        assert_eq!(done.stderr, "");
        assert_eq!(done.success(), format!("{destination}: {route}\n"));
    }
    nothing_happened(&world);
}

/// With routes, the one that decides is shown with its text; without a port, those that ask for one too.
#[test]
fn why_shows_the_route_and_what_it_depends_on() {
    let world = World::new();
    let text = "default = \"far\"\n[chain.far]\nhops = [\"socks5h://u:hunter2@a:1\", \"http://b:2\"]\n\
                [[route]]\ndomain = \".internal\"\nport = 5432\nto = \"direct\"\n";
    let path = crate::file(&world, "it.toml", text);
    let why = |destination: &str| underpass(&world, &["-f", &path, "--why", destination]).run().success();
    let far = "carried by socks5h://a:1, http://b:2, name resolved there\n";
    let route = format!(
        "  route 1 of 1, {path}:4\n    [[route]]\n    domain = \".internal\"\n    port = 5432\n    to = \
         \"direct\"\n"
    );
    assert_eq!(why("example:80"), format!("example:80: {far}  no route matches, so by default\n"));
    assert_eq!(why("db.internal:5432"), format!("db.internal:5432: direct, name resolved here\n{route}"));
    assert_eq!(
        why("db.internal"),
        format!("db.internal: {far}  no route matches, so by default\nbut on port 5432: direct\n{route}")
    );
    nothing_happened(&world);
}

#[test]
fn explain_says_what_a_program_is() {
    let world = World::new();
    let script = world.directory().join("script");
    std::fs::write(&script, "#!/usr/bin/env busybox\n").expect("the directory is ours");
    world.client("chmod").args(["755", "script"]).run().success();
    let true_ = underpass(&world, &["--explain", "true"]).run().success();
    assert!(true_.starts_with("/usr/bin/true\n  format        ELF, 64-bit, "), "{true_}");
    assert!(true_.contains("(glibc)\n") && true_.ends_with("  tier          hook\n"), "{true_}");
    let busybox = underpass(&world, &["--explain", "busybox"]).run().success();
    assert!(busybox.contains("statically linked"), "{busybox}");
    assert!(busybox.contains("  tier          guard\n"), "{busybox}");
    // Go's own, and sandboxes: one that makes namespaces, and a browser's.
    let hey = underpass(&world, &["--explain", "hey"]).run().success();
    assert!(hey.contains("  go            yes\n") && hey.contains("  tier          guard\n"), "{hey}");
    let sandbox = |program: &str| {
        let text = underpass(&world, &["--explain", program]).run().success();
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix("sandbox "));
        line.unwrap_or_else(|| panic!("{text}")).trim_start().to_owned()
    };
    assert_eq!(sandbox("true"), "none seen");
    assert_eq!(sandbox("busybox"), "none seen, as it imports nothing");
    assert_eq!(sandbox("bwrap"), "its own, by unshare, setns");
    let browser = sandbox("/usr/lib/chromium/chromium");
    assert!(browser.starts_with("its own, by chrome") && browser.ends_with("_crashpad_handler"), "{browser}");
    let chain = underpass(&world, &["--explain", &script.display().to_string()]).run().success();
    let files: Vec<&str> = chain.lines().filter(|line| line.starts_with('/')).collect();
    assert_eq!(files.len(), 3, "the script, env and busybox: {chain}");
    let none = underpass(&world, &["--explain", "no-such-program"]).run();
    assert_eq!((none.code(), &*none.stdout), (127, ""), "{none}");
    nothing_happened(&world);
}

#[test]
fn a_launch_says_nothing_and_under_v_one_line_without_the_password() {
    let world = World::new();
    let url = "socks5h://user:hunter2@10.77.0.1:1080";
    let silent = underpass(&world, &["-x", url, "echo", "it"]).run();
    assert_eq!((&*silent.stderr, &*silent.stdout), ("", "it\n"), "{silent}");
    for option in ["-v", "--verbose"] {
        let done = underpass(&world, &["-x", url, option, "echo", "it"]).run();
        let tier = "tier hook, which does not hold what goes past the C library";
        let said = format!("underpass: session via socks5h://10.77.0.1:1080, {tier}\n");
        assert_eq!(done.stderr, said, "{done}");
        assert_eq!(done.stdout, "it\n");
    }
    let done = underpass(&world, &["-x", url, "-q", "echo", "it"]).run();
    assert_eq!((&*done.stderr, &*done.stdout), ("", "it\n"), "{done}");
}
