//! A program while it runs: its lines as they come, its signals, its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::command::{DEFAULT_LIMIT, Finished};
use crate::namespaces::{children, processes, signal_if};
use crate::patience::{PATIENCE, wait};

/// A program that was started. Dropping it kills it.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    complaints: Receiver<String>,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    line: String,
    start: Instant,
    limit: Duration,
    ended: bool,
}

impl Running {
    pub(crate) fn new(mut child: Child, line: String, limit: Duration) -> Self {
        let (sender, lines) = channel();
        let stdout = read_lines(child.stdout.take().expect("it is a pipe"), sender);
        let (sender, complaints) = channel();
        let stderr = read_lines(child.stderr.take().expect("it is a pipe"), sender);
        let stdin = child.stdin.take();
        let start = Instant::now();
        Self { child, stdin, lines, complaints, stdout, stderr, line, start, limit, ended: false }
    }

    /// Writes one line to the program.
    pub fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("the input is open");
        // In one piece: a program may have read the first, and ended, before the next is written.
        let line = format!("{line}\n");
        stdin.write_all(line.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", self.line));
    }

    pub(crate) fn take_input(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// Closes the program's input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// The next line that the program writes; a panic when there is none within the limit.
    pub fn next_line(&mut self) -> String {
        let left = self.limit.saturating_sub(self.start.elapsed());
        let line = self.lines.recv_timeout(left.min(DEFAULT_LIMIT));
        line.unwrap_or_else(|_| {
            kill_group(&mut self.child);
            panic!("{} wrote no further line:\n{}", self.line, text(&bytes(&self.stderr)))
        })
    }

    /// The next line that the program wrote, if there is one already.
    pub fn try_line(&mut self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    /// The next line of the program's stderr, if there is one already.
    pub fn try_complaint(&mut self) -> Option<String> {
        self.complaints.try_recv().ok()
    }

    /// Lets the program run, its input closed, until its world ends.
    pub fn detach(mut self) {
        self.ended = true;
    }

    /// The program's process id in the test's own namespace.
    pub fn pid(&self) -> u32 {
        let limit = Instant::now() + PATIENCE;
        loop {
            // nsenter, then `env`, which becomes the program.
            match children(self.child.id()).next() {
                Some(pid) => return pid,
                None => assert!(Instant::now() < limit, "{} has not started", self.line),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// How much memory the program has, in KiB.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has a size");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(pid(self.pid()), signal);
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_some()
    }

    /// Waits for the end of one that leaves its output to another; its status.
    pub fn succeeded(mut self) -> Option<i32> {
        wait("it ends", || self.has_ended());
        self.ended = true;
        self.child.wait().expect("it is our child").code()
    }

    /// Ends it now, if it has not ended by itself.
    pub fn end(mut self) -> Finished {
        self.limit = Duration::ZERO;
        self.wait_or_kill()
    }

    /// Waits for the end; the limit counts from the start.
    pub fn wait(self) -> Finished {
        let limit = self.limit;
        let done = self.wait_or_kill();
        assert!(!done.killed, "did not end within {limit:?}: {done}");
        done
    }

    /// Waits for the end, or kills it at its limit and says so ([`Finished::killed`]).
    pub fn wait_or_kill(mut self) -> Finished {
        self.stdin = None;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break Some(status);
            }
            if self.start.elapsed() > self.limit {
                break None;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let elapsed = self.start.elapsed();
        if status.is_none() {
            kill_group(&mut self.child);
        }
        self.ended = true;
        let reaped = self.child.wait().expect("it is our child");
        let (stdout, stderr) = (bytes(&self.stdout), bytes(&self.stderr));
        let line = std::mem::take(&mut self.line);
        Finished {
            killed: status.is_none(),
            status: reaped,
            stderr: text(&stderr),
            stdout: text(&stdout),
            bytes: stdout,
            elapsed,
            line,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            kill_group(&mut self.child);
            let _ = self.child.wait();
        }
    }
}

/// How long a pipe may stay open after the program's end: longer only if the program left
/// something behind that holds it.
const PIPE_LIMIT: Duration = Duration::from_secs(20);

fn bytes(pipe: &Receiver<Vec<u8>>) -> Vec<u8> {
    pipe.recv_timeout(PIPE_LIMIT).unwrap_or_else(|_| b"(the pipe is still open)".to_vec())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Hands over each line as it comes, and all of them at the end.
fn read_lines(pipe: impl Read + Send + 'static, lines: Sender<String>) -> Receiver<Vec<u8>> {
    let (sender, all) = channel();
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut read = Vec::new();
        loop {
            let before = read.len();
            match pipe.read_until(b'\n', &mut read) {
                Ok(1..) => drop(lines.send(text(&read[before..]).trim_end().to_owned())),
                _ => break,
            }
        }
        let _ = sender.send(read);
    });
    all
}

/// Kills the program's process group, and waits until nsenter, the group's leader, has reaped the
/// program: an orphan would be left to the machine's init, and the world cannot end before it is
/// reaped. nsenter stops with a program that was stopped, and would not see its end.
fn kill_group(child: &mut Child) {
    // Once it was reaped, its number may be another's.
    if matches!(child.try_wait(), Ok(Some(_))) {
        return;
    }
    let child = &*child;
    let in_group = |pid: u32| {
        // Fields 3 to 5, after the name in brackets: state, parent, process group.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        fields.split(' ').nth(2) == Some(&child.id().to_string()) && pid != child.id()
    };
    // nsenter stops with a program that is stopped, and would not reap it.
    let _ = kill_process(pid(child.id()), Signal::CONT);
    // Each round catches what was forked during the one before.
    let limit = Instant::now() + PATIENCE;
    while Instant::now() < limit {
        let mut members = processes().filter(|pid| in_group(*pid)).peekable();
        if members.peek().is_none() {
            break;
        }
        for member in members {
            signal_if(member, Signal::KILL, in_group);
        }
        let _ = kill_process(pid(child.id()), Signal::CONT);
        std::thread::sleep(Duration::from_millis(1));
    }
    // It has reaped the program, or not even started it.
    let _ = kill_process_group(pid(child.id()), Signal::KILL);
}

fn pid(pid: u32) -> Pid {
    i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id")
}
