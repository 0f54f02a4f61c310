//! Where /proc has a process or a thread: under its number, as a rule. A sandbox may have been left the /proc of a namespace
//! around it (`unshare -p -f`, bwrap without `--proc`), where it has another number, which a descriptor of it tells.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::OnceLock;

use rustix::io::Errno;
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

/// A descriptor for a thread's process. Before Linux 6.9 only the first thread of a process has one (pidfd_open(2)), and it is that
/// one's that is found, by /proc. What is read of a thread by number holds if its call still waits afterwards.
pub(crate) fn process_of(thread: Pid) -> Result<OwnedFd, Errno> {
    kernel::process_of(thread).or_else(|error| kernel::process_of(leader(thread).ok_or(error)?))
}

/// The first thread of the process of this one, if /proc has our numbers.
fn leader(thread: Pid) -> Option<Pid> {
    let status = fs::read_to_string(in_proc(thread) + "/status").ok()?;
    let number = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    Pid::from_raw(number.trim().parse().ok()?)
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

    #[test]
    fn a_thread_has_the_leader_of_its_process() {
        let own = rustix::process::getpid();
        let found =
            std::thread::spawn(move || (rustix::thread::gettid() != own, leader(rustix::thread::gettid())));
        assert_eq!(found.join().unwrap(), (true, Some(own)));
        assert_eq!(leader(own), Some(own));
    }
}
