//! Real programs, and programs that start others.

use underpass_tests::servers::port;
use underpass_tests::{World, artifacts, proxies, servers};

use crate::worlds::{Both, Case};
use crate::{bare, guarded, no_leaks};

const BANNER: [&str; 2] = ["10.99.0.1", "7001"];

fn world() -> (World, proxies::Fake) {
    let world = World::new();
    servers::start(&world);
    let proxy = proxies::fake(&world);
    (world, proxy)
}

#[test]
fn what_cannot_load_the_library_is_started_under_guard() {
    let (world, proxy) = world();
    assert_eq!(world.wrapped(proxy.url(), "busybox").arg("nc").args(BANNER).run().success(), "hello\n");
    let own = world.directory().join("banner");
    let source = artifacts::workspace().join("tests/programs/banner.c");
    for options in [&[][..], &["-static"]] {
        world.outside("musl-gcc").args(options).arg("-o").arg(&own).arg(&source).run().success();
        assert_eq!(world.wrapped(proxy.url(), &own).args(BANNER).run().success(), "hello\n", "{options:?}");
    }
    assert_eq!(proxy.requests().len(), 3);
    no_leaks(&world);
}

#[test]
fn a_hooked_program_starts_others_under_guard_in_each_way() {
    let (world, proxy) = world();
    let program = artifacts::program("starts");
    let forms = [
        "execv",
        "execve",
        "execvp",
        "execvpe",
        "execl",
        "execlp",
        "execle",
        "posix_spawn",
        "posix_spawnp",
        "system",
        "popen",
        "vfork",
        "fexecve",
        "fexecve-open",
        "fexecve-path",
        "fexecve-memory",
        "execveat",
        "execveat-folder",
        "execveat-open",
        "execveat-here",
        "execveat-whole",
        "execveat-number",
        "execve-path",
        "posix_spawn-path",
        "posix_spawn-elsewhere",
        "posix_spawnp-elsewhere",
        "vfork-fexecve",
        "full",
    ];
    for form in forms {
        let done = world.wrapped(proxy.url(), &program).arg(form).args(BANNER).run();
        assert_eq!((done.code(), &*done.stdout), (0, "hello\n"), "{form}: {done}");
    }
    assert_eq!(proxy.requests().len(), forms.len());
    // Which is told by what it would be held by.
    let done = world.wrapped(proxy.url(), &program).arg("hooked-elsewhere").args(BANNER).run();
    assert_eq!(done.success(), "NoNewPrivs:\t0\n", "what loads the library is not put under guard");
    no_leaks(&world);
}

/// The C library goes on to the next entry of PATH where what it has found is not executed.
#[test]
fn what_is_found_later_in_path_is_started_under_guard() {
    let (world, proxy) = world();
    let program = artifacts::program("starts");
    let mut count = 0;
    for place in ["folder", "here", "script", "long"] {
        for form in ["execvp", "execvpe", "execlp", "posix_spawnp", "vfork-execvp"] {
            world.outside("rm").args(["-rf", "before", "busybox"]).run().success();
            let form = format!("{form}@{place}");
            let done = world.wrapped(proxy.url(), &program).arg(&form).args(BANNER).run();
            assert_eq!((done.code(), &*done.stdout), (0, "hello\n"), "{form}: {done}");
            count += 1;
        }
    }
    assert_eq!(proxy.requests().len(), count);
    no_leaks(&world);
}

#[test]
fn what_is_executed_by_a_descriptor_sees_what_it_would_see() {
    let both = Both::new();
    artifacts::compiled("executed", "executed-static", &["-static"]);
    let carried: [&[&str]; 7] =
        [&["file"], &["kept"], &["memory"], &["below"], &["below-kept"], &["named"], &["script"]];
    let case = |way| Case::new("executed", port::ECHO).more(way);
    both.compare_in(&carried.map(case), &["v4"], &["blocking"]);
    assert_eq!(both.proxy.requests().len(), carried.len());
    both.compare_in(&[case(&["refused"])], &["v4"], &["blocking"]);
    both.no_leaks();
}

#[test]
fn programs_and_scripts_that_start_one_another_are_all_carried() {
    let (world, proxy) = world();
    std::fs::write(world.directory().join("script"), "#!/usr/bin/busybox sh\nbusybox nc 10.99.0.1 7001\n")
        .expect("the directory is ours");
    world.client("chmod").args(["755", "script"]).run().success();
    let lines = [
        // A cleaned environment.
        "env -i /usr/bin/busybox nc 10.99.0.1 7001",
        "./script",
        // Static, dynamic, static.
        "busybox sh -c 'sh -c \"busybox nc 10.99.0.1 7001\"'",
        "python3 -c 'import subprocess; subprocess.run([\"busybox\", \"nc\", \"10.99.0.1\", \"7001\"], env={})'",
    ];
    for line in lines {
        let done = world.wrapped(proxy.url(), "sh").args(["-c", line]).run();
        assert_eq!((done.code(), &*done.stdout), (0, "hello\n"), "{line}: {done}");
    }
    assert_eq!(proxy.requests().len(), lines.len());
    no_leaks(&world);
}

#[test]
fn one_of_library_and_supervisor_does_a_connect() {
    let (world, proxy) = world();
    let script = r#"
import socket
s = socket.create_connection(("10.99.0.1", 7001))
print(s.getpeername(), s.recv(9))
s = socket.socket()
print(s.connect_ex(("10.99.0.1", 7099)), s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
s = socket.socket()
s.setblocking(False)
print(s.connect_ex(("10.99.0.1", 7099)))
import select
select.select([], [s], [])
print(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
"#;
    let expected = "('10.99.0.1', 7001) b'hello\\n'\n111 0\n115\n111 0\n";
    let with = guarded(&world, proxy.url(), "python3").args(["-c", script]).run();
    assert_eq!(with.clone().success(), expected, "{with}");
    assert_eq!(proxy.requests().len(), 3, "with the library");
    let without = bare(&world, proxy.url()).args(["-c", script]).run();
    assert_eq!(without.clone().success(), expected, "{without}");
    assert_eq!(proxy.requests().len(), 6, "without the library");
    no_leaks(&world);
}

#[test]
fn names_are_the_librarys_where_it_is_loaded() {
    let (world, proxy) = world();
    let script =
        format!("import socket; print(socket.create_connection(('echo.test', {})).recv(9))", port::BANNER);
    let done = guarded(&world, proxy.url(), "python3").args(["-c", &script]).run();
    assert_eq!(done.clone().success(), "b'hello\\n'\n", "{done}");
    no_leaks(&world);
}

#[test]
fn a_time_limit_of_the_socket_ends_the_wait_but_not_the_connection() {
    let (world, proxy) = world();
    // Nobody answers there: without the limit it is ETIMEDOUT, much later.
    let script = r#"
import errno, socket, struct
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 100000))
print(errno.errorcode[s.connect_ex(("10.99.0.66", 7001))])
s.setblocking(False)
print(errno.errorcode[s.connect_ex(("10.99.0.66", 7001))])
"#;
    let done = bare(&world, proxy.url()).args(["-c", script]).run();
    assert_eq!(done.clone().success(), "EINPROGRESS\nEALREADY\n", "{done}");
    no_leaks(&world);
}

#[test]
fn what_goes_direct_is_dialled_by_the_agent() {
    let world = World::direct();
    servers::start(&world);
    let file = "proxy = 'socks5h://10.77.0.1:1'\n[[route]]\naddress = '10.99.0.1'\nto = 'direct'\n";
    std::fs::write(world.directory().join("direct.toml"), file).expect("the directory is ours");
    let line = ["-f", "direct.toml", "--tier", "guard", "--", "busybox", "nc"];
    let done = world.client(artifacts::underpass()).args(line).args(BANNER).run();
    assert_eq!(done.clone().success(), "hello\n", "{done}");
}

#[test]
fn a_set_user_id_program_is_refused_with_the_way_out() {
    if !rustix::process::geteuid().is_root() {
        // The only user of this world is the owner of all that is there.
        return;
    }
    let world = World::new();
    let user = ["--reuid=4321", "--regid=4321", "--clear-groups", "--"];
    let line = ["-x", "local:", "--tier", "guard", "--", "su", "--version"];
    let done = world.client("setpriv").args(user).arg(artifacts::underpass()).args(line).run();
    assert_eq!(done.code(), 126, "{done}");
    assert!(
        done.stderr.contains("it is set-user-ID") && done.stderr.contains("hint: sudo underpass "),
        "{done}"
    );
}
