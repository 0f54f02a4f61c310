//! What the command lines of the cases name.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use underpass_tests::{World, artifacts};

/// Libraries are found beside the program, where the program itself loads them (`DT_RUNPATH`).
const BY_ITS_FOLDER: [&str; 2] = ["-Wl,-rpath,$ORIGIN", "-Wl,--enable-new-dtags"];

/// The programs, built once: the word and the file.
fn programs() -> &'static [(&'static str, PathBuf)] {
    static PROGRAMS: OnceLock<Vec<(&'static str, PathBuf)>> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let c = |name: &str| artifacts::compiled(name, name, &["-lresolv"]);
        let library = |output: &str, more: &[&str]| {
            artifacts::compiled("leak_library", output, &[&["-shared", "-fPIC"], more].concat())
        };
        vec![
            ("plain", c("leak_plain")),
            ("start", c("leak_start")),
            ("stream", c("leak_stream")),
            ("beside", artifacts::compiled("leak_beside", "leak_beside-beside", &BY_ITS_FOLDER)),
            ("datagram", c("leak_datagram")),
            ("name", c("leak_name")),
            ("staticname", artifacts::compiled("leak_name", "leak_name-static", &["-static", "-lresolv"])),
            ("given", c("leak_given")),
            ("static", artifacts::compiled("leak_plain", "leak_plain-static", &["-static"])),
            ("32", built_apart("gcc", "leak_32", &["-m32", "-nostdlib", "-ffreestanding", "-static"])),
            ("musl", built_apart("musl-gcc", "leak_plain", &[])),
            ("module", library("libnss_leak.so.2", &[])),
            ("second", library("leak_second.so", &["-DSECOND"])),
            ("symbolic", library("leak_symbolic.so", &["-DSYMBOLIC", "-Wl,-Bsymbolic"])),
        ]
    })
}

/// By another compiler, or for another machine.
fn built_apart(compiler: &str, name: &str, options: &[&str]) -> PathBuf {
    let plain = artifacts::program("leak_plain");
    let output = plain.with_file_name(format!("{name}-{compiler}"));
    let fresh = output.with_extension(format!("{}.new", std::process::id()));
    let source = artifacts::workspace().join(format!("tests/programs/{name}.c"));
    let done = Command::new(compiler)
        .args(["-std=gnu17", "-O1", "-o"])
        .arg(&fresh)
        .arg(source)
        .args(options)
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
    std::fs::rename(&fresh, &output).expect("the target directory is writable");
    output
}

/// Makes the files that a command line names in a world's directory; its words with the names filled in.
pub(crate) fn words(world: &World, line: &str, wrapper: &[String]) -> Vec<String> {
    let front = if line.contains("{wrapper}") { &[][..] } else { wrapper };
    let words = line.split(' ').flat_map(|word| match word {
        "{wrapper}" => wrapper.to_vec(),
        word => vec![filled(world, word)],
    });
    front.iter().cloned().chain(words).collect()
}

fn filled(world: &World, word: &str) -> String {
    let directory = world.directory();
    let mut text = word.replace("{dir}", &directory.display().to_string());
    for (name, path) in programs() {
        text = text.replace(&format!("{{{name}}}"), &path.display().to_string());
    }
    let Some((before, rest)) = text.split_once('{') else { return text };
    let (name, after) = rest.split_once('}').expect("a brace is closed");
    let path = directory.join(name);
    if !path.exists() {
        make(name, &path);
    }
    format!("{before}{}{after}", path.display())
}

fn path_of(program: &str) -> &'static Path {
    let found = programs().iter().find(|(name, _)| *name == program);
    &found.expect("it is one of them").1
}

fn make(name: &str, path: &Path) {
    let script = match name {
        // A shell stays, so that it is the shell that starts the program.
        "script" => "\"$@\"; exit $?\n",
        "unset" => "unset LD_PRELOAD UNDERPASS_SESSION; \"$@\"; exit $?\n",
        "preloads" => "one=$1; shift; LD_PRELOAD=$one:$LD_PRELOAD \"$@\"; exit $?\n",
        "subprocess" => "import subprocess, sys\nsys.exit(subprocess.call(sys.argv[1:], env={}))\n",
        "ctypes" => {
            "import ctypes, socket, struct\nlibc = ctypes.CDLL('libc.so.6', use_errno=True)\n\
             s = socket.socket()\nto = struct.pack('=HHL8x', 2, socket.htons(7007), socket.htonl(0x0a630001))\n\
             if libc.connect(s.fileno(), to, 16) == 0:\n    s.sendall(b'word')\n    s.recv(4) == b'word' and print('through')\n"
        }
        "busyscript" => "#!/bin/busybox sh\nbusybox wget -q -O - http://10.99.0.1:8088/page\n",
        "setuid" => return set_user_id(path),
        "root" => return root(path),
        _ => panic!("{{{name}}} is not known"),
    };
    std::fs::write(path, script).expect("the directory is ours");
    mode(path, 0o755);
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
}

/// A program of another user.
fn set_user_id(path: &Path) {
    std::fs::copy(path_of("plain"), path).expect("the directory is ours");
    if std::os::unix::fs::chown(path, Some(4321), Some(4321)).is_ok() {
        mode(path, 0o4755);
    }
}

/// A root of its own, with a libc, and without the wrapper's library.
fn root(path: &Path) {
    std::fs::create_dir(path).expect("the directory is ours");
    std::fs::copy(path_of("plain"), path.join("plain")).expect("the directory is ours");
    let listed = Command::new("ldd").arg(path_of("plain")).output().expect("ldd is part of libc");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for library in listed.split_whitespace().filter(|word| word.starts_with('/')) {
        let copy = path.join(library.trim_start_matches('/'));
        std::fs::create_dir_all(copy.parent().expect("it has one")).expect("the directory is ours");
        std::fs::copy(library, copy).expect("libc is readable");
    }
}
