//! The process namespace that we are in (pid_namespaces(7)), and whose numbers /proc shows.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// Inode of the machine's own (linux/proc_ns.h, `PROC_PID_INIT_INO`).
const OF_THE_MACHINE: u64 = 0xefff_fffc;

/// The inode of `/proc/self/ns/pid`; `None` in the machine's own namespace, and where it cannot be told.
pub fn namespace() -> Option<u64> {
    let namespace = fs::metadata("/proc/self/ns/pid").ok()?.ino();
    (namespace != OF_THE_MACHINE).then_some(namespace)
}

/// Whether /proc has processes under the numbers that we know them by. A sandbox may have been left that of a namespace
/// around it (`unshare -p -f`, bwrap without `--proc`), where the same numbers are others'.
pub fn are_numbered_as_here() -> bool {
    own_number() == Some(std::process::id())
}

/// By which number /proc has this process.
pub fn own_number() -> Option<u32> {
    fs::read_link("/proc/self").ok()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_in_proc_under_its_own_number() {
        assert!(are_numbered_as_here());
        let link = fs::read_link("/proc/self/ns/pid").unwrap();
        assert_eq!(namespace().is_none(), link.to_str() == Some("pid:[4026531836]"));
    }
}
