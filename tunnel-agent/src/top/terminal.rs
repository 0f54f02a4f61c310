//! The terminal: taken, written to, and given back as it was, also after a panic.

use std::io::{self, IsTerminal, Stdout, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event};
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    Clear, ClearType, DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{execute, queue};
use rustix::process::{Signal, getpid, kill_process};
use tokio::sync::mpsc;

use super::screen::{Line, Look};

/// Whether there is something to give back.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Whether there is a terminal that a screen can be drawn on.
pub(super) fn check() -> io::Result<()> {
    let no =
        |what| Err(io::Error::other(format!("{what}\nhint: underpass-agent status prints the same once")));
    if !io::stdin().is_terminal() {
        return no("standard input is not a terminal");
    }
    if !io::stdout().is_terminal() {
        return no("standard output is not a terminal");
    }
    match std::env::var("TERM").as_deref() {
        Ok("dumb" | "") | Err(_) => no("the terminal cannot show a screen (TERM)"),
        Ok(_) => Ok(()),
    }
}

/// The terminal, ours until this is dropped.
pub(super) struct Terminal {
    out: Stdout,
    has_colours: bool,
}

impl Terminal {
    pub(super) fn take() -> io::Result<Self> {
        let before = panic::take_hook();
        // What is said of a panic is to be read.
        panic::set_hook(Box::new(move |what| {
            let _ = restore();
            before(what);
        }));
        let mut out = io::stdout();
        TAKEN.store(true, Ordering::Relaxed);
        let terminal = Self {
            out: io::stdout(),
            has_colours: std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty()),
        };
        enter(&mut out)?;
        Ok(terminal)
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> io::Result<(usize, usize)> {
        size().map(|(columns, rows)| (columns.into(), rows.into()))
    }

    pub(super) fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        let out = &mut self.out;
        for (row, line) in lines.iter().enumerate() {
            queue!(out, MoveTo(0, row.try_into().unwrap_or(u16::MAX)))?;
            match line.look {
                Look::Plain => {}
                Look::Title => queue!(out, SetAttribute(Attribute::Bold))?,
                Look::Bar => queue!(out, SetAttribute(Attribute::Reverse))?,
                Look::Bad if self.has_colours => queue!(out, SetForegroundColor(Color::Red))?,
                Look::Bad => queue!(out, SetAttribute(Attribute::Bold))?,
            }
            queue!(out, Print(&line.text), SetAttribute(Attribute::Reset), ResetColor)?;
            queue!(out, Clear(ClearType::UntilNewLine))?;
        }
        queue!(out, Clear(ClearType::FromCursorDown))?;
        out.flush()
    }

    /// Gives the terminal to whoever started us until we are told to go on.
    pub(super) fn stop(&mut self) -> io::Result<()> {
        restore()?;
        // SIGTSTP is ours; this one cannot be caught.
        kill_process(getpid(), Signal::STOP)?;
        TAKEN.store(true, Ordering::Relaxed);
        enter(&mut self.out)
    }

    pub(super) fn give_back(self) -> io::Result<()> {
        restore()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = restore();
    }
}

fn enter(out: &mut Stdout) -> io::Result<()> {
    enable_raw_mode()?;
    execute!(out, EnterAlternateScreen, DisableLineWrap, Hide, Clear(ClearType::All))
}

/// As it was, once.
fn restore() -> io::Result<()> {
    if !TAKEN.swap(false, Ordering::Relaxed) {
        return Ok(());
    }
    let left = execute!(io::stdout(), EnableLineWrap, Show, LeaveAlternateScreen);
    disable_raw_mode().and(left)
}

/// Keys and changes of the size, read by a thread of its own.
pub(super) struct Input(mpsc::Receiver<Event>);

impl Input {
    pub(super) fn start() -> Self {
        let (tell, told) = mpsc::channel(16);
        tokio::task::spawn_blocking(move || {
            // Looked at from time to time, so that nobody is kept from ending.
            while !tell.is_closed() {
                match event::poll(Duration::from_millis(200)) {
                    Ok(false) => {}
                    Ok(true) => match event::read() {
                        Ok(event) if tell.blocking_send(event).is_ok() => {}
                        _ => return,
                    },
                    Err(_) => return,
                }
            }
        });
        Self(told)
    }

    /// `None` when the terminal has gone.
    pub(super) async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}
