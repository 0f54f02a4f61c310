//! Whether a signal waits for a thread that waits for us: it is handled when the call goes on in the kernel.

use rustix::process::Pid;

/// Whether one is pending that the thread does not block. One that ends the process needs no help of ours, and one that
/// is ignored is never pending.
pub(crate) fn has_signal(thread: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", thread.as_raw_nonzero()));
    status.is_ok_and(|status| is_signalled(&status))
}

/// proc(5): sets of signals are in hexadecimal; the thread's own pending ones and the process's.
fn is_signalled(status: &str) -> bool {
    let set = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.and_then(|value| u64::from_str_radix(value.trim(), 16).ok()).unwrap_or(0)
    };
    (set("SigPnd") | set("ShdPnd")) & !set("SigBlk") != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pending_and_not_blocked_counts() {
        let status = |own, shared, blocked| {
            format!(
                "Name:\tx\nSigQ:\t1/9\nSigPnd:\t{own}\nShdPnd:\t{shared}\nSigBlk:\t{blocked}\nSigIgn:\t0\n"
            )
        };
        assert!(is_signalled(&status("0000000000002000", "0", "0")));
        assert!(is_signalled(&status("0", "0000000000002000", "0000000000000001")));
        assert!(!is_signalled(&status("0", "0000000000002000", "0000000000002000")));
        assert!(!is_signalled(&status("0", "0", "0")) && !is_signalled(""));
    }

    #[test]
    fn no_signal_waits_for_this_thread() {
        assert!(!has_signal(rustix::process::getpid()));
    }
}
