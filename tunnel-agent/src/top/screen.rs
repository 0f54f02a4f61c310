//! How it looks: lines of text for a screen of any size, made for 80 columns and 24 rows.

use std::time::Duration;

use underpass_core::control::{FailureStatus, HopStatus, ListenerStatus};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::view::{Shown, View, chain};
use crate::table::{LISTENERS, age, bytes, listener, name, printable, state};

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    /// The names of columns.
    Title,
    /// The first and the last line.
    Bar,
    /// A hop that has failed, or a failure.
    Bad,
}

/// A line, not wider than the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) look: Look,
}

/// The widths of columns with fixed ones: PID, AGE, UP, DOWN, UP/S, DOWN/S.
const NUMBERS: [usize; 6] = [7, 4, 5, 5, 5, 6];
const CHAIN: usize = 8;
/// The least that programs and destinations have.
const PROGRAM: usize = 10;
const DESTINATION: usize = 16;

/// All lines of a screen of so many columns and rows; never more.
pub(super) fn lines(view: &View, (columns, rows): (usize, usize)) -> Vec<Line> {
    let hops = hops(&view.rest.hops, columns);
    let listeners = listeners(&view.rest.listeners, columns);
    let failures = |is_whole| failures(&view.rest.failures, columns, is_whole);
    let mut errors = failures(false);
    // The bars and the head of the connections; what is left is shared, most of it for connections.
    let left = rows.saturating_sub(3);
    let (mut of_hops, mut of_errors) = (hops.len().min(left / 3), errors.len().min(left / 4));
    let mut of_listeners = listeners.len().min(left / 5);
    // What they do not need, the others may have: first the hops, then the listeners, then the errors, then all their words.
    let taken = of_hops + of_listeners + of_errors + view.matching().count().max(1);
    let mut spare = left.saturating_sub(taken);
    for (lines, room) in [(&hops, &mut of_hops), (&listeners, &mut of_listeners)] {
        let more = (lines.len() - *room).min(spare);
        *room += more;
        spare -= more;
    }
    let whole = failures(true);
    if whole.len() <= of_errors + spare {
        of_errors = whole.len();
        errors = whole;
    } else {
        of_errors += (errors.len() - of_errors).min(spare);
    }
    let of_connections = left - of_hops - of_listeners - of_errors;
    let mut lines = vec![bar(&head(view), columns)];
    lines.extend(connections(view, columns, of_connections));
    lines.extend(cut(hops, of_hops, columns));
    lines.extend(cut(listeners, of_listeners, columns));
    lines.extend(cut(errors, of_errors, columns));
    lines.push(bar(&foot(view), columns));
    lines.truncate(rows);
    lines
}

fn head(view: &View) -> String {
    let rate = view.rate();
    let count = view.connections.len();
    let plural = if count == 1 { "" } else { "s" };
    let mut head = format!(" {count} connection{plural}, up {}/s, down {}/s", per(rate.up), per(rate.down));
    head += &format!(" - by {}{}", view.order.word(), if view.is_reversed { ", reversed" } else { "" });
    if view.is_paused {
        head += " - paused";
    }
    if let Some(trouble) = &view.trouble {
        head = format!(" {trouble}");
    }
    let unhooked = view.rest.unhooked.len();
    if unhooked > 0 {
        head += &format!(" - NOT CARRIED: {unhooked}");
    }
    head
}

fn foot(view: &View) -> String {
    match (view.is_writing(), view.filter.is_empty()) {
        (true, _) => format!(" filter: {}_   Enter keep, Esc clear", view.filter),
        (false, true) => " q quit  s sort  r reverse  / filter  p pause  arrows scroll".to_owned(),
        (false, false) => format!(" filter: {}   Esc clear  / change  q quit", view.filter),
    }
}

/// The head, and as many rows as there is room for.
fn connections(view: &View, columns: usize, room: usize) -> Vec<Line> {
    let fixed: usize = NUMBERS.iter().sum::<usize>() + CHAIN + NUMBERS.len() + 2;
    let spare = columns.saturating_sub(fixed + PROGRAM + DESTINATION);
    let (program, destination) = (PROGRAM + spare / 4, DESTINATION + spare - spare / 4);
    let [pid, age_, up, down, up_s, down_s] = NUMBERS;
    let widths = [program, pid, destination, CHAIN, age_, up, down, up_s, down_s];
    let row = |cells: [&str; 9]| {
        let cells = cells.iter().zip(widths).enumerate();
        let cells =
            cells.map(|(at, (cell, width))| if at < 4 { left(cell, width) } else { right(cell, width) });
        cells.collect::<Vec<_>>().join(" ")
    };
    let title = ["PROGRAM", "PID", "DESTINATION", "CHAIN", "AGE", "UP", "DOWN", "UP/S", "DOWN/S"];
    let mut lines = vec![line(&row(title), Look::Title, columns)];
    let shown = |shown: &Shown| {
        let it = &shown.status;
        let cells: [&str; 9] = [
            &name(it.program.as_deref()),
            &it.pid.to_string(),
            &printable(&it.destination),
            &printable(chain(it)),
            &age(it.age_seconds),
            &bytes(it.bytes_up),
            &bytes(it.bytes_down),
            &per(shown.rate.up),
            &per(shown.rate.down),
        ];
        line(&row(cells), Look::Plain, columns)
    };
    lines.extend(view.matching().skip(view.above).take(room).map(shown));
    if lines.len() == 1 {
        let why = if view.filter.is_empty() {
            "no connection is carried"
        } else {
            "none that the filter lets through"
        };
        lines.push(line(why, Look::Plain, columns));
    }
    lines.resize(room + 1, line("", Look::Plain, columns));
    lines
}

/// A title and a row for each hop.
fn hops(hops: &[HopStatus], columns: usize) -> Vec<Line> {
    let widths = [CHAIN, 7, columns.saturating_sub(CHAIN + 7 + 20 + 9 + 6 + 5), 20, 9, 6];
    let row = |cells: [&str; 6]| {
        let cells = cells.iter().zip(widths).enumerate();
        let cells =
            cells.map(|(at, (cell, width))| if at < 4 { left(cell, width) } else { right(cell, width) });
        cells.collect::<Vec<_>>().join(" ")
    };
    let shown = |it: &HopStatus| {
        let look = if it.failures > 0 { Look::Bad } else { Look::Plain };
        let time = it.round_trip_microseconds.map(|micros| Duration::from_micros(micros).as_secs_f64() * 1e3);
        let cells: [&str; 6] = [
            &printable(&it.chain),
            &format!("{} of {}", it.hop, it.of),
            &printable(&it.url),
            &state(it),
            &time.map_or("-".to_owned(), |time| format!("{time:.1} ms")),
            &it.failures.to_string(),
        ];
        line(&row(cells), look, columns)
    };
    let title = row(["CHAIN", "HOP", "UPSTREAM", "STATE", "ROUNDTRIP", "FAILED"]);
    titled(&title, hops.iter().map(shown), columns)
}

/// A title and a row for each listener at an exit.
fn listeners(listeners: &[ListenerStatus], columns: usize) -> Vec<Line> {
    let spare = columns.saturating_sub(CHAIN + 9 + 4 + 6 + 5);
    let widths = [spare / 2, spare - spare / 2, CHAIN, 9, 4, 6];
    let row = |cells: [&str; 6]| {
        let cells = cells.iter().zip(widths).enumerate();
        let cells =
            cells.map(|(at, (cell, width))| if at < 4 { left(cell, width) } else { right(cell, width) });
        cells.collect::<Vec<_>>().join(" ")
    };
    let shown = |it: &ListenerStatus| {
        let look = if it.listens { Look::Plain } else { Look::Bad };
        line(&row(listener(it).each_ref().map(String::as_str)), look, columns)
    };
    titled(&row(LISTENERS), listeners.iter().map(shown), columns)
}

/// A title and the reasons: each in a row, or in as many as its words and those of its hint need.
fn failures(failures: &[FailureStatus], columns: usize, is_whole: bool) -> Vec<Line> {
    let row = |[chain, times, ago, what]: [&str; 4]| {
        format!("{} {} {} {what}", left(chain, CHAIN), right(times, 6), right(ago, 4))
    };
    let before = row([""; 4]).width();
    let shown = |it: &FailureStatus| {
        let hop = it.hop.map_or(String::new(), |hop| format!("hop {hop}: "));
        let what = printable(&format!("{}: {hop}{}", it.destination, it.reason));
        let chain = it.chain.as_deref().map_or("-".to_owned(), printable);
        let row = |what: &str| row([&chain, &it.count.to_string(), &age(it.seconds_ago), what]);
        if !is_whole {
            return vec![line(&row(&what), Look::Bad, columns)];
        }
        let hint = it.hint.as_ref().map(|hint| printable(&format!("hint: {hint}")));
        let texts = [Some(what), hint].into_iter().flatten();
        let parts = texts.flat_map(|text| wrapped(&text, columns.saturating_sub(before)));
        let indented = |(at, part): (usize, String)| match at {
            0 => line(&row(&part), Look::Bad, columns),
            _ => line(&format!("{}{part}", " ".repeat(before)), Look::Bad, columns),
        };
        parts.enumerate().map(indented).collect()
    };
    let rows = failures.iter().flat_map(shown);
    titled(&row(["ERRORS", "TIMES", "AGO", "LAST DESTINATION, REASON"]), rows, columns)
}

/// Nothing without rows.
fn titled(title: &str, rows: impl Iterator<Item = Line>, columns: usize) -> Vec<Line> {
    let mut rows = rows.peekable();
    let title = rows.peek().is_some().then(|| line(title, Look::Title, columns));
    title.into_iter().chain(rows).collect()
}

/// In lines that are not wider where the words let it.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// At most so many; the last says how many more there are.
fn cut(mut lines: Vec<Line>, most: usize, columns: usize) -> Vec<Line> {
    // A title alone says nothing.
    if most < 2 {
        return vec![line("", Look::Plain, columns); most];
    }
    if lines.len() > most {
        let more = lines.len() - most + 1;
        lines.truncate(most - 1);
        lines.push(line(&format!("… {more} more: underpass-agent status"), Look::Plain, columns));
    }
    lines
}

fn bar(text: &str, columns: usize) -> Line {
    Line { text: left(&printable(text), columns), look: Look::Bar }
}

fn line(text: &str, look: Look, columns: usize) -> Line {
    Line { text: left(text, columns).trim_end().to_owned(), look }
}

/// Bytes in a second.
fn per(rate: f64) -> String {
    bytes(rate.round() as u64)
}

/// As wide as that; a longer text ends in `…`.
fn left(text: &str, width: usize) -> String {
    if text.width() <= width {
        return format!("{text}{}", " ".repeat(width - text.width()));
    }
    let mut cut = String::new();
    let mut taken = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if taken + wide + 1 > width {
            break;
        }
        taken += wide;
        cut.push(c);
    }
    if taken < width {
        cut.push('…');
        taken += 1;
    }
    cut + &" ".repeat(width - taken)
}

fn right(text: &str, width: usize) -> String {
    match text.width() {
        wide if wide < width => format!("{}{text}", " ".repeat(width - wide)),
        _ => left(text, width),
    }
}
