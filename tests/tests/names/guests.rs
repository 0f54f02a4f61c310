//! Other libraries that take libc's functions over, in the same process: names are resolved, used and
//! freed beside each, wherever it stands in `LD_PRELOAD`.

use underpass_tests::proxies::Fake;
use underpass_tests::{Command, World, artifacts};

use crate::both::Both;

/// Where Debian keeps libraries of this machine.
const LIBRARIES: &str =
    if cfg!(target_arch = "aarch64") { "/usr/lib/aarch64-linux-gnu" } else { "/usr/lib/x86_64-linux-gnu" };

/// What a program of the session says that resolves, connects and frees.
fn scripts() -> [String; 4] {
    let (names, asynchronous) = (artifacts::program("names"), artifacts::program("async"));
    [
        format!("{} getaddrinfo echo.test 7006", names.display()),
        format!("{} gethostbyname_r echo.test 7006", names.display()),
        format!("{} none echo.test listed.test missing.test", asynchronous.display()),
        format!("{} thread echo.test", asynchronous.display()),
    ]
}

/// Runs each script, by a shell to which the words of `how` are put in front.
fn run(world: &World, proxy: &Fake, how: &[String], preload: Option<&str>) -> Vec<String> {
    let run = |script: String| {
        let words = how.iter().map(String::as_str).chain(["sh", "-c", &script]).map(str::to_owned);
        let words: Vec<String> = words.collect();
        let (first, rest) = words.split_first().expect("a shell");
        let mut command: Command = world.wrapped(proxy.url(), first).args(rest);
        if let Some(preload) = preload {
            command = command.env("LD_PRELOAD", preload);
        }
        let done = command.run_or_kill();
        assert_eq!(done.stderr, "", "{done}");
        assert!(done.status.success(), "{done}");
        done.stdout
    };
    scripts().map(run).to_vec()
}

#[test]
fn allocators_and_other_guests_do_no_harm_in_either_order() {
    let both = Both::new();
    let (world, proxy) = (&both.redirected, &both.proxy);
    let ours = artifacts::library().display().to_string();
    let expected = run(world, proxy, &[], None);
    assert!(expected.iter().all(|text| text.contains("recv 6")), "{expected:?}");
    for guest in ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "faketime/libfaketime.so.1"] {
        let guest = format!("{LIBRARIES}/{guest}");
        assert!(std::path::Path::new(&guest).exists(), "{guest} is missing: see tests/run");
        for preload in [guest.clone(), format!("{ours}:{guest}"), format!("{guest}:{ours}")] {
            // From outside, and set by a program of the session.
            assert_eq!(run(world, proxy, &[], Some(&preload)), expected, "{preload}");
            let set = ["env".to_owned(), format!("LD_PRELOAD={preload}")];
            assert_eq!(run(world, proxy, &set, None), expected, "{preload}");
        }
    }
    both.no_leaks();
}

/// The launcher and the hooks keep the library first; a program that somebody else starts, with the session's
/// variable, has it where that one put it.
#[test]
fn guests_that_really_come_first_do_no_harm() {
    let both = Both::new();
    let (world, proxy) = (&both.redirected, &both.proxy);
    let ours = artifacts::library().display().to_string();
    let expected = run(world, proxy, &[], None);
    let session = world.wrapped(proxy.url(), "sh").args(["-c", "echo $UNDERPASS_SESSION"]).run().success();
    let session = format!("UNDERPASS_SESSION={}", session.trim());
    let started = |guest: &str, script: &str| {
        let preload = format!("LD_PRELOAD={guest}:{ours}");
        world.client("env").args([&session, &preload]).args(script.split(' ')).run_or_kill()
    };
    for guest in ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "faketime/libfaketime.so.1"] {
        let guest = format!("{LIBRARIES}/{guest}");
        for (script, expected) in scripts().iter().zip(&expected) {
            let done = started(&guest, script);
            assert_eq!((&done.stdout, &*done.stderr), (expected, ""), "{guest}: {done}");
        }
    }
    // A program that was built with gcc's AddressSanitizer, and the library where that wants to be.
    let program = artifacts::compiled("names", "names-asan-shared", &["-fsanitize=address"]);
    let done = started(&sanitizer(), &format!("{} getaddrinfo echo.test 7006", program.display()));
    assert_eq!((&done.stdout, &*done.stderr), (&expected[0], ""), "{done}");
    both.no_leaks();
}

/// gcc's AddressSanitizer.
fn sanitizer() -> String {
    let done =
        std::process::Command::new("gcc").arg("-print-file-name=libasan.so").output().expect("gcc runs");
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// Both set `LD_PRELOAD` for the program that they start.
#[test]
fn fakeroot_and_faketime_work_inside_and_outside() {
    let both = Both::new();
    let (world, proxy) = (&both.redirected, &both.proxy);
    let expected = run(world, proxy, &[], None);
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<String>>();
    for inside in
        ["fakeroot --", "faketime 2020-01-01", "fakeroot faketime 2020-01-01", "faketime 2020-01-01 fakeroot"]
    {
        assert_eq!(run(world, proxy, &words(inside), None), expected, "{inside}");
    }
    let underpass = artifacts::underpass().display().to_string();
    for outside in ["fakeroot", "faketime"] {
        for (script, expected) in scripts().iter().zip(&expected) {
            let date: &[&str] = if outside == "faketime" { &["2020-01-01"] } else { &[] };
            let command = world.client(outside).args(date).arg(&underpass).args(["-x", proxy.url(), "--"]);
            let done = command.args(["sh", "-c", script]).run_or_kill();
            assert_eq!((&done.stdout, &*done.stderr), (expected, ""), "{outside}: {done}");
        }
    }
    // They do what they are for.
    let done = world.wrapped(proxy.url(), "faketime").args(["2020-01-01", "date", "+%Y"]).run();
    assert_eq!(done.stdout, "2020\n", "{done}");
    both.no_leaks();
}

/// A program with AddressSanitizer: gcc's library wants to be first, and says so.
#[test]
fn the_address_sanitizer_finds_nothing_and_wants_to_be_first() {
    let both = Both::new();
    let (world, proxy) = (&both.redirected, &both.proxy);
    let expected = run(world, proxy, &[], None);
    let flags = ["-fsanitize=address", "-static-libasan"];
    let inside = artifacts::compiled("names", "names-asan", &flags);
    let done = world.wrapped(proxy.url(), &inside).args(["getaddrinfo", "echo.test", "7006"]).run_or_kill();
    assert_eq!((&done.stdout, &*done.stderr), (&expected[0], ""), "{done}");
    let program = artifacts::compiled("names", "names-asan-shared", &flags[..1]);
    let arguments = ["getaddrinfo", "echo.test", "7006"];
    let done = world.wrapped(proxy.url(), &program).args(arguments).run_or_kill();
    assert!(done.stderr.contains("ASan runtime does not come first in initial library list"), "{done}");
    assert!(!done.status.success() && done.stdout.is_empty(), "{done}");
    let wrapped = world.wrapped(proxy.url(), &program).args(arguments);
    let done = wrapped.env("ASAN_OPTIONS", "verify_asan_link_order=0").run_or_kill();
    assert_eq!((&done.stdout, &*done.stderr), (&expected[0], ""), "{done}");
    both.no_leaks();
}
