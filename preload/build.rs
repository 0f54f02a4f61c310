//! Links the unwinder statically: one library less to load in every program that is started.
//!
//! `libgcc_eh.a` is what gcc's own `-static-libgcc` uses. Its symbols stay local to what is built here.
//! Where it is not to be had, `libgcc_s.so.1` is loaded as usual.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let Ok(found) = Command::new(cc).arg("-print-file-name=libgcc_eh.a").output() else { return };
    let path = String::from_utf8_lossy(&found.stdout);
    // A name without a folder is gcc's way to say that it has none.
    if let Some(folder) = Path::new(path.trim()).parent().filter(|folder| folder.is_absolute()) {
        println!("cargo:rustc-link-search=native={}", folder.display());
        println!("cargo:rustc-link-lib=static:+whole-archive=gcc_eh");
    }
}
