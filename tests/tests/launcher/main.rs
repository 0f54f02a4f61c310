//! The launcher: the program that it becomes differs in nothing that it can see from one started
//! without it, and what it refuses it refuses by status, in one line, and without a packet.
//!
//! # Layout
//!
//! | file | is |
//! | --- | --- |
//! | `status` | how the program ends |
//! | `surroundings` | arguments, environment, signals, descriptors, the terminal |
//! | `preload` | other preload libraries, and odd places of our own |
//! | `inherited` | internet sockets that a program is started with |
//! | `refusals` | programs that cannot be carried |
//! | `misuse` | command lines that are wrong |
//! | `configuration` | files and variables: where they are looked for, what is wrong with them |
//! | `logins` | credentials that a URL only names |
//! | `personalities` | in the place of proxychains4 and torsocks |
//! | `shell`, `check` | `--shell`, `--check` |
//! | `answers` | `--help`, `--version`, `--why`, `--explain`, `-v` |

mod answers;
mod check;
mod configuration;
mod inherited;
mod logins;
mod misuse;
mod personalities;
mod preload;
mod refusals;
mod shell;
mod status;
mod surroundings;

use underpass_tests::{Command, Finished, World, artifacts};

/// `underpass` with these arguments, as they are.
fn underpass(world: &World, arguments: &[&str]) -> Command {
    world.client(artifacts::underpass()).args(arguments)
}

/// A program under underpass, by an upstream that needs no proxy.
fn carried(world: &World, program: impl AsRef<std::ffi::OsStr>) -> Command {
    world.wrapped("local:", program)
}

/// What curl asks of [`web`], which answers `hello`.
const HELLO: [&str; 2] = ["-sS", "http://echo.test:7080/hello"];

/// A web server beyond the proxies. (The far side's other services do not read what curl sends, so that
/// their end may be a reset.)
fn web(world: &World) {
    file(world, "web/hello", "hello\n");
    let server = world.far("python3").args(["-m", "http.server", "--bind", "10.99.0.1", "-d", "web", "7080"]);
    server.limit(std::time::Duration::MAX).spawn().detach();
    world.wait_listening(7080);
}

/// Writes a file into the world's directory, for its owner alone; gives its path.
fn file(world: &World, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = world.directory().join(name);
    std::fs::create_dir_all(path.parent().unwrap_or(&path)).expect("the directory is ours");
    std::fs::write(&path, text).expect("the directory is ours");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("the file is ours");
    path.display().to_string()
}

/// Checks a failure of the launcher's own: the status, nothing on standard output, one line on
/// standard error that holds `what`, and perhaps a hint.
#[track_caller]
fn failed(done: &Finished, status: i32, what: &str) {
    let lines: Vec<&str> = done.stderr.lines().collect();
    let hinted = lines.len() == 2 && lines[1].starts_with("hint: ");
    assert_eq!(done.code(), status, "{done}");
    assert_eq!(done.stdout, "", "{done}");
    assert!(lines.len() == 1 || hinted, "{done}");
    assert!(lines[0].starts_with("underpass: ") && lines[0].contains(what), "no {what:?}: {done}");
    assert!(done.stderr.ends_with('\n') && !lines[0].ends_with('.'), "{done}");
}

/// What a launch that came to nothing leaves: no packet and no agent.
#[track_caller]
fn nothing_happened(world: &World) {
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
    assert_eq!(world.agents(), [0; 0]);
}
