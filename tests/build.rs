//! A static Rust program, for the tests: cargo knows `crt-static` for a whole build only, and who runs the tests may
//! have no compiler.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=programs/carried.rs");
    let variable = |name: &str| env::var_os(name).expect("cargo sets it");
    let mut compiler = Command::new(variable("RUSTC"));
    // For another machine cargo has been told of a linker.
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = OsString::from("-Clinker=");
        option.push(linker);
        compiler.arg(option);
    }
    let status = compiler
        .args(["--edition=2024", "-O", "-C", "target-feature=+crt-static", "--target"])
        .arg(variable("TARGET"))
        .arg("-o")
        .arg(PathBuf::from(variable("OUT_DIR")).join("carried-static"))
        .arg("programs/carried.rs")
        .status()
        .expect("rustc is there where cargo is");
    assert!(status.success(), "programs/carried.rs does not build");
}
