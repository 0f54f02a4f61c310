//! Whether a process is stopped now (signal(7), job control). What was told of it may be old by the time that it is read: it may
//! run again, by a SIGCONT that its whole process group has had.

use std::fs;

use rustix::process::Pid;

use super::numbers::in_proc;

/// Of one that is not there: no.
pub(crate) fn is_stopped(process: Pid) -> bool {
    let line = fs::read(in_proc(process) + "/stat").unwrap_or_default();
    state(&line) == Some(b'T')
}

/// Behind the program's name (proc_pid_stat(5)), which may hold anything.
fn state(line: &[u8]) -> Option<u8> {
    let end = line.iter().rposition(|&byte| byte == b')')?;
    line.get(end + 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_stands_behind_the_name() {
        assert_eq!(state(b"7 (a) T (b) S 1 7"), Some(b'S'));
        assert_eq!(state(b"7 (cat) T 1 7"), Some(b'T'));
        assert_eq!(state(b""), None);
    }

    #[test]
    fn who_asks_is_not_stopped() {
        assert!(!is_stopped(rustix::process::getpid()));
    }
}
