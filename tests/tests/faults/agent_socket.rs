//! The agent's sockets, and those who should not be heard there.

use std::path::{Path, PathBuf};

use underpass_core::config::Config;
use underpass_core::control::ControlRequest;
use underpass_tests::proxies::Fake;
use underpass_tests::{World, artifacts};

use crate::{agent, descriptors, no_descriptor_is_kept, no_leaks, serves, world};

fn session(world: &World, proxy: &Fake) -> String {
    let done = world.wrapped(proxy.url(), "printenv").arg("UNDERPASS_SESSION").run();
    done.success().trim().to_owned()
}

fn commit(world: &World, session: &str, fault: &str) -> String {
    world.client(artifacts::helper("wire-client")).args([session, fault]).run().success().trim().to_owned()
}

#[test]
fn nonsense_is_closed_without_an_answer_and_leaves_nothing_behind() {
    let (world, proxy) = world();
    let session = session(&world, &proxy);
    let agent = agent(&world);
    let before = descriptors(agent);
    let mut report = String::new();
    for (fault, expected) in [
        ("nothing", "closed"),
        ("empty", "closed"),
        ("one-byte-each", "closed"),
        ("too-long", "closed"),
        ("huge", "closed"),
        ("trailing", "closed"),
        ("prefixes", "closed"),
        ("garbage", "closed"),
        ("garbage-after-a-good-start", "closed"),
        ("other-version", "closed"),
        ("other-token", "closed"),
        ("other-token-name", "closed"),
        ("no-descriptor", "closed"),
        ("two-descriptors", "closed"),
        ("many-descriptors", "closed"),
        ("descriptor-for-nothing", "closed"),
        ("convert-alone", "closed"),
        ("a-file", "Refuse { errno: 101 }"),
        ("a-unix-socket", "Refuse { errno: 101 }"),
        ("a-datagram-socket", "Refuse { errno: 101 }"),
        ("a-listener", "Refuse { errno: 106 }"),
        ("a-connected-socket", "Refuse { errno: 106 }"),
        ("held-nowhere", "closed"),
        ("vanish", "gone"),
        ("crowd", "served"),
    ] {
        let answer = commit(&world, &session, fault);
        if answer != expected {
            report += &format!("{fault}: {answer}, not {expected}\n");
        }
        if world.agents() != [agent] {
            report += &format!("{fault}: the agent has gone\n");
            break;
        }
    }
    assert!(report.is_empty(), "\n{report}");
    serves(&world, &proxy);
    no_descriptor_is_kept(agent, &before);
    no_leaks(&world);
}

/// Runs a shell script on the client side as another user.
fn as_user(world: &World, user: u32, script: &str) -> underpass_tests::Finished {
    let user = user.to_string();
    let line = ["--reuid", &user, "--regid", &user, "--clear-groups", "sh", "-ec", script];
    world.client("setpriv").args(line).run()
}

/// Copies programs to where another user may read them, as may not be so of the clone (/root), and
/// returns the path of the first one.
fn readable(world: &World, programs: &[PathBuf]) -> String {
    let directory = world.directory().join("programs");
    std::fs::create_dir_all(&directory).expect("the directory is ours");
    let copies = programs.iter().map(|program| {
        let copy = directory.join(program.file_name().expect("it is a file"));
        std::fs::copy(program, &copy).expect("it is readable");
        copy.display().to_string()
    });
    copies.collect::<Vec<_>>().remove(0)
}

/// An ordinary user's world has no second user: the kernel gives it one. Then there is nobody to
/// refuse, and the run as root has to tell.
fn there_is_another_user(world: &World) -> bool {
    let another = as_user(world, 4321, "true").status.success();
    assert!(another || !rustix::process::geteuid().is_root(), "root can become anybody");
    another
}

/// What root's agent answers to a user whose programs root may have started (apt, nginx, su).
#[test]
fn another_user_needs_a_token_of_roots_agent_and_never_reaches_its_control_socket() {
    let (world, proxy) = world();
    if !there_is_another_user(&world) {
        return;
    }
    let session = session(&world, &proxy);
    let client = readable(&world, &[artifacts::helper("wire-client")]);
    let ask = |fault: &str| as_user(&world, 4321, &format!("{client} '{session}' {fault}"));
    assert!(ask("good-name").stdout.starts_with("Resolved"), "{}", ask("good-name"));
    assert_eq!(ask("other-token-name").stdout, "closed\n");
    assert_eq!(ask("other-token").stdout, "closed\n");
    let path = session.rsplit(':').next().expect("a path");
    let directory = Path::new(path).parent().expect("a directory").display().to_string();
    let listed = as_user(&world, 4321, &format!("ls {directory}"));
    assert!(!listed.status.success() && listed.stdout.is_empty(), "{listed}");
    let done = as_user(&world, 4321, &format!("{client} control {directory}/control.sock"));
    assert!(done.stderr.contains("PermissionDenied"), "{done}");
    serves(&world, &proxy);
}

/// The permissions are taken away on purpose, as OpenSSH tests its own agent.
#[test]
fn another_user_is_not_heard_by_an_ordinary_users_agent() {
    let (world, proxy) = world();
    if !there_is_another_user(&world) {
        return;
    }
    let run = world.directory().join("run-of-4321").display().to_string();
    let made = world.client("install").args(["-d", "-m", "700", "-o", "4321", "-g", "4321", &run]).run();
    assert!(made.status.success(), "{made}");
    world.client("chmod").args(["711", &world.directory().display().to_string()]).run().success();
    let underpass = readable(&world, &[artifacts::underpass(), artifacts::agent(), artifacts::library()]);
    let url = proxy.url();
    let own = as_user(
        &world,
        4321,
        &format!(
            "export HOME={run} XDG_RUNTIME_DIR={run}; {underpass} -x {url} -- printenv UNDERPASS_SESSION"
        ),
    );
    let session = own.success().trim().to_owned();
    assert!(session.contains(&run), "{session}");
    let open = format!("find {run} -exec chmod a+rwx {{}} +");
    as_user(&world, 4321, &open).success();
    let client = readable(&world, &[artifacts::helper("wire-client")]);
    let ask = |user| as_user(&world, user, &format!("{client} '{session}' good-name")).stdout;
    assert!(ask(4321).starts_with("Resolved"));
    assert_eq!(ask(4322), "closed\n");
    let control = Path::new(session.rsplit(':').next().expect("a path")).with_file_name("control.sock");
    let config = ControlRequest::OpenSession {
        config: Box::new(Config::strict(vec!["local:".parse().expect("an upstream")])),
        linger: true,
        for_process: None,
        source: None,
    };
    let open = config.to_line();
    let open = open.trim_end();
    let ask =
        |user| as_user(&world, user, &format!("echo '{open}' | {client} control {}", control.display()));
    assert!(ask(4321).stdout.starts_with(r#"{"session":"#), "{}", ask(4321));
    let other = ask(4322);
    assert!(other.status.success() && other.stdout.is_empty(), "{other}");
}

#[test]
fn nonsense_at_the_control_socket_is_refused() {
    let (world, proxy) = world();
    let session = session(&world, &proxy);
    let agent = agent(&world);
    let before = descriptors(agent);
    let path = session.rsplit(':').next().expect("a path");
    let control = Path::new(path).with_file_name("control.sock");
    let say = |bytes: &str| {
        let client = world.client(artifacts::helper("wire-client"));
        client.arg("control").arg(&control).input(bytes).run().success()
    };
    for bytes in ["", "\n", "{}\n", "garbage\n", "{\"open_session\":{}}\n", "\0\0\0\n"] {
        let answer = say(bytes);
        assert!(answer.starts_with("{\"error\":"), "{bytes:?}: {answer}");
    }
    for urls in [r#""socks5h://a:b@","local:""#, r#""socks5h://user:secret@:1""#, ""] {
        let chain = format!(r#"{{"kind":"strict","hops":[{urls}],"length":null}}"#);
        let rest = r#""routes":[],"otherwise":{"chain":"main"},"handoff":"auto","deadline":10,"warm":true"#;
        let config = format!(r#"{{"chains":{{"main":{chain}}},{rest}}}"#);
        let answer = say(&format!("{{\"open_session\":{{\"config\":{config},\"linger\":true}}}}\n"));
        assert!(answer.starts_with("{\"error\":"), "{answer}");
        assert!(!answer.contains("secret"), "{answer}");
    }
    let long = say(&"x".repeat(1 << 20));
    assert!(long.is_empty() || long.starts_with("{\"error\":"), "{long}");
    assert_eq!(world.agents(), [agent]);
    serves(&world, &proxy);
    no_descriptor_is_kept(agent, &before);
}
