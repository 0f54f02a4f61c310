//! What `status` shows to people: tables, as narrow as their content lets them be.

use std::io::{self, Write};
use std::time::Duration;

use underpass_core::control::{ConnectionStatus, FailureStatus, HopStatus, UnhookedStatus};

/// The tables.
#[derive(Default)]
pub(crate) struct Table {
    connections: Vec<(u32, [String; 8])>,
    hops: Vec<(u32, [String; 6])>,
    failures: Vec<(u32, [String; 5], String)>,
    unhooked: Vec<[String; 2]>,
    /// Why hops are not up, by configuration and chain.
    faults: Vec<(u32, String, String)>,
    notes: Vec<String>,
}

const CONNECTIONS: [&str; 8] = ["PROGRAM", "PID", "DESTINATION", "CHAIN", "HOW", "AGE", "UP", "DOWN"];
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
        let state = match it.passed_over_seconds {
            Some(seconds) => format!("passed over for {seconds} s"),
            None => "up".to_owned(),
        };
        let round_trip = it.round_trip_microseconds.map(Duration::from_micros);
        let round_trip =
            round_trip.map_or("-".to_owned(), |time| format!("{:.1} ms", time.as_secs_f64() * 1e3));
        let place = format!("{} of {}", it.hop, it.of);
        let failures = it.failures.to_string();
        let cells = [printable(&it.chain), place, printable(&it.url), state, round_trip, failures];
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

    pub(crate) fn unhooked(&mut self, it: &UnhookedStatus) {
        self.unhooked.push([name(it.program.as_deref()), it.pid.to_string()]);
    }

    pub(crate) fn print(mut self, out: &mut impl Write) -> io::Result<()> {
        let of_failures = || self.failures.iter().filter(|row| row.1[0] != "-").map(|row| row.0);
        let of_hops = || self.hops.iter().map(|row| row.0);
        let numbers = || self.connections.iter().map(|row| row.0).chain(of_hops()).chain(of_failures());
        let first = numbers().next();
        // Chains of several configurations may have one name.
        if numbers().any(|number| Some(number) != first) {
            self.connections.iter_mut().for_each(|(number, row)| row[3] += &format!("#{number}"));
            self.hops.iter_mut().for_each(|(number, row)| row[0] += &format!("#{number}"));
            self.faults.iter_mut().for_each(|(number, chain, _)| *chain += &format!("#{number}"));
            let failures = self.failures.iter_mut().filter(|row| row.1[0] != "-");
            failures.for_each(|(number, row, _)| row[0] += &format!("#{number}"));
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
mod tests {
    use underpass_core::config::Kind;
    use underpass_core::control::Mechanism;

    use super::*;

    fn connection(configuration: u32) -> ConnectionStatus {
        ConnectionStatus {
            id: 1,
            program: Some("/usr/bin/cu\x1brl".to_owned()),
            pid: 4_194_303,
            destination: "downloads.example.org:443".to_owned(),
            route: Some(1),
            chain: Some("main".to_owned()),
            configuration,
            mechanism: Mechanism::HandedOff,
            age_seconds: 4000,
            bytes_up: 1023,
            bytes_down: 5 << 30,
        }
    }

    fn hop(configuration: u32) -> HopStatus {
        HopStatus {
            chain: "main".to_owned(),
            kind: Kind::Strict,
            configuration,
            hop: 1,
            of: 3,
            url: "socks5h://10.0.0.1:1080".to_owned(),
            passed_over_seconds: Some(4),
            round_trip_microseconds: Some(20_480),
            failures: 3,
            last_failure: None,
            dialled_by: None,
        }
    }

    fn shown(configurations: &[u32]) -> String {
        let mut table = Table::default();
        for &number in configurations {
            table.connection(&connection(number));
            table.hop(&hop(number));
        }
        let mut out = Vec::new();
        table.print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_tables_fit_eighty_columns() {
        let text = shown(&[1]);
        assert_eq!(
            text,
            "PROGRAM  PID      DESTINATION                CHAIN  HOW         AGE  UP    DOWN\n\
             cu?rl    4194303  downloads.example.org:443  main   handed off  66m  1023  5.0G\n\
             \n\
             CHAIN  HOP     UPSTREAM                 STATE              ROUND TRIP  FAILED\n\
             main   1 of 3  socks5h://10.0.0.1:1080  passed over for 4 s  20.5 ms     3\n"
                .replace("STATE              ROUND", "STATE                ROUND")
        );
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }

    #[test]
    fn chains_of_several_configurations_are_told_apart() {
        assert!(!shown(&[1, 1]).contains('#'));
        let text = shown(&[1, 2]);
        assert_eq!((text.matches("main#1").count(), text.matches("main#2").count()), (2, 2), "{text}");
        assert_eq!(shown(&[]), "no connection is carried\n");
    }

    #[test]
    fn who_goes_through_the_first_hop_twice_is_named() {
        let mut table = Table::default();
        table.hop(&HopStatus { dialled_by: Some(42), ..hop(1) });
        let mut out = Vec::new();
        table.print(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("\n\nchain main: process 42 connects to the first hop itself, "), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }

    #[test]
    fn failures_have_their_reasons_in_words() {
        let mut table = Table::default();
        table.failure(&FailureStatus {
            chain: Some("main".to_owned()),
            configuration: 1,
            hop: Some(2),
            of: Some(2),
            url: Some("socks5h://10.0.0.1:1080".to_owned()),
            reason: "the upstream accepts none of the offered authentication methods".to_owned(),
            hint: Some("no\x1bne".to_owned()),
            errno: 13,
            count: 12,
            seconds_ago: 100,
            destination: "db.internal:5432".to_owned(),
            program: None,
            pid: 7,
        });
        table.hop(&HopStatus { last_failure: Some("no answer within the deadline".to_owned()), ..hop(1) });
        let mut out = Vec::new();
        table.print(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let shown = "\n\nFAILED  HOP     TIMES  AGO  LAST DESTINATION\n\
                     main    2 of 2  12     1m   db.internal:5432\n  \
                     socks5h://10.0.0.1:1080: the upstream accepts none of the offered\n  \
                     authentication methods\n  hint: no?ne\n";
        assert!(text.contains(shown), "{text}");
        assert!(text.ends_with("\n\nchain main, hop 1: no answer within the deadline\n"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }

    #[test]
    fn programs_that_are_not_carried_come_last() {
        let mut table = Table::default();
        table.unhooked(&UnhookedStatus { program: Some("/bin/busy\nbox".to_owned()), pid: 42 });
        let mut out = Vec::new();
        table.print(&mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "no connection is carried\n\nNOT CARRIED  PID\nbusy?box     42\n"
        );
    }

    #[test]
    fn numbers_are_short() {
        for (count, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1.0K"),
            (10_189, "10K"),
            (1_047_999, "1023K"),
            (1_048_064, "1.0M"),
            (u64::MAX, "16E"),
        ] {
            assert_eq!(bytes(count), text);
        }
        for (seconds, text) in [(0, "0s"), (99, "99s"), (100, "1m"), (6000, "1h"), (360_000, "4d")] {
            assert_eq!(age(seconds), text);
        }
    }
}
