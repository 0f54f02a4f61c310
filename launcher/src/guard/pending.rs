//! Whether a signal waits for a thread that waits for us: it is handled when the call goes on in the kernel.

use rustix::process::Pid;

use super::numbers::{in_proc, number_in_proc};

/// Whether one is pending that the thread does not block. One that ends the process needs no help of ours, and one that
/// is ignored is never pending.
pub(crate) fn has_signal(thread: Pid) -> bool {
    let status = std::fs::read_to_string(in_proc(thread) + "/status");
    status.is_ok_and(|status| is_signalled(&status))
}

/// Whether it is this thread that the kernel will have handle one as soon as its call ends ([`super::notification::Answer::Restart`]).
///
/// What is for the whole process the kernel has given to one thread, to the first rather than to others: another has woken to
/// take it, and so is seen running, or waits for us as well. While one is seen so, it is not known whose it is.
pub(crate) fn handles_signal(thread: Pid) -> bool {
    let number = number_in_proc(thread);
    let tasks = format!("/proc/{number}/task");
    let status = |task: &str| std::fs::read_to_string(format!("{tasks}/{task}/status")).unwrap_or_default();
    let own = number.to_string();
    match whose(&status(&own)) {
        Whose::Nobodys => false,
        Whose::Its => true,
        Whose::TheProcess if field(&status(&own), "Tgid") != Some(&own) => false,
        Whose::TheProcess => {
            let others = std::fs::read_dir(&tasks).into_iter().flatten().flatten();
            let mut others = others.filter_map(|other| other.file_name().into_string().ok());
            !others.any(|other| other != own && is_awake(&status(&other)))
        }
    }
}

/// Who is to handle a signal that is pending and that the thread does not block.
#[derive(Debug, PartialEq, Eq)]
enum Whose {
    Nobodys,
    Its,
    TheProcess,
}

fn whose(status: &str) -> Whose {
    let blocked = set(status, "SigBlk");
    if set(status, "SigPnd") & !blocked != 0 {
        Whose::Its
    } else if set(status, "ShdPnd") & !blocked != 0 {
        Whose::TheProcess
    } else {
        Whose::Nobodys
    }
}

fn is_signalled(status: &str) -> bool {
    whose(status) != Whose::Nobodys
}

/// Runs, or waits as for us.
fn is_awake(status: &str) -> bool {
    field(status, "State").is_some_and(|state| state.starts_with(['R', 'D']))
}

/// proc(5): sets of signals are in hexadecimal; the thread's own pending ones and the process's.
fn set(status: &str, name: &str) -> u64 {
    field(status, name).and_then(|value| u64::from_str_radix(value, 16).ok()).unwrap_or(0)
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
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
        let first = rustix::process::getpid();
        assert!(!has_signal(first) && !handles_signal(first));
    }

    #[test]
    fn a_threads_own_signal_comes_before_the_processes() {
        let status = |own, shared| format!("SigPnd:\t{own}\nShdPnd:\t{shared}\nSigBlk:\t0000000000000004\n");
        assert_eq!(whose(&status("2000", "2000")), Whose::Its);
        assert_eq!(whose(&status("4", "2000")), Whose::TheProcess);
        assert_eq!(whose(&status("4", "4")), Whose::Nobodys);
    }

    #[test]
    fn who_runs_may_have_taken_it() {
        for (state, awake) in
            [("R (running)", true), ("D (disk sleep)", true), ("S (sleeping)", false), ("T (stopped)", false)]
        {
            assert_eq!(is_awake(&format!("Name:\tx\nState:\t{state}\n")), awake, "{state}");
        }
    }
}
