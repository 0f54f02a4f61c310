//! In the place of proxychains4 and torsocks: their files, variables and options, with real proxies.

use std::os::unix::fs::symlink;

use underpass_tests::proxies::{self, Dante};
use underpass_tests::{Command, World, artifacts};

use crate::{HELLO, failed, file, nothing_happened, web};

/// Started by this name.
fn by_name(world: &World, name: &str) -> Command {
    let link = world.directory().join(name);
    if !link.is_symlink() {
        symlink(artifacts::underpass(), &link).expect("the directory is ours");
    }
    world.client(link)
}

#[test]
fn proxychains_files_and_options_are_taken_as_they_are() {
    let world = World::new();
    web(&world);
    let last = proxies::microsocks(&world, Some(("me", "word")));
    let first = proxies::dante_with(&world, Dante::default()).allowed(&world);
    let text = format!(
        "# proxychains.conf\nstrict_chain\nproxy_dns\ntcp_read_time_out 15000\ntcp_connect_time_out 8000\n\
         [ProxyList]\nsocks4 10.77.0.1 {}\nsocks5\t10.99.0.1 {} me word\n",
        first.port(),
        last.port()
    );
    let path = file(&world, "a.conf", &text);
    let curl = |options: &[&str]| by_name(&world, "proxychains4").args(options).arg("curl").args(HELLO);
    let quiet = curl(&["-q", "-f", &path]).run();
    assert_eq!(quiet.stderr, "");
    assert_eq!(quiet.success(), "hello\n");
    assert_eq!(curl(&[]).env("PROXYCHAINS_CONF_FILE", &path).run().success(), "hello\n");
    // The option is above the variable.
    assert_eq!(curl(&["-f", "a.conf"]).env("PROXYCHAINS_CONF_FILE", "/no/such").run().success(), "hello\n");
    file(&world, "home/.proxychains/proxychains.conf", &text);
    assert_eq!(by_name(&world, "proxychains").arg("curl").args(HELLO).run().success(), "hello\n");
    last.wait_served("echo.test", 7080, 4);
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

#[test]
fn a_file_in_the_current_directory_is_used_only_if_it_is_named() {
    let world = World::new();
    web(&world);
    let proxy = proxies::microsocks(&world, None);
    let good = format!("proxy_dns\n[ProxyList]\nsocks5 10.77.0.1 {}\n", proxy.port());
    file(&world, "home/.proxychains/proxychains.conf", &good);
    file(&world, "proxychains.conf", "[ProxyList]\nsocks5 10.6.6.6 1\n");
    let curl = |options: &[&str]| by_name(&world, "proxychains4").args(options).arg("curl").args(HELLO);
    let done = curl(&[]).run();
    let line = "underpass: warning: ./proxychains.conf is not used: ";
    assert!(done.stderr.lines().any(|found| found.starts_with(line)), "{done}");
    assert_eq!(done.success(), "hello\n");
    for quiet in [curl(&["-q"]), curl(&[]).env("PROXYCHAINS_QUIET_MODE", "1")] {
        let done = quiet.run();
        assert_eq!((&*done.stdout, &*done.stderr), ("hello\n", ""), "{done}");
    }
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
    let named = curl(&["-q", "-f", "proxychains.conf"]).run();
    assert_ne!((named.code(), &*named.stdout), (0, "hello\n"), "{named}");
}

#[test]
fn mistakes_of_proxychains_are_errors() {
    let world = World::new();
    let good = file(&world, "home/.proxychains/proxychains.conf", "[ProxyList]\nsocks5 10.77.0.1 1\n");
    file(&world, "bad.conf", "[ProxyList]\nsokcs5 10.77.0.1 1 me hunter2\n");
    let table: [(&[&str], &str); 7] = [
        (&[], "no command given"),
        (&["-f"], "-f: FILE is missing"),
        (&["-x", "true"], "-x: proxychains4 has no such option"),
        // The original goes on to the next file.
        (&["-f", "/no/such", "true"], "/no/such: no such file"),
        (&["-f", ".", "true"], ".: cannot be read: is a directory"),
        (&["-f", "bad.conf", "true"], "bad.conf:2"),
        (&["-f", &good], "no command given"),
    ];
    for (arguments, what) in table {
        let done = by_name(&world, "proxychains4").args(arguments).run();
        failed(&done, 125, what);
        assert!(!done.stderr.contains("hunter2"), "{done}");
    }
    let help = by_name(&world, "proxychains4").arg("--help").run().success();
    assert!(help.lines().count() <= 24 && help.contains("-f FILE"), "{help}");
    nothing_happened(&world);
}

#[test]
fn torsocks_options_variables_and_file_say_where_tor_is() {
    let world = World::new();
    web(&world);
    let open = proxies::microsocks(&world, None);
    let locked = proxies::microsocks_at(&world, 1091, Some(("me", "word"))).allowed(&world);
    let (port, locked_port) = (open.port().to_string(), locked.port().to_string());
    let curl = |options: &[&str]| by_name(&world, "torsocks").args(options).arg("curl").args(HELLO);
    assert_eq!(curl(&["-q", "-a", "10.77.0.1", "-P", &port]).run().success(), "hello\n");
    let login = ["-q", "--address=10.77.0.1", "--port", &locked_port, "-u", "me", "-p", "word"];
    assert_eq!(curl(&login).run().success(), "hello\n");
    let variables = curl(&["-q"]).env("TORSOCKS_TOR_ADDRESS", "10.77.0.1").env("TORSOCKS_TOR_PORT", &port);
    assert_eq!(variables.run().success(), "hello\n");
    let text = format!(
        "# a comment\nTorAddress 10.77.0.1\nTorPort {locked_port}\nSOCKS5Username me\nSOCKS5Password word\n"
    );
    let path = file(&world, "tor.conf", &text);
    assert_eq!(curl(&["-q"]).env("TORSOCKS_CONF_FILE", &path).run().success(), "hello\n");
    open.wait_served("echo.test", 7080, 2);
    locked.wait_served("echo.test", 7080, 2);
    // The program does not see the password.
    let environment = by_name(&world, "torsocks").args(["-q", "env"]).env("TORSOCKS_CONF_FILE", &path);
    let lines = environment.env("TORSOCKS_PASSWORD", "word").env("TORSOCKS_USERNAME", "me").run().success();
    assert!(!lines.contains("TORSOCKS_PASSWORD") && lines.contains("TORSOCKS_CONF_FILE"), "{lines}");
    // `--shell` is a shell, all of whose programs are carried.
    let shell = by_name(&world, "torsocks").args(["-q", "-a", "10.77.0.1", "-P", &port, "--shell"]);
    let done = shell.env("SHELL", "/bin/sh").input(format!("curl {}\n", HELLO.join(" "))).run();
    assert_eq!(done.success(), "hello\n");
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

#[test]
fn mistakes_of_torsocks_are_errors_and_what_has_no_effect_is_said() {
    let world = World::new();
    let table: [(&[&str], &str); 9] = [
        (&[], "no command given"),
        (&["-x", "true"], "-x: torsocks has no such option"),
        (&["-a"], "--address: HOST is missing"),
        (&["-a", "localhost", "true"], "the address of Tor: not an address"),
        (&["-P", "0", "true"], "the port of Tor: not a number"),
        (&["-p", "hunter2", "true"], "only one of them is given"),
        (&["-i", "-u", "me", "-p", "hunter2", "true"], "--isolate: makes credentials up"),
        (&["on"], "on: a program cannot change the shell"),
        (&["off"], "off: a program cannot change the shell"),
    ];
    for (arguments, what) in table {
        let done = by_name(&world, "torsocks").args(arguments).run();
        failed(&done, 125, what);
        assert!(!done.stderr.contains("hunter2"), "{done}");
    }
    let named = by_name(&world, "torsocks").arg("true").env("TORSOCKS_CONF_FILE", "/no/such").run();
    failed(&named, 125, "/no/such: no such file");
    let help = by_name(&world, "torsocks").arg("--help").run().success();
    assert!(help.lines().count() <= 24 && help.contains("--isolate"), "{help}");
    assert!(by_name(&world, "torsocks").arg("--version").run().success().starts_with("underpass "));
    assert!(by_name(&world, "torsocks").arg("show").run().success().starts_with("LD_PRELOAD=\""));
    nothing_happened(&world);
    let empty = file(&world, "tor.conf", "TorPort 9050\n");
    let run = by_name(&world, "torsocks").arg("true").env("TORSOCKS_LOG_FILE_PATH", "/tmp/x");
    let done = run.env("TORSOCKS_CONF_FILE", &empty).run();
    assert!(done.stderr.contains("warning: TORSOCKS_LOG_FILE_PATH: has no effect here"), "{done}");
    done.success();
}
