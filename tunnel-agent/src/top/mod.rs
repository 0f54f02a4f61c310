//! `underpass-agent top`: what the agent carries, on a terminal, refreshed each second.
//!
//! # Layout
//!
//! - [`terminal`]: the terminal, taken and given back however this ends. [`keys`]: what a key means.
//! - [`view`]: what is shown: sorted, filtered, with rates. [`screen`]: how it looks, as lines of text.

mod keys;
mod screen;
mod terminal;
#[cfg(test)]
mod tests;
mod view;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::ask::{self, Snapshot, Unanswered};
use crate::patience::Waiting;
use keys::Action;
use terminal::{Input, Terminal};
use view::View;

/// How often the agent is asked.
const PERIOD: Duration = Duration::from_secs(1);
/// The agent has so much more time for its work than it takes to answer.
const SHARE: u32 = 4;

/// Why there is no screen.
#[derive(Debug)]
pub(crate) enum NoScreen {
    Unanswered(Unanswered),
    Terminal(io::Error),
}

/// Shows until whoever looks has seen enough.
pub(crate) fn run(directory: Option<&Path>) -> Result<(), NoScreen> {
    terminal::check().map_err(NoScreen::Terminal)?;
    let waiting = Waiting::new(ask::ASKING);
    let first = ask::snapshot(directory).map_err(NoScreen::Unanswered)?;
    drop(waiting);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(NoScreen::Terminal)?;
    let shown = runtime.block_on(show(directory.map(Path::to_owned), first));
    runtime.shutdown_background();
    shown.map_err(NoScreen::Terminal)
}

/// The signals that concern a screen. Those of keys come as keys.
struct Signals {
    end: [Signal; 3],
    stop: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let of = |kind| signal(kind);
        let end = [of(SignalKind::terminate())?, of(SignalKind::interrupt())?, of(SignalKind::hangup())?];
        // SIGTSTP (signal(7)).
        Ok(Self { end, stop: of(SignalKind::from_raw(libc::SIGTSTP))? })
    }

    /// Whether to end, or else to stop.
    async fn next(&mut self) -> bool {
        let [terminate, interrupt, hangup] = &mut self.end;
        tokio::select! {
            _ = terminate.recv() => true,
            _ = interrupt.recv() => true,
            _ = hangup.recv() => true,
            _ = self.stop.recv() => false,
        }
    }
}

async fn show(directory: Option<PathBuf>, first: Snapshot) -> io::Result<()> {
    let mut signals = Signals::new()?;
    let mut view = View::new(first, Instant::now());
    let mut terminal = Terminal::take()?;
    let mut input = Input::start();
    let (tell, mut answers) = mpsc::channel(1);
    ask_from_time_to_time(directory, tell);
    loop {
        terminal.draw(&screen::lines(&view, terminal.size()?))?;
        let action = tokio::select! {
            answer = answers.recv() => match answer {
                Some((answer, at)) => {
                    view.take(answer, at);
                    Action::Nothing
                }
                None => Action::Quit,
            },
            event = input.next() => match event {
                Some(event) => keys::meaning(&event, view.is_writing()),
                None => Action::Quit,
            },
            ends = signals.next() => if ends { Action::Quit } else { Action::Stop },
        };
        match action {
            Action::Quit => return terminal.give_back(),
            Action::Stop => terminal.stop()?,
            action => view.act(action),
        }
    }
}

/// What the agent says, and when; or why it says nothing.
type Answer = (Result<Snapshot, Unanswered>, Instant);

fn ask_from_time_to_time(directory: Option<PathBuf>, tell: mpsc::Sender<Answer>) {
    tokio::task::spawn_blocking(move || {
        let mut pause = PERIOD;
        loop {
            std::thread::sleep(pause);
            let begin = Instant::now();
            let answer = ask::snapshot(directory.as_deref());
            let at = Instant::now();
            pause = PERIOD.max((at - begin) * SHARE);
            if tell.blocking_send((answer, at)).is_err() {
                return;
            }
        }
    });
}
