//! A proxy that other people wrote: its process, and its own record of what went through it.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::command::Command;
use crate::patience::PATIENCE;
use crate::{Running, World};

/// A proxy that other people wrote.
///
/// It listens on all addresses of the far side, so its address is `10.77.0.1` to the client side and
/// `10.99.0.1`, `web.test`, to another proxy. The client side reaches it only after
/// [`Self::allowed`]: what skips the first hop of a chain is counted as a leak.
pub struct Real {
    process: Mutex<Running>,
    command: Command,
    port: u16,
    login: String,
    url: String,
    log: PathBuf,
    record: Record,
}

/// How a proxy's log writes down that it connects to this host and port.
pub(super) type Record = fn(&str, u16) -> String;

impl Real {
    /// Starts it and waits for its port. It logs to a file, or to its stderr, which is made one.
    pub(super) fn start(
        world: &World,
        command: Command,
        port: u16,
        log: Option<PathBuf>,
        record: Record,
    ) -> Self {
        let mut command = command.limit(Duration::MAX);
        let log = log.unwrap_or_else(|| {
            let file = world.directory().join(format!("complaints-{port}"));
            command = command.clone().complaints_to(&file);
            file
        });
        let process = Mutex::new(command.clone().spawn());
        let real = Self { process, command, port, login: String::new(), url: String::new(), log, record };
        real.wait(world);
        real.with_login(None)
    }

    /// With these credentials in its URLs.
    pub(super) fn with_login(mut self, login: Option<(&str, &str)>) -> Self {
        self.login = login.map_or(String::new(), |(user, password)| format!("{user}:{password}@"));
        self.url = self.url_as("socks5h");
        self
    }

    /// From now on the client side may reach it.
    #[must_use]
    pub fn allowed(self, world: &World) -> Self {
        world.allow_proxy(self.port);
        self
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL as a SOCKS5 proxy, from the client side.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its URL by this scheme, from the client side.
    pub fn url_as(&self, scheme: &str) -> String {
        self.url_at(scheme, "10.77.0.1")
    }

    /// Its URL by this scheme at this host, with its credentials.
    pub fn url_at(&self, scheme: &str, host: &str) -> String {
        format!("{scheme}://{}{host}:{}", self.login, self.port)
    }

    /// How much memory it has, in KiB.
    pub fn resident(&self) -> u64 {
        self.lock().resident()
    }

    /// What it wrote down so far.
    pub fn log(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        // ssh complains as to a terminal.
        String::from_utf8_lossy(&log).replace("\r\n", "\n")
    }

    /// How often it has connected to this host and port, by its own record. Names stay names except
    /// in Dante's.
    pub fn served(&self, host: &str, port: u16) -> usize {
        self.log().matches(&(self.record)(host, port)).count()
    }

    /// Waits until it has connected to this host and port so often.
    #[track_caller]
    pub fn wait_served(&self, host: &str, port: u16, times: usize) {
        let limit = Instant::now() + PATIENCE;
        while self.served(host, port) < times {
            let count = self.served(host, port);
            assert!(
                Instant::now() < limit,
                "{host}:{port} {count} times, not {times}, in the record of port {}:\n{}",
                self.port,
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the log holds this text.
    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        let limit = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < limit, "no {text:?} in:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the proxy with all its connections, and waits until its port is free.
    pub fn kill(&self) {
        let process = self.lock();
        let pid = process.pid();
        process.signal(rustix::process::Signal::KILL);
        wait_gone(pid);
    }

    /// Tells it to end (SIGTERM), and waits until it has.
    pub fn leave(&self) {
        let process = self.lock();
        let pid = process.pid();
        process.signal(rustix::process::Signal::TERM);
        wait_gone(pid);
    }

    /// Starts it again, after [`Self::kill`] or [`Self::leave`], and waits for its port. The record goes on.
    pub fn revive(&self, world: &World) {
        *self.lock() = self.command.clone().spawn();
        self.wait(world);
    }

    fn wait(&self, world: &World) {
        let limit = Instant::now() + PATIENCE;
        while !world.listens(self.port) {
            if Instant::now() > limit {
                let complaints: Vec<_> = std::iter::from_fn(|| self.lock().try_complaint()).collect();
                panic!("nothing listens on port {}:\n{}\n{}", self.port, self.log(), complaints.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.process.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Waits for the end of a process that was killed. nsenter reaps it when the last of its threads has ended, and with it
/// its descriptors.
pub(super) fn wait_gone(pid: u32) {
    let limit = Instant::now() + PATIENCE;
    while std::fs::exists(format!("/proc/{pid}")).is_ok_and(|exists| exists) {
        assert!(Instant::now() < limit, "process {pid} survives SIGKILL");
        std::thread::sleep(Duration::from_millis(1));
    }
}
