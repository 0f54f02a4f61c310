//! The programs under test, built by the tests themselves: a library that happens to lie in
//! `target/` is never trusted.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

/// Takes prebuilt programs from this directory instead of building them.
const PREBUILT: &str = "UNDERPASS_TEST_BIN";

/// The launcher.
pub fn underpass() -> PathBuf {
    product().join("underpass")
}

/// The agent.
pub fn agent() -> PathBuf {
    product().join("underpass-agent")
}

/// The preload library.
pub fn library() -> PathBuf {
    product().join("libunderpass.so")
}

/// What makes packages of them, and the folder that they are in.
pub fn packager() -> (PathBuf, PathBuf) {
    let programs = product().to_path_buf();
    // It reads the project's files and stays with the tests, whoever runs them.
    (helper("underpass-package"), programs)
}

/// The directory that holds the three of them, built at the first call.
fn product() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        if let Some(directory) = std::env::var_os(PREBUILT) {
            return PathBuf::from(directory).canonicalize().expect("UNDERPASS_TEST_BIN is no directory");
        }
        let target = target_directory();
        let mut cargo = Command::new(env!("CARGO"));
        // What cargo tells this test of itself, build scripts would take for what it tells them, and run again.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(is_told_by_cargo) {
                cargo.env_remove(name);
            }
        }
        let status = cargo
            .args(["build", "--release", "--quiet", "--manifest-path"])
            .arg(workspace().join("Cargo.toml"))
            // With the features that the tests are built with: another set would build all that is below once more.
            .args(["--workspace", "--target-dir"])
            .arg(&target)
            .status()
            .expect("cargo does not start");
        assert!(status.success(), "the product does not build");
        target.join("release")
    })
}

/// Variables of one package, and not of its user's.
fn is_told_by_cargo(name: &str) -> bool {
    let of_a_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CFG_", "CARGO_FEATURE_", "CARGO_BIN_EXE_"];
    name == "OUT_DIR" || of_a_package.iter().any(|start| name.starts_with(start))
}

/// The root of the repository. Cargo names this crate's directory to a test that it runs; a copy of
/// the tests that another user runs may be told of another one (`.ci/run`).
pub fn workspace() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let crate_directory =
            std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
        Path::new(&crate_directory).parent().expect("the tests lie in the workspace").to_path_buf()
    })
}

/// The text of a file of the repository.
#[track_caller]
pub fn text(path: &str) -> String {
    let whole = workspace().join(path);
    std::fs::read_to_string(&whole).unwrap_or_else(|error| panic!("{}: {error}", whole.display()))
}

/// Cargo's target directory: a test is `TARGET/PROFILE/deps/NAME`.
fn target_directory() -> PathBuf {
    profile_directory().parent().expect("a profile lies in the target directory").to_path_buf()
}

fn profile_directory() -> PathBuf {
    let test = std::env::current_exe().expect("/proc is mounted");
    let directory = test.parent().expect("a file has a directory");
    if directory.ends_with("deps") { directory.parent().unwrap_or(directory) } else { directory }
        .to_path_buf()
}

/// A helper program of this crate (`src/bin/NAME.rs`), which cargo builds with the tests.
pub fn helper(name: &str) -> PathBuf {
    let path = profile_directory().join(name);
    assert!(path.exists(), "{} is missing: run the tests by cargo", path.display());
    path
}

/// `programs/NAME.c`, compiled; kept in the target directory until it or `programs/*.h` changes.
pub fn program(name: &str) -> PathBuf {
    compiled(name, name, &[])
}

/// `programs/NAME.c` as a shared library.
pub fn shared_library(name: &str) -> PathBuf {
    compiled(name, &format!("{name}.so"), &["-shared", "-fPIC"])
}

/// `programs/NAME.c` compiled to `output` with more arguments, for example `-static`.
pub fn compiled(name: &str, output: &str, arguments: &[&str]) -> PathBuf {
    compiled_by("gcc", name, output, arguments)
}

/// The same by another compiler, for example `musl-gcc`.
pub fn compiled_by(compiler: &str, name: &str, output: &str, arguments: &[&str]) -> PathBuf {
    // One compiler at a time: two tests may want the same program.
    static COMPILER: Mutex<()> = Mutex::new(());
    let _one = COMPILER.lock().unwrap_or_else(|poisoned| poisoned.into_inner());

    let programs = workspace().join("tests/programs");
    let source = programs.join(format!("{name}.c"));
    let directory = target_directory().join("programs");
    let output = directory.join(output);
    std::fs::create_dir_all(&directory).expect("the target directory is writable");

    let changed = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
    let headers = std::fs::read_dir(&programs)
        .expect("programs/ is readable")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "h"));
    let newest = headers.chain([source.clone()]).filter_map(|path| changed(&path)).max();
    if changed(&output) < newest {
        // Written beside and renamed, since other test programs may run the old one.
        let fresh = output.with_extension(format!("{}.new", std::process::id()));
        let done = Command::new(compiler)
            .args(["-std=gnu17", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
            .arg(&fresh)
            .arg(&source)
            .args(arguments)
            .args(["-ldl"])
            .output()
            .unwrap_or_else(|error| panic!("{compiler} is needed (bash tests/run --install): {error}"));
        assert!(done.status.success(), "{name}.c:\n{}", String::from_utf8_lossy(&done.stderr));
        std::fs::rename(&fresh, &output).expect("the target directory is writable");
    }
    output
}
