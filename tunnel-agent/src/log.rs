//! Logs: off unless asked for, as text or as JSON, and the lines that each connection has. They name
//! programs and destinations, and no secret. `docs/logs.md` describes them.

use std::env::{self, VarError};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use underpass_core::failure::Failure;
use underpass_core::wire::Barred;

use crate::datagram::Datagrams;
use crate::flow::{Ended, Flow, Trip};
use crate::plan::Plan;
use crate::upstream::hop::Client;

/// What is logged.
pub(crate) const FILTER: &str = "UNDERPASS_LOG";
/// As what: `text`, which it is if nothing is said, or `json`.
const FORMAT: &str = "UNDERPASS_LOG_FORMAT";

/// Logs to `writer` from now on what the environment asks for, or else what `default` says.
pub(crate) fn to(
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
    default: &str,
) -> io::Result<()> {
    let filter = variable(FILTER)?.unwrap_or_else(|| default.to_owned());
    let filter =
        EnvFilter::try_new(ours(filter)).map_err(|why| io::Error::other(format!("{FILTER}: {why}")))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    std::panic::set_hook(Box::new(|fault| {
        // Not what it says: that may be made of what nobody is to read.
        let place = fault.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a fault of underpass itself");
    }));
    match variable(FORMAT)?.as_deref() {
        None | Some("text") => builder.init(),
        Some("json") => builder.json().flatten_event(true).init(),
        Some(_) => return Err(io::Error::other(format!("{FORMAT}: neither text nor json"))),
    }
    Ok(())
}

/// Standard error, for lines of the log: what nobody reads is lost, and nothing waits for it. (tracing-subscriber reports an error of
/// its writer on standard error, and panics where that is closed.)
pub(crate) struct StandardError;

/// How long a line waits for its reader, if the one before it was read, in nanoseconds.
const SLOW_READER: i64 = 200_000_000;

impl StandardError {
    pub(crate) fn new() -> Self {
        Self
    }
}

impl io::Write for StandardError {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        static STUCK: AtomicBool = AtomicBool::new(false);
        let patience = if STUCK.load(Ordering::Relaxed) { 0 } else { SLOW_READER };
        let stream = rustix::stdio::stderr();
        // A pipe that is ready has room for a page, and a line is shorter as a rule (pipe(7)).
        let ready = poll(
            &mut [PollFd::new(&stream, PollFlags::OUT)],
            Some(&Timespec { tv_sec: 0, tv_nsec: patience }),
        );
        STUCK.store(ready == Ok(0), Ordering::Relaxed);
        if ready == Ok(1) {
            let _ = rustix::io::write(stream, line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A filter that is a level alone is for what we say, and not for the crates that we use.
fn ours(filter: String) -> String {
    match filter.parse::<LevelFilter>() {
        Ok(level) => format!("underpass_agent={level}"),
        Err(_) => filter,
    }
}

/// The value of a variable that is set to something.
fn variable(name: &str) -> io::Result<Option<String>> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(io::Error::other(format!("{name}: not in UTF-8"))),
    }
}

/// Whether the lines below are written.
pub(crate) fn is_on() -> bool {
    tracing::enabled!(tracing::Level::INFO)
}

/// Whether warnings are written.
pub(crate) fn warns() -> bool {
    tracing::enabled!(tracing::Level::WARN)
}

/// A program has not loaded the library.
pub(crate) fn unhooked(pid: i32, program: Option<&str>) {
    tracing::warn!(program, pid, "not hooked: what it sends is not carried");
}

/// A client of a door is no process that is known.
fn known(pid: i32) -> Option<i32> {
    (pid != 0).then_some(pid)
}

/// Writes one line about a trip; what is not known is left out.
macro_rules! line {
    ($trip:expr, { $($more:tt)* }, $text:literal) => {{
        let trip: &Trip = $trip;
        let course = trip.course.as_deref();
        tracing::info!(
            program = trip.program.as_deref(),
            pid = known(trip.pid),
            destination = trip.destination.to_string(),
            chain = course.and_then(|course| course.chain.as_deref()).unwrap_or("direct"),
            route = course.and_then(|course| course.route),
            $($more)*
            $text
        );
    }};
}

/// An attempt has failed, or was refused. [`crate::sight`] remembers it.
pub(crate) fn failed(trip: &Trip, failure: &Failure) {
    line!(trip, { reason = failure.to_string(), hint = failure.hint(), errno = failure.errno(), }, "failed");
}

/// The program's socket could not be held, or not be completed.
pub(crate) fn not_carried(trip: &Trip, error: &io::Error) {
    line!(trip, { reason = error.to_string(), }, "failed");
}

/// Datagrams of a program are not carried. Programs try again and again, so the same is said once.
pub(crate) fn no_datagrams(
    datagrams: &Datagrams,
    plan: &Plan,
    chain: Option<&str>,
    client: &Client,
    failure: &Failure,
) {
    if is_on() && datagrams.is_news(plan, failure.to_string()) {
        tracing::info!(
            program = client.program.as_deref(),
            pid = known(client.pid),
            chain,
            reason = failure.to_string(),
            hint = failure.hint(),
            errno = failure.errno(),
            "datagrams are not carried"
        );
    }
}

/// The library has refused what goes round every tunnel; said once for each kind.
pub(crate) fn barred(datagrams: &Datagrams, plan: &Plan, client: &Client, what: Barred) {
    let what = match what {
        Barred::Raw => "raw sockets",
        Barred::Packets => "packet sockets",
        Barred::Icmp => "ICMP sockets",
        Barred::Transport => "sockets of other transports than TCP and UDP",
        Barred::Groups => "joining a multicast group",
        Barred::Device => "binding a datagram socket to a device",
        Barred::Datagrams => "datagram sockets: tier guard needs user namespaces for them",
    };
    if is_on() && datagrams.is_news(plan, what.to_owned()) {
        tracing::info!(program = client.program.as_deref(), pid = client.pid, what, "refused");
    }
}

/// The program has its own socket connected.
pub(crate) fn handed_off(trip: &Trip) {
    line!(trip, {}, "handed off");
}

/// The program is connected, and bytes begin to pass.
pub(crate) fn relayed(trip: &Trip) {
    tracing::debug!(pid = known(trip.pid), destination = trip.destination.to_string(), "relayed");
}

/// A relayed connection has ended.
pub(crate) fn ended(flow: &Flow, ended: &Ended) {
    if !is_on() {
        return;
    }
    let seconds = rounded(flow.start.elapsed());
    let (up, down) = (flow.up(), flow.down());
    line!(
        &flow.trip,
        { seconds = seconds, bytes_up = up, bytes_down = down, reason = ended.reason(), },
        "ended"
    );
}

/// In seconds, to the millisecond.
fn rounded(time: Duration) -> f64 {
    time.as_millis() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_for_what_we_say() {
        for (filter, means) in [
            ("debug", "underpass_agent=debug"),
            ("WARN", "underpass_agent=warn"),
            ("off", "underpass_agent=off"),
            ("info,h2=debug", "info,h2=debug"),
            ("underpass_agent::relay=debug", "underpass_agent::relay=debug"),
        ] {
            assert_eq!(ours(filter.to_owned()), means);
            assert!(module_path!().starts_with("underpass_agent"));
        }
    }
}
