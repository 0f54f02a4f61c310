//! Whether a program makes a sandbox of its own, as far as its file and its folder show. It decides nothing: what is in the
//! sandbox is carried or not by the same rules (docs/limits.md).

use std::fs::File;
use std::path::Path;

use super::elf;

/// What makes namespaces (namespaces(7)), and libseccomp's filter.
const CALLS: [&str; 4] = ["unshare", "setns", "pivot_root", "seccomp_load"];
/// What lies beside Chromium, Electron and Firefox, which import nothing that tells.
const HELPERS: [&str; 3] = ["chrome-sandbox", "chrome_crashpad_handler", "libmozsandbox.so"];

/// What shows one.
pub(crate) fn signs(path: &Path) -> Vec<&'static str> {
    let calls = File::open(path).map(|file| elf::imports(&file, &CALLS)).unwrap_or_default();
    let is_beside = |helper: &&str| path.with_file_name(helper).exists();
    calls.into_iter().chain(HELPERS.into_iter().filter(is_beside)).collect()
}
