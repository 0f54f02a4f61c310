//! `--check`: whether the configuration is good and each hop of each chain serves us.

use std::env;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use underpass_core::upstream::{Login, Upstream};

use crate::agent::Checked;
use crate::configuration::{Found, logins};
use crate::messages::{Failure, answer, note};
use crate::session;

/// The exit status if a hop fails.
const HOP_FAILED: u8 = 1;

const RED: &str = "31";
const GREEN: &str = "32";

/// Tries all hops and prints a table; returns the exit status.
pub(crate) fn check(mut found: Found) -> Result<u8, Failure> {
    let mut warnings = std::mem::take(&mut found.warnings);
    if let Some(last) = warnings.pop() {
        for warning in &warnings {
            note(warning);
        }
        return Err(Failure::setup(last));
    }
    logins::fetch(&mut found)?;
    let table = Table::new(&found);
    if table.hops == 0 {
        answer("no chain, so there is nothing to try\n")?;
        return Ok(0);
    }
    answer(&table.head())?;
    let progress = Progress { shown: io::stderr().is_terminal(), of: table.hops };
    progress.show(0);
    let (mut tried, mut failed) = (0, false);
    let done = session::check(&found.config, |hop| {
        tried += 1;
        failed |= hop.failure.is_some();
        progress.clear();
        answer(&table.row(&hop, asks_login(&found, &hop)))?;
        progress.show(tried);
        Ok(())
    });
    progress.clear();
    done?;
    if tried < table.hops {
        return Err(Failure::setup(format_args!("{tried} of {} hops were tried", table.hops)));
    }
    Ok(if failed { HOP_FAILED } else { 0 })
}

/// Whether the hop knows us by credentials or keys.
fn asks_login(found: &Found, checked: &Checked) -> bool {
    let chain = found.config.chains.get(&checked.chain);
    match chain.and_then(|chain| chain.hops.get(checked.hop.checked_sub(1)?)) {
        Some(Upstream::Proxy(proxy)) => proxy.login != Login::Nobody,
        Some(Upstream::Ssh(_)) => true,
        _ => false,
    }
}

/// One row for each hop, in columns wide enough for all.
struct Table {
    chain: usize,
    hop: usize,
    name: usize,
    hops: usize,
    colour: bool,
}

impl Table {
    fn new(found: &Found) -> Self {
        // https://no-color.org: any value but an empty one.
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|term| term == "dumb");
        let mut table = Self {
            chain: "chain".len(),
            hop: "hop".len(),
            name: "upstream".len(),
            hops: 0,
            colour: !unwanted && io::stdout().is_terminal(),
        };
        for (name, chain) in &found.config.chains {
            table.chain = table.chain.max(name.chars().count());
            table.hop = table.hop.max(position(chain.hops.len(), chain.hops.len()).len());
            for hop in &chain.hops {
                table.name = table.name.max(hop.to_string().chars().count());
            }
            table.hops += chain.hops.len();
        }
        table
    }

    fn head(&self) -> String {
        self.columns("chain", "hop", "upstream", "result")
    }

    fn row(&self, checked: &Checked, login: bool) -> String {
        let result = match (&checked.failure, checked.millis) {
            (Some(failure), _) => format!("{}: {failure}", self.painted("failed", RED)),
            (None, millis) => {
                let mut result = self.painted("reachable", GREEN);
                result.push_str(if login { ", authenticated" } else { "" });
                let _ = millis.map(|millis| write!(result, ", {millis} ms"));
                let round_trip = checked.round_trip_microseconds;
                let _ = round_trip.map(|time| write!(result, ", round trip {}", milliseconds(time)));
                if !checked.refuses.is_empty() {
                    let _ = write!(result, ", refuses {}", checked.refuses.join(", "));
                }
                result
            }
        };
        let hop = position(checked.hop, checked.of);
        let mut row = self.columns(&checked.chain, &hop, &checked.name, &result);
        // Not the hint to do what is being done.
        if let Some(hint) = checked.hint.as_ref().filter(|hint| !hint.contains("--check")) {
            row.push_str(&self.columns("", "", "", &format!("hint: {hint}")));
        }
        row
    }

    fn columns(&self, chain: &str, hop: &str, name: &str, result: &str) -> String {
        let Self { chain: a, hop: b, name: c, .. } = self;
        format!("{chain:<a$}  {hop:<b$}  {name:<c$}  {result}\n")
    }

    fn painted(&self, word: &str, colour: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.to_owned() }
    }
}

fn milliseconds(micros: u64) -> String {
    format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10)
}

fn position(hop: usize, of: usize) -> String {
    format!("{hop} of {of}")
}

/// What is being done, on a terminal that shows it; gone at the end.
struct Progress {
    shown: bool,
    of: usize,
}

impl Progress {
    fn show(&self, tried: usize) {
        if self.shown && tried < self.of {
            let _ = write!(io::stderr(), "\rtrying hop {} of {} ...", tried + 1, self.of);
        }
    }

    fn clear(&self) {
        if self.shown {
            let _ = io::stderr().write_all(b"\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hop_has_a_row_and_its_hint_another() {
        let mut table = Table { chain: 5, hop: 6, name: 13, hops: 2, colour: false };
        let good = Checked {
            chain: "main".into(),
            hop: 1,
            of: 2,
            name: "socks5h://a:1".into(),
            millis: Some(12),
            round_trip_microseconds: None,
            refuses: Vec::new(),
            failure: None,
            hint: None,
        };
        assert_eq!(table.head(), "chain  hop     upstream       result\n");
        assert_eq!(table.row(&good, true), "main   1 of 2  socks5h://a:1  reachable, authenticated, 12 ms\n");
        let choosy = Checked {
            round_trip_microseconds: Some(4190),
            refuses: vec!["port 22".into(), "datagrams".into()],
            ..good.clone()
        };
        assert_eq!(
            table.row(&choosy, false),
            "main   1 of 2  socks5h://a:1  reachable, 12 ms, round trip 4.19 ms, refuses port 22, datagrams\n"
        );
        let bad = Checked { millis: None, failure: Some("no".into()), hint: Some("do".into()), ..good };
        assert_eq!(
            table.row(&bad, false),
            "main   1 of 2  socks5h://a:1  failed: no\n                              hint: do\n"
        );
        table.colour = true;
        assert!(table.row(&bad, false).contains("\x1b[31mfailed\x1b[0m: no"));
    }
}
