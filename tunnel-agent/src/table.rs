//! What `status` shows to people: tables, as narrow as their content lets them be.

use std::io::{self, Write};
use std::time::Duration;

use underpass_core::control::{ConnectionStatus, HopStatus, UnhookedStatus};

/// The tables.
#[derive(Default)]
pub(crate) struct Table {
    connections: Vec<(u32, [String; 8])>,
    hops: Vec<(u32, [String; 6])>,
    unhooked: Vec<[String; 2]>,
    notes: Vec<String>,
}

const CONNECTIONS: [&str; 8] = ["PROGRAM", "PID", "DESTINATION", "CHAIN", "HOW", "AGE", "UP", "DOWN"];
const UNHOOKED: [&str; 2] = ["NOT CARRIED", "PID"];
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
        if let Some(pid) = it.dialled_by {
            let chain = printable(&it.chain);
            self.notes.push(format!("chain {chain}: process {pid} connects to the first hop itself, and goes\nthrough it twice: it is configured for the proxy, too"));
        }
    }

    pub(crate) fn unhooked(&mut self, it: &UnhookedStatus) {
        self.unhooked.push([name(it.program.as_deref()), it.pid.to_string()]);
    }

    pub(crate) fn print(mut self, out: &mut impl Write) -> io::Result<()> {
        let numbers = || self.connections.iter().map(|row| row.0).chain(self.hops.iter().map(|row| row.0));
        let first = numbers().next();
        // Chains of several configurations may have one name.
        if numbers().any(|number| Some(number) != first) {
            self.connections.iter_mut().for_each(|(number, row)| row[3] += &format!("#{number}"));
            self.hops.iter_mut().for_each(|(number, row)| row[0] += &format!("#{number}"));
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
        if !self.unhooked.is_empty() {
            writeln!(out)?;
            print(out, UNHOOKED, self.unhooked)?;
        }
        for note in self.notes {
            writeln!(out, "\n{note}")?;
        }
        Ok(())
    }
}

/// A program's name by its file.
fn name(file: Option<&str>) -> String {
    printable(file.map_or("-", |file| file.rsplit('/').next().unwrap_or(file)))
}

fn print<const N: usize>(out: &mut impl Write, head: [&str; N], rows: Vec<[String; N]>) -> io::Result<()> {
    let head = head.map(str::to_owned);
    let width = |column: usize| {
        let cells = rows.iter().chain([&head]).map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in [&head].into_iter().chain(&rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// Without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// In at most four characters up to 999 days.
fn age(seconds: u64) -> String {
    match seconds {
        0..100 => format!("{seconds}s"),
        100..6000 => format!("{}m", seconds / 60),
        6000..360_000 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// In at most five characters, in powers of 1024.
fn bytes(count: u64) -> String {
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
    use underpass_core::control::Mechanism;

    use super::*;

    fn connection(configuration: u32) -> ConnectionStatus {
        ConnectionStatus {
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
            configuration,
            hop: 1,
            of: 3,
            url: "socks5h://10.0.0.1:1080".to_owned(),
            passed_over_seconds: Some(4),
            round_trip_microseconds: Some(20_480),
            failures: 3,
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
