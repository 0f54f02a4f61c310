//! Credentials that a URL only names are fetched by the launcher; the program sees none of them.

use underpass_tests::{World, proxies};

use crate::{HELLO, failed, file, nothing_happened, underpass, web};

#[test]
fn credentials_come_from_a_file_or_a_variable() {
    let world = World::new();
    web(&world);
    let proxy = proxies::microsocks(&world, Some(("me", "pass:word")));
    let url = |login: &str| format!("socks5h://10.77.0.1:{}?{login}", proxy.port());
    let absolute = file(&world, "login", "me:pass:word\nnothing more is read\n");
    let by_path = url(&format!("login-file={absolute}"));
    let curl = |options: &[&str]| underpass(&world, options).arg("curl").args(HELLO);
    assert_eq!(curl(&["-x", &by_path]).run().success(), "hello\n");
    // By -x relative to the current directory, in a file to the file's.
    assert_eq!(curl(&["-x", &url("login-file=login")]).run().success(), "hello\n");
    file(&world, "below/login", "me:pass:word");
    let text = format!("proxy = \"{}\"\n", url("login-file=login"));
    file(&world, "below/it.toml", &text);
    std::fs::remove_file(world.directory().join("login")).expect("the file is ours");
    assert_eq!(curl(&["-f", "below/it.toml"]).run().success(), "hello\n");
    let by_variable = url("login-env=MY_LOGIN");
    let run = curl(&["-x", &by_variable]).env("MY_LOGIN", "me:pass:word").run();
    assert_eq!(run.success(), "hello\n");
    proxy.wait_served("echo.test", 7080, 4);
    let run = underpass(&world, &["-v", "-x", &by_variable, "env"]).env("MY_LOGIN", "me:pass:word").run();
    assert!(!run.stderr.contains("word"), "{run}");
    let lines = run.success();
    assert!(!lines.contains("MY_LOGIN") && !lines.contains("pass:word"), "{lines}");
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}

#[test]
fn what_is_no_login_is_said_and_not_shown() {
    let world = World::new();
    let path = file(&world, "login", "me:hunter2\n");
    file(&world, "short", "hunter2\n");
    for mode in ["640", "604", "620", "666"] {
        world.client("chmod").args([mode, "login"]).run().success();
        let done = underpass(&world, &["-x", &format!("http://h:1?login-file={path}"), "true"]).run();
        failed(&done, 125, &format!("http://h:1: login-file {path}: its mode is 0{mode}"));
        assert!(!done.stderr.contains("hunter2"), "{done}");
    }
    for (login, what) in [
        ("login-file=no-such", "no-such: cannot be read: no such file"),
        ("login-file=short", "a user name of 1 to 255 bytes"),
        ("login-env=NO_SUCH", "login-env NO_SUCH: the variable is not set"),
        ("login-env=SHORT", "a user name of 1 to 255 bytes"),
    ] {
        let command = underpass(&world, &["-x", &format!("socks5h://h:1?{login}"), "true"]);
        let done = command.env("SHORT", "hunter2").run();
        failed(&done, 125, what);
        assert!(!done.stderr.contains("hunter2"), "{done}");
    }
    nothing_happened(&world);
}
