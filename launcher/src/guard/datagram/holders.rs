//! What processes run, and who has a socket, as /proc has it.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

use crate::guard::numbers::in_proc;

/// The file that a process runs, by the number of any of its threads.
pub(super) fn program_of(process: u32) -> Option<PathBuf> {
    let thread = Pid::from_raw(i32::try_from(process).ok()?)?;
    fs::read_link(in_proc(thread) + "/exe").ok()
}

/// A process that has the socket, and what it runs; one that runs this file, if there is one.
pub(super) fn holder(inode: u32, program: Option<&Path>) -> Option<(u32, PathBuf)> {
    let socket = PathBuf::from(format!("socket:[{inode}]"));
    // The supervisor and its helper have it until it is the program's.
    let ours = fs::read_link("/proc/self/exe").ok();
    let mut found = None;
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(number) = number else { continue };
        let process = entry.path();
        let Ok(runs) = fs::read_link(process.join("exe")) else { continue };
        if Some(&runs) == ours.as_ref() || !has(&process, &socket) {
            continue;
        }
        if program == Some(&runs) {
            return Some((number, runs));
        }
        found.get_or_insert((number, runs));
    }
    found
}

fn has(process: &Path, socket: &Path) -> bool {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return false };
    descriptors.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|link| link == socket))
}
