//! What has come to the dead end, and the report of it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::owner::Owner;
use super::packet::{Packet, Protocol, To};

/// No more rows are kept; what comes then is counted as one.
const MAX_ROWS: usize = 1000;

/// The last line of each report.
const UNSEEN: &str = "underpass: leak test: not seen: what other processes send for the program, asked by a Unix socket or by \
                      one that they gave it\n";

#[derive(Default)]
pub(super) struct Tally {
    rows: BTreeMap<(Option<Owner>, String, To), u64>,
    /// Whose the packets of a flow are.
    flows: BTreeMap<(Protocol, u16, To), Owner>,
    others: u64,
}

impl Tally {
    /// Counts a packet; `find` is asked for what is not known of its flow.
    pub(super) fn count(&mut self, packet: &Packet, find: impl FnOnce() -> Option<Owner>) {
        let flow = (packet.protocol, packet.from, packet.to);
        let owner = match self.flows.get(&flow) {
            Some(owner) => Some(owner.clone()),
            None => {
                let found = find();
                if let Some(owner) = found.clone().filter(|_| self.flows.len() < MAX_ROWS) {
                    self.flows.insert(flow, owner);
                }
                found
            }
        };
        let row = (owner, packet.to_string(), packet.to);
        if self.rows.len() < MAX_ROWS || self.rows.contains_key(&row) {
            *self.rows.entry(row).or_default() += 1;
        } else {
            self.others += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A row for each process, kind and destination.
    pub(super) fn report(&self) -> String {
        let total = self.rows.values().sum::<u64>() + self.others;
        if total == 0 {
            return format!("underpass: leak test: nothing would have left past the proxy\n{UNSEEN}");
        }
        let packets = if total == 1 { "packet" } else { "packets" };
        let mut text = format!("underpass: leak test: {total} {packets} would have left past the proxy\n");
        let mut rows = vec![["PID", "PROGRAM", "KIND", "DESTINATION", "PACKETS"].map(str::to_owned)];
        for ((owner, kind, to), count) in &self.rows {
            let (process, program) = match owner {
                Some(owner) => (owner.process.to_string(), owner.program.clone()),
                None => ("-".to_owned(), "unknown, ended".to_owned()),
            };
            rows.push([process, program, kind.clone(), to.to_string(), count.to_string()]);
        }
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [0, 1, 2, 3].map(width);
        for [process, program, kind, to, count] in &rows {
            let [a, b, c, d] = widths;
            let _ = writeln!(text, "{process:<a$}  {program:<b$}  {kind:<c$}  {to:<d$}  {count}");
        }
        if self.others > 0 {
            let _ = writeln!(text, "and {} packets of other kinds or destinations", self.others);
        }
        text + UNSEEN
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::tests::frame;
    use super::*;

    #[test]
    fn packets_of_a_flow_are_one_row_though_the_process_has_ended() {
        let packet = Packet::read(&frame(6, 40_000, "192.0.2.1:80", &[0x02])).unwrap();
        let owner = Owner { process: 7, program: "/usr/bin/x".to_owned() };
        let mut tally = Tally::default();
        assert!(tally.report().starts_with("underpass: leak test: nothing would have left past the proxy\n"));
        tally.count(&packet, || Some(owner));
        tally.count(&packet, || None);
        assert_eq!(
            tally.report().trim_end_matches(UNSEEN),
            "underpass: leak test: 2 packets would have left past the proxy\n\
             PID  PROGRAM     KIND     DESTINATION   PACKETS\n\
             7    /usr/bin/x  TCP SYN  192.0.2.1:80  2\n"
        );
    }

    #[test]
    fn a_process_that_is_not_known_is_said_to_be_unknown() {
        let packet = Packet::read(&frame(1, 0, "192.0.2.1:0", &[])).unwrap();
        let mut tally = Tally::default();
        tally.count(&packet, || None);
        assert!(
            tally.report().contains("\n-    unknown, ended  ICMP  192.0.2.1    1\n"),
            "{}",
            tally.report()
        );
    }
}
