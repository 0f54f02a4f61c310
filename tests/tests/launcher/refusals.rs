//! Programs into which no library can be loaded, or none of ours: refused in tier hook before they run, with
//! the reason, since they would connect directly. What not even guard can hold is refused in every tier.

use std::path::PathBuf;

use underpass_tests::{Finished, World, artifacts};

use crate::{carried, failed, nothing_happened};

/// Leaves a file behind when it runs.
const PROGRAM: &str = "#include <fcntl.h>\nint main(void) { return open(\"it-ran\", O_CREAT, 0600) < 0; }\n";

/// The same without a C library.
#[cfg(target_arch = "x86_64")]
const BARE: &str = "void _start(void) { __asm__(\"int $0x80\" : : \"a\"(1), \"b\"(0)); }\n";

fn built(world: &World, source: &str, compiler: &str, options: &[&str]) -> PathBuf {
    let program = world.directory().join("program");
    std::fs::write(world.directory().join("program.c"), source).expect("the directory is ours");
    let done = world.client(compiler).args(["-o", "program", "program.c"]).args(options).run();
    assert!(done.status.success(), "{done}");
    program
}

/// Refused in tier hook for this reason, with the way out, and not started.
#[track_caller]
fn refused_by_hook(world: &World, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str], why: &str) {
    let line = ["-x", "local:", "--tier", "hook", "--"];
    let done = world.client(artifacts::underpass()).args(line).arg(program).args(arguments).run();
    refused(world, &done, why);
    assert!(done.stderr.lines().nth(1).is_some_and(|hint| hint.contains("--tier guard")), "{done}");
}

/// Refused for this reason, and not started.
#[track_caller]
fn refused(world: &World, done: &Finished, why: &str) {
    failed(done, 126, &format!("cannot be carried: {why}"));
    assert!(!world.directory().join("it-ran").exists(), "{done}");
    nothing_happened(world);
}

#[test]
fn static_programs() {
    let world = World::new();
    for options in [&["-static"][..], &["-static-pie"]] {
        let program = built(&world, PROGRAM, "gcc", options);
        refused_by_hook(&world, &program, &[], "it is statically linked");
    }
    refused_by_hook(&world, "busybox", &["true"], "it is statically linked");
}

#[test]
fn programs_of_another_c_library() {
    let world = World::new();
    let program = built(&world, PROGRAM, "musl-gcc", &[]);
    refused_by_hook(&world, &program, &[], "it uses another C library than glibc (loader /lib/ld-musl");
    let program = built(&world, PROGRAM, "musl-gcc", &["-static"]);
    refused_by_hook(&world, &program, &[], "it is statically linked");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn programs_of_32_bits() {
    let world = World::new();
    for options in [&["-static"][..], &["-no-pie", "-Wl,--dynamic-linker=/lib/ld-linux.so.2"]] {
        let options = [&["-m32", "-nostdlib", "-ffreestanding"], options].concat();
        let program = built(&world, BARE, "gcc", &options);
        refused(&world, &carried(&world, &program).run(), "it is a 32-bit program");
    }
}

#[test]
fn scripts_of_such_programs() {
    let world = World::new();
    built(&world, PROGRAM, "gcc", &["-static"]);
    let script = world.directory().join("script");
    let interpreter = world.directory().join("program").display().to_string();
    for line in [
        format!("#!{interpreter}"),
        format!("#! {interpreter} -x"),
        "#!/usr/bin/env busybox".to_owned(),
        "#!/usr/bin/env -S busybox sh".to_owned(),
    ] {
        std::fs::write(&script, format!("{line}\n:>it-ran\n")).expect("the directory is ours");
        world.client("chmod").args(["755", "script"]).run().success();
        refused_by_hook(&world, &script, &[], "it is statically linked");
    }
}

/// A run by root inside a world, by an ordinary user outside: set-user-ID means something only to
/// another user, and an ordinary user's world has none.
fn as_ordinary_user(world: &World, arguments: &[&str]) -> Finished {
    let line = ["--reuid=4321", "--regid=4321", "--clear-groups", "--"];
    if rustix::process::geteuid().is_root() {
        let underpass = world.client("setpriv").args(line).arg(artifacts::underpass());
        underpass.args(["-x", "local:", "--"]).args(arguments).run()
    } else {
        world.outside(artifacts::underpass()).args(["-x", "local:", "--"]).args(arguments).run()
    }
}

#[test]
fn set_user_id_programs_of_another_user() {
    let world = World::new();
    let done = as_ordinary_user(&world, &["su", "--version"]);
    refused(&world, &done, "it is set-user-ID");
    assert!(done.stderr.contains("hint: sudo underpass "), "{done}");
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // To their owner they are like any other.
    let done = carried(&world, "su").arg("--version").run();
    assert!(done.stdout.starts_with("su from util-linux"), "{done}");
}

/// Only root can give them; what root gives in a world of its own is no capability outside.
#[test]
fn programs_with_capabilities_of_their_own() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let world = World::new();
    let program = built(&world, PROGRAM, "gcc", &[]).display().to_string();
    world.client("setcap").args(["cap_net_raw+ep", &program]).run().success();
    world.client("chmod").args(["711", "."]).run().success();
    refused(&world, &as_ordinary_user(&world, &[&program]), "it has file capabilities");
    assert_eq!(carried(&world, &program).run().code(), 0, "root has them all anyway");
    assert!(world.directory().join("it-ran").exists());
}

#[test]
fn what_may_be_executed_and_not_read() {
    let world = World::new();
    let program = built(&world, PROGRAM, "gcc", &[]).display().to_string();
    world.client("chmod").args(["711", ".", &program]).run().success();
    if !rustix::process::geteuid().is_root() {
        // It belongs to the only user there is, who may read it as root of the world.
        return;
    }
    refused(&world, &as_ordinary_user(&world, &[&program]), "it may not be read");
}

#[test]
fn what_is_not_there_or_no_program() {
    let world = World::new();
    failed(&carried(&world, "no-such-program").run(), 127, "no-such-program: command not found");
    failed(&carried(&world, "./none").run(), 127, "./none: command not found");
    failed(&carried(&world, "").run(), 127, "command not found");
    failed(&carried(&world, "/etc").run(), 126, "/etc: cannot be executed: is a directory");
    failed(&carried(&world, "/etc/hosts").run(), 126, "/etc/hosts: cannot be executed: permission denied");
    let script = world.directory().join("script");
    std::fs::write(&script, "#!/no/such/interpreter\n").expect("the directory is ours");
    world.client("chmod").args(["755", "script"]).run().success();
    failed(&carried(&world, &script).run(), 127, "its interpreter /no/such/interpreter: no such file");
    nothing_happened(&world);
}

/// Of a program of this machine Go's note is made, and its section headers are taken away: a program of Go that libc loads.
#[test]
fn a_program_of_go_without_section_headers() {
    let world = World::new();
    let program = built(&world, PROGRAM, "gcc", &["-Wl,--build-id"]);
    let mut bytes = std::fs::read(&program).expect("it is built");
    for field in [40..48, 58..64] {
        bytes[field].fill(0);
    }
    let note = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";
    let at = bytes.windows(note.len()).position(|window| window == note).expect("it has a build ID");
    bytes[at + 8] = 4;
    bytes[at + 12..at + 16].copy_from_slice(b"Go\0\0");
    std::fs::write(&program, bytes).expect("the directory is ours");
    refused_by_hook(&world, &program, &[], "it is a Go program");
    // A hooked program starts it.
    let line = ["-x", "local:", "--tier", "hook", "--", "nice", "./program"];
    let done = world.client(artifacts::underpass()).args(line).run();
    failed(&done, 126, "program: cannot be carried: it is a Go program");
    assert!(!world.directory().join("it-ran").exists(), "{done}");
}

/// A hooked program starts them, by name or by descriptor: refused as at launch.
#[test]
fn what_a_carried_program_starts() {
    let world = World::new();
    let hook = |line: &[&str]| {
        let options = ["-x", "local:", "--tier", "hook", "--"];
        world.client(artifacts::underpass()).args(options).args(line).run()
    };
    let done = hook(&["bash", "-c", "busybox true; echo $?; /bin/true; echo $?"]);
    assert_eq!(done.stdout, "126\n0\n", "{done}");
    assert!(done.stderr.contains("busybox: cannot be carried: it is statically linked"), "{done}");
    assert!(done.stderr.contains("--tier guard or auto"), "{done}");
    // Where PATH has something of that name before it.
    world.client("mkdir").args(["-p", "before/busybox"]).run().success();
    let done = hook(&["env", "PATH=before:/bin", "nice", "busybox", "echo", "it ran"]);
    failed(&done, 126, "/bin/busybox: cannot be carried: it is statically linked");
    let by_descriptor = "import os, sys\nos.execve(os.open(sys.argv[1], 0), ['echo', 'it ran'], {})";
    let started = |file| hook(&["/usr/bin/python3", "-c", by_descriptor, file]);
    assert_eq!(started("/bin/echo").success(), "it ran\n");
    failed(&started("/bin/busybox"), 126, "/usr/bin/busybox: cannot be carried: it is statically linked");
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}
