//! A static Rust program, for the tests: cargo knows `crt-static` for a whole build only, and who runs the tests may
//! have no compiler.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=programs/carried.rs");
    let variable = |name: &str| env::var_os(name).expect("cargo sets it");
    let status = Command::new(variable("RUSTC"))
        .args(["--edition=2024", "-O", "-C", "target-feature=+crt-static", "--target"])
        .arg(variable("TARGET"))
        .arg("-o")
        .arg(PathBuf::from(variable("OUT_DIR")).join("carried-static"))
        .arg("programs/carried.rs")
        .status()
        .expect("rustc is there where cargo is");
    assert!(status.success(), "programs/carried.rs does not build");
}
