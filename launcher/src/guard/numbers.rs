//! Where /proc has a process or a thread: under its number, as a rule. A sandbox may have been left the /proc of a namespace
//! around it (`unshare -p -f`, bwrap without `--proc`), where it has another number, which a descriptor of it tells.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::OnceLock;

use rustix::process::Pid;
use underpass_core::processes;

use crate::kernel;

/// Its number in the /proc that we see; 0, which none has, where there is none.
pub(crate) fn number_in_proc(thread: Pid) -> u32 {
    static NUMBERED_AS_HERE: OnceLock<bool> = OnceLock::new();
    if *NUMBERED_AS_HERE.get_or_init(processes::are_numbered_as_here) {
        return thread.as_raw_nonzero().get().unsigned_abs();
    }
    kernel::process_of(thread).ok().and_then(|pidfd| told_by(&pidfd)).unwrap_or(0)
}

/// Its directory there.
pub(crate) fn in_proc(thread: Pid) -> String {
    format!("/proc/{}", number_in_proc(thread))
}

/// pidfd_open(2), proc_pid_fdinfo(5): the number in the namespace of the /proc that is read. 0 and -1 are none.
fn told_by(pidfd: &OwnedFd) -> Option<u32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let number = info.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    number.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_tells_the_number_that_proc_has() {
        let own = rustix::process::getpid();
        let pidfd = kernel::process_of(own).unwrap();
        assert_eq!(told_by(&pidfd), Some(number_in_proc(own)));
        assert_eq!(in_proc(own), fs::canonicalize("/proc/self").unwrap().to_str().unwrap());
    }
}
