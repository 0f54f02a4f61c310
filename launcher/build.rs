//! Links the launcher statically where this machine has the libraries for it: it is executed for every
//! program, and a program without a dynamic loader is there a tenth of the time sooner
//! (docs/performance.md).
//!
//! Cargo knows `crt-static` for a whole build only, and the preload library must be dynamic. So the
//! linker is told `-static-pie`, and finds, under the names of the shared libraries that rustc asks for,
//! linker scripts that name the archives. Without `libc.a` the launcher is dynamic, as any other program, and so it
//! is for another machine than this one, whose archives `cc` does not have. With musl rustc links statically by itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CC");
    let gnu = env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu");
    if !gnu || env::var("HOST") != env::var("TARGET") {
        return;
    }
    let (Some(libc), Some(gcc), Some(unwinder)) =
        (archive("libc.a"), archive("libgcc.a"), archive("libgcc_eh.a"))
    else {
        return;
    };
    let Some(folder) = env::var_os("OUT_DIR").map(PathBuf::from) else { return };
    // They need one another. Since glibc 2.34 the rest is part of libc.
    let all = format!("GROUP({} {} {})\n", unwinder.display(), gcc.display(), libc.display());
    for name in ["c", "gcc_s", "util", "rt", "pthread", "m", "dl"] {
        if let Err(error) = fs::write(folder.join(format!("lib{name}.so")), &all) {
            println!("cargo:warning=lib{name}.so: {error}: the launcher is not linked statically");
            return;
        }
    }
    println!("cargo:rustc-link-arg-bins=-L{}", folder.display());
    println!("cargo:rustc-link-arg-bins=-static-pie");
}

/// Where the C compiler's linker would find it.
fn archive(name: &str) -> Option<PathBuf> {
    let cc = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let found = Command::new(cc).arg(format!("-print-file-name={name}")).output().ok()?;
    let path = String::from_utf8(found.stdout).ok()?;
    // A name without a folder is gcc's way to say that it has none.
    Some(PathBuf::from(path.trim())).filter(|path| Path::is_absolute(path))
}
