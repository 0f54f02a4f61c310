//! What `status` shows to people: tables, as narrow as their content lets them be.

use std::io::{self, Write};
use std::time::Duration;

use underpass_core::control::{ConnectionStatus, FailureStatus, HopStatus, ListenerStatus, UnhookedStatus};

/// The tables.
#[derive(Default)]
pub(crate) struct Table {
    connections: Vec<(u32, [String; 8])>,
    hops: Vec<(u32, [String; 6])>,
    failures: Vec<(u32, [String; 5], String)>,
    listeners: Vec<(u32, [String; 6])>,
    unhooked: Vec<[String; 2]>,
    /// Why hops are not up, by configuration and chain.
    faults: Vec<(u32, String, String)>,
    notes: Vec<String>,
}

const CONNECTIONS: [&str; 8] = ["PROGRAM", "PID", "DESTINATION", "CHAIN", "HOW", "AGE", "UP", "DOWN"];
pub(crate) const LISTENERS: [&str; 6] = ["LISTENS AT", "LEADS TO", "CHAIN", "STATE", "AGE", "CAME"];
const UNHOOKED: [&str; 2] = ["NOT CARRIED", "PID"];
const FAILURES: [&str; 5] = ["FAILED", "HOP", "TIMES", "AGO", "LAST DESTINATION"];
/// Reasons are wrapped here.
const WIDTH: usize = 78;
const HOPS: [&str; 6] = ["CHAIN", "HOP", "UPSTREAM", "STATE", "ROUND TRIP", "FAILED"];

impl Table {
    pub(crate) fn connection(&mut self, it: &ConnectionStatus) {
        let cells = [
            name(it.program.as_deref()),
            it.pid.to_string(),
            printable(&it.destination),
            it.chain.as_deref().map_or_else(|| "direct".to_owned(), printable),
            it.mechanism.as_str().to_owned(),
            age(it.age_seconds),
            bytes(it.bytes_up),
            bytes(it.bytes_down),
        ];
        self.connections.push((it.configuration, cells));
    }

    pub(crate) fn hop(&mut self, it: &HopStatus) {
        let round_trip = it.round_trip_microseconds.map(Duration::from_micros);
        let round_trip =
            round_trip.map_or("-".to_owned(), |time| format!("{:.1} ms", time.as_secs_f64() * 1e3));
        let place = format!("{} of {}", it.hop, it.of);
        let failures = it.failures.to_string();
        let cells = [printable(&it.chain), place, printable(&it.url), state(it), round_trip, failures];
        self.hops.push((it.configuration, cells));
        if let Some(why) = &it.last_failure {
            self.faults.push((it.configuration, it.chain.clone(), format!("hop {}: {why}", it.hop)));
        }
        if let Some(pid) = it.dialled_by {
            let chain = printable(&it.chain);
            self.notes.push(format!("chain {chain}: process {pid} connects to the first hop itself, and goes\nthrough it twice: it is configured for the proxy, too"));
        }
    }

    pub(crate) fn failure(&mut self, it: &FailureStatus) {
        let cells = [
            it.chain.as_deref().map_or_else(|| "-".to_owned(), printable),
            it.hop.zip(it.of).map_or("-".to_owned(), |(hop, of)| format!("{hop} of {of}")),
            it.count.to_string(),
            age(it.seconds_ago),
            printable(&it.destination),
        ];
        let place = it.url.as_deref().map_or(String::new(), |url| format!("{url}: "));
        let mut why = wrapped(&printable(&format!("{place}{}", it.reason)), "  ");
        if let Some(hint) = &it.hint {
            why = format!("{why}\n{}", wrapped(&printable(&format!("hint: {hint}")), "  "));
        }
        self.failures.push((it.configuration, cells, why));
    }

    pub(crate) fn listener(&mut self, it: &ListenerStatus) {
        self.listeners.push((it.configuration, listener(it)));
    }

    pub(crate) fn unhooked(&mut self, it: &UnhookedStatus) {
        self.unhooked.push([name(it.program.as_deref()), it.pid.to_string()]);
    }

    pub(crate) fn print(mut self, out: &mut impl Write) -> io::Result<()> {
        let of_failures = || self.failures.iter().filter(|row| row.1[0] != "-").map(|row| row.0);
        let of_listeners = || self.listeners.iter().map(|row| row.0);
        let of_hops = || self.hops.iter().map(|row| row.0);
        let numbers = || {
            self.connections
                .iter()
                .map(|row| row.0)
                .chain(of_hops())
                .chain(of_failures())
                .chain(of_listeners())
        };
        let first = numbers().next();
        // Chains of several configurations may have one name.
        if numbers().any(|number| Some(number) != first) {
            self.connections.iter_mut().for_each(|(number, row)| row[3] += &format!("#{number}"));
            self.hops.iter_mut().for_each(|(number, row)| row[0] += &format!("#{number}"));
            self.faults.iter_mut().for_each(|(number, chain, _)| *chain += &format!("#{number}"));
            let failures = self.failures.iter_mut().filter(|row| row.1[0] != "-");
            failures.for_each(|(number, row, _)| row[0] += &format!("#{number}"));
            self.listeners.iter_mut().for_each(|(number, row)| row[2] += &format!("#{number}"));
        }
        if self.connections.is_empty() {
            writeln!(out, "no connection is carried")?;
        } else {
            print(out, CONNECTIONS, self.connections.into_iter().map(|row| row.1).collect())?;
        }
        if !self.hops.is_empty() {
            writeln!(out)?;
            print(out, HOPS, self.hops.into_iter().map(|row| row.1).collect())?;
        }
        if !self.failures.is_empty() {
            writeln!(out)?;
            let (rows, reasons): (_, Vec<_>) =
                self.failures.into_iter().map(|(_, cells, why)| (cells, why)).unzip();
            let mut lines = lines(FAILURES, rows).into_iter();
            lines.next().map_or(Ok(()), |head| writeln!(out, "{head}"))?;
            lines.zip(reasons).try_for_each(|(line, why)| writeln!(out, "{line}\n{why}"))?;
        }
        if !self.listeners.is_empty() {
            writeln!(out)?;
            print(out, LISTENERS, self.listeners.into_iter().map(|row| row.1).collect())?;
        }
        if !self.unhooked.is_empty() {
            writeln!(out)?;
            print(out, UNHOOKED, self.unhooked)?;
        }
        for (_, chain, why) in self.faults {
            writeln!(out, "\n{}", wrapped(&printable(&format!("chain {chain}, {why}")), ""))?;
        }
        for note in self.notes {
            writeln!(out, "\n{note}")?;
        }
        Ok(())
    }
}

/// Whether a hop serves, as far as that is known.
pub(crate) fn state(hop: &HopStatus) -> String {
    match (hop.passed_over_seconds, hop.failures, hop.tried_seconds_ago) {
        (Some(seconds), ..) => format!("passed over for {seconds} s"),
        (None, 1.., _) => "failed".to_owned(),
        (None, 0, Some(_)) => "up".to_owned(),
        (None, 0, None) => "not tried".to_owned(),
    }
}

/// The cells of a listener.
pub(crate) fn listener(it: &ListenerStatus) -> [String; 6] {
    let to = match &it.program {
        Some(program) => format!("{} {}", name(Some(program)), printable(&it.to)),
        None => printable(&it.to),
    };
    [
        it.at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
        to,
        printable(&it.chain),
        if it.listens { "up" } else { "asked for" }.to_owned(),
        age(it.age_seconds),
        it.connections.to_string(),
    ]
}

/// A program's name by its file.
pub(crate) fn name(file: Option<&str>) -> String {
    printable(file.map_or("-", |file| file.rsplit('/').next().unwrap_or(file)))
}

fn print<const N: usize>(out: &mut impl Write, head: [&str; N], rows: Vec<[String; N]>) -> io::Result<()> {
    lines(head, rows).iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// The head and the rows, in columns.
fn lines<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> Vec<String> {
    let head = head.map(str::to_owned);
    let width = |column: usize| {
        let cells = rows.iter().chain([&head]).map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    [&head].into_iter().chain(&rows).map(line).collect()
}

/// In lines of at most [`WIDTH`] columns where the words let it, each after `indent`.
fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = vec![indent.to_owned()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() == indent.len() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{indent}{word}")),
        }
    }
    lines.join("\n")
}

/// Without what a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// In at most four characters up to 999 days.
pub(crate) fn age(seconds: u64) -> String {
    match seconds {
        0..100 => format!("{seconds}s"),
        100..6000 => format!("{}m", seconds / 60),
        6000..360_000 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// In at most five characters, in powers of 1024.
pub(crate) fn bytes(count: u64) -> String {
    let mut rest = count as f64;
    if count < 1024 {
        return count.to_string();
    }
    for unit in ["K", "M", "G", "T", "P"] {
        rest /= 1024.0;
        if rest < 9.95 {
            return format!("{rest:.1}{unit}");
        }
        if rest < 1023.5 {
            return format!("{rest:.0}{unit}");
        }
    }
    format!("{:.0}E", rest / 1024.0)
}

#[cfg(test)]
mod tests;
