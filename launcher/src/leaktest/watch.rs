//! The launcher while the program runs: passes signals on, stops and ends as the program does, and counts.

use std::os::fd::OwnedFd;
use std::process::Child;
use std::time::{Duration, Instant};

use libc::{
    SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH, c_int,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};

use super::door::Door;
use super::packet::{Packet, To};
use super::tally::Tally;
use super::{owner, setup};
use crate::guard::is_stopped;
use crate::kernel::{self, Signals};
use crate::messages::{CANNOT_EXECUTE, Failure, Verbosity, note, tell};

/// What is passed on, and the end of children.
const SIGNALS: [c_int; 11] =
    [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGCONT, SIGTSTP, SIGCHLD];

/// How long what the program has left behind, and our own processes, may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// No frame is longer.
const MAX_FRAME: usize = 65_536 + 64;

struct Watch {
    program: Pid,
    network: u64,
    taps: [OwnedFd; 2],
    signals: OwnedFd,
    door: Door,
    tally: Tally,
}

/// To the program's end; the exit status.
pub(super) fn watch(
    program: Pid,
    network: u64,
    taps: [OwnedFd; 2],
    door: Door,
    verbosity: Verbosity,
) -> Result<u8, Failure> {
    // What the program leaves behind is ours to end.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| setup("subreaper", error))?;
    let signals = Signals::of(&SIGNALS).descriptor().map_err(|error| setup("signalfd", error))?;
    let mut watch = Watch { program, network, taps, signals, door, tally: Tally::default() };
    let status = watch.run()?;
    watch.end_what_is_left();
    watch.drain();
    let Watch { door, tally, .. } = watch;
    reap(door.close());
    if verbosity > Verbosity::Quiet || !tally.is_empty() {
        tell(&tally.report());
    }
    if !tally.is_empty() {
        return Ok(CANNOT_EXECUTE);
    }
    Ok(match status.terminating_signal() {
        Some(signal) => {
            kernel::raise(signal);
            128 + signal as u8
        }
        None => status.exit_status().unwrap_or_default() as u8,
    })
}

impl Watch {
    fn run(&mut self) -> Result<WaitStatus, Failure> {
        loop {
            let [dead_end, loopback] = &self.taps;
            let mut ready =
                [dead_end, loopback, &self.signals].map(|descriptor| PollFd::new(descriptor, PollFlags::IN));
            match poll(&mut ready, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(setup("poll", error)),
            }
            self.drain();
            while let Some(came) = kernel::next_signal(&self.signals) {
                if came.number != SIGCHLD && came.is_ours_alone() {
                    self.pass_on(came.number);
                }
            }
            if let Some(status) = self.children() {
                return Ok(status);
            }
        }
    }

    fn pass_on(&self, signal: c_int) {
        if let Some(signal) = Signal::from_named_raw(signal)
            // What runs again has had it: it was for the whole group.
            && (signal != Signal::CONT || is_stopped(self.program))
        {
            // Its number is not given away before we have waited for it.
            let _ = rustix::process::kill_process(self.program, signal);
        }
    }

    /// Takes in who has ended; the program's status if it is among them.
    fn children(&self) -> Option<WaitStatus> {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
        loop {
            match rustix::process::wait(options) {
                Ok(Some((process, status))) if process == self.program => match status.stopping_signal() {
                    // Our caller sees us stopped as the program is.
                    Some(signal) if is_stopped(process) => kernel::raise(signal),
                    Some(_) => {}
                    None => return Some(status),
                },
                Ok(Some((process, _))) if process.as_raw_pid() as u32 == self.door.agent.id() => {
                    note("leak test: the agent with the proxy has ended: nothing is carried any more");
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// Counts what has come.
    fn drain(&mut self) {
        let mut frame = vec![0; MAX_FRAME];
        for (is_loopback, tap) in self.taps.iter().enumerate().map(|(place, tap)| (place == 1, tap)) {
            while let Ok((length, _)) = rustix::net::recv(tap, &mut frame[..], RecvFlags::DONTWAIT) {
                let Some(packet) = frame.get(..length).and_then(Packet::read) else { continue };
                if !is_loopback || self.would_go_on(&packet) {
                    self.tally.count(&packet, || owner::of(&packet, self.network));
                }
            }
        }
    }

    /// Whether a packet on loopback is for a resolver that is outside.
    fn would_go_on(&self, packet: &Packet) -> bool {
        let To::Port(to) = packet.to else { return false };
        packet.asks_a_resolver_here() && !owner::listens(packet, to.port(), self.network)
    }

    /// Programs that have outlived the first, then the agent of their network. A supervisor, which does not let itself be
    /// looked at, ends with its programs.
    fn end_what_is_left(&mut self) {
        let end = Instant::now() + PATIENCE;
        let mut told = Vec::new();
        loop {
            let left: Vec<u32> = owner::processes(self.network).collect();
            let (agents, programs): (Vec<u32>, Vec<u32>) =
                left.into_iter().partition(|process| owner::is_agent(*process));
            let (signal, whom) =
                if programs.is_empty() { (Signal::TERM, &agents) } else { (Signal::KILL, &programs) };
            for &process in whom {
                // Once: an agent takes its time to remove its files.
                if !told.contains(&(process, signal)) {
                    told.push((process, signal));
                    self.end(process, signal);
                }
            }
            self.drain();
            let _ = self.children();
            if whom.is_empty() || Instant::now() > end {
                return;
            }
            let moment = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
            let mut ready = [PollFd::new(&self.signals, PollFlags::IN)];
            let _ = poll(&mut ready, Some(&moment));
            while kernel::next_signal(&self.signals).is_some() {}
        }
    }

    /// By a handle: the number may be another's by now.
    fn end(&self, process: u32, signal: Signal) {
        let handle = Pid::from_raw(process as i32)
            .and_then(|process| rustix::process::pidfd_open(process, PidfdFlags::empty()).ok());
        if let Some(handle) = handle.filter(|_| owner::is_in(process, self.network)) {
            let _ = rustix::process::pidfd_send_signal(&handle, signal);
        }
    }
}

/// Waits for the agent outside, which removes its files.
fn reap(mut agent: Child) {
    let end = Instant::now() + PATIENCE;
    while let Ok(None) = agent.try_wait() {
        if Instant::now() > end {
            let _ = agent.kill();
            let _ = agent.wait();
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
