//! The running chains as a diagram: programs, chains, hops, and where connections end, in the languages of Graphviz
//! (dot(1), <https://graphviz.org/doc/info/lang.html>) and of Mermaid (<https://mermaid.js.org/syntax/flowchart.html>).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::time::Duration;

use underpass_core::config::Kind;
use underpass_core::control::{ConnectionStatus, HopStatus};

use crate::table::{bytes, name, state};

/// Programs that are drawn; what the others have is one box.
const PROGRAMS: usize = 24;

/// What the diagram is written in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Dot,
    Mermaid,
}

/// What goes along one arrow.
#[derive(Clone, Copy, Default)]
struct Traffic {
    connections: u64,
    up: u64,
    down: u64,
}

impl Traffic {
    fn add(&mut self, other: Self) {
        self.connections += other.connections;
        self.up = self.up.saturating_add(other.up);
        self.down = self.down.saturating_add(other.down);
    }

    fn words(self) -> String {
        let plural = if self.connections == 1 { "" } else { "s" };
        let Self { connections, up, down } = self;
        format!("{connections} connection{plural}\nup {}, down {}", bytes(up), bytes(down))
    }
}

/// A chain of one configuration; without a name, no chain: direct.
type Way = (u32, Option<String>);

/// What is to be drawn.
#[derive(Default)]
pub(crate) struct Diagram {
    programs: BTreeMap<String, BTreeMap<Way, Traffic>>,
    destinations: BTreeMap<Way, BTreeSet<String>>,
    hops: BTreeMap<Way, Vec<HopStatus>>,
}

impl Diagram {
    pub(crate) fn connection(&mut self, it: &ConnectionStatus) {
        let way = (it.configuration, it.chain.clone());
        // Direct connections of all configurations go the same way.
        let way = if way.1.is_none() { (0, None) } else { way };
        let traffic = Traffic { connections: 1, up: it.bytes_up, down: it.bytes_down };
        let ways = self.programs.entry(name(it.program.as_deref())).or_default();
        ways.entry(way.clone()).or_default().add(traffic);
        self.destinations.entry(way).or_default().insert(it.destination.clone());
    }

    pub(crate) fn hop(&mut self, it: HopStatus) {
        self.hops.entry((it.configuration, Some(it.chain.clone()))).or_default().push(it);
    }

    pub(crate) fn print(mut self, language: Language, out: &mut impl Write) -> io::Result<()> {
        self.join_programs();
        let mut drawn = Drawn { language, out };
        drawn.begin()?;
        let of_hops = self.hops.keys();
        let ways: BTreeSet<Way> = of_hops.chain(self.destinations.keys()).cloned().collect();
        let chains =
            || ways.iter().filter_map(|(configuration, chain)| chain.as_ref().map(|_| configuration));
        let several = chains().any(|number| Some(number) != chains().next());
        for (number, way) in ways.iter().enumerate() {
            self.way(&mut drawn, number, way, several)?;
        }
        for (number, (program, to)) in self.programs.iter().enumerate() {
            let id = format!("program{number}");
            drawn.node(&id, Shape::Program, program)?;
            for (way, traffic) in to {
                let at = ways.iter().position(|known| known == way).unwrap_or_default();
                drawn.arrow(&id, &format!("chain{at}"), Some(&traffic.words()))?;
            }
        }
        drawn.end()
    }

    /// All programs beyond the first [`PROGRAMS`], those with most connections, become one.
    fn join_programs(&mut self) {
        let total = |ways: &BTreeMap<Way, Traffic>| ways.values().map(|it| it.connections).sum::<u64>();
        let mut by_number: Vec<_> = std::mem::take(&mut self.programs).into_iter().collect();
        by_number.sort_by_key(|(_, ways)| std::cmp::Reverse(total(ways)));
        let rest = by_number.split_off(by_number.len().min(PROGRAMS));
        self.programs = by_number.into_iter().collect();
        if rest.is_empty() {
            return;
        }
        let others = self.programs.entry(format!("{} other programs", rest.len())).or_default();
        for (way, traffic) in rest.into_iter().flat_map(|(_, ways)| ways) {
            others.entry(way).or_default().add(traffic);
        }
    }

    /// A chain with its hops and where it leads.
    fn way(
        &self,
        drawn: &mut Drawn<'_, impl Write>,
        number: usize,
        way: &Way,
        several: bool,
    ) -> io::Result<()> {
        let (chain, end) = (format!("chain{number}"), format!("destinations{number}"));
        let hops = self.hops.get(way).map_or(&[][..], Vec::as_slice);
        let kind = hops.first().map_or(Kind::Strict, |hop| hop.kind);
        let title = match &way.1 {
            Some(name) if several => format!("chain {name}#{}\n{}", way.0, kind.as_str()),
            Some(name) => format!("chain {name}\n{}", kind.as_str()),
            None => "direct".to_owned(),
        };
        drawn.node(&chain, Shape::Chain, &title)?;
        let in_a_row = matches!(kind, Kind::Strict | Kind::Dynamic);
        let mut exits = Vec::new();
        for hop in hops {
            let id = format!("hop{number}_{}", hop.hop);
            let is_exit = !in_a_row || hop.hop == hop.of;
            let role = if is_exit { "exit" } else { "hop" };
            let title = format!("{role} {} of {}\n{}\n{}", hop.hop, hop.of, hop.url, health(hop));
            let is_down = hop.failures > 0;
            drawn.node(&id, if is_down { Shape::Down } else { Shape::Hop }, &title)?;
            let before = match hop.hop {
                2.. if in_a_row => format!("hop{number}_{}", hop.hop - 1),
                _ => chain.clone(),
            };
            drawn.arrow(&before, &id, None)?;
            if is_exit {
                exits.push(id);
            }
        }
        let Some(destinations) = self.destinations.get(way) else { return Ok(()) };
        let title = match (destinations.len(), destinations.first()) {
            (1, Some(only)) => only.clone(),
            (number, _) => format!("{number} destinations"),
        };
        drawn.node(&end, Shape::End, &title)?;
        if exits.is_empty() {
            exits.push(chain);
        }
        exits.iter().try_for_each(|exit| drawn.arrow(exit, &end, None))
    }
}

fn health(hop: &HopStatus) -> String {
    let state = state(hop);
    match hop.round_trip_microseconds.map(Duration::from_micros) {
        Some(time) => format!("{state}, {:.1} ms", time.as_secs_f64() * 1e3),
        None => state,
    }
}

/// What a box stands for.
#[derive(Clone, Copy)]
enum Shape {
    Program,
    Chain,
    Hop,
    /// A hop that has failed, and has not served since.
    Down,
    End,
}

/// A diagram that is being written.
struct Drawn<'a, W> {
    language: Language,
    out: &'a mut W,
}

impl<W: Write> Drawn<'_, W> {
    fn begin(&mut self) -> io::Result<()> {
        match self.language {
            Language::Dot => {
                writeln!(self.out, "digraph underpass {{\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];")
            }
            Language::Mermaid => writeln!(self.out, "flowchart LR\n  classDef down stroke:#c00,color:#c00"),
        }
    }

    fn node(&mut self, id: &str, shape: Shape, text: &str) -> io::Result<()> {
        let text = self.quoted(text);
        match self.language {
            Language::Dot => {
                let look = match shape {
                    Shape::Program => "shape=box, style=rounded",
                    Shape::Chain => "shape=cds",
                    Shape::Hop => "shape=box",
                    Shape::Down => "shape=box, color=\"#cc0000\", fontcolor=\"#cc0000\"",
                    Shape::End => "shape=ellipse",
                };
                writeln!(self.out, "  {id} [{look}, label={text}];")
            }
            Language::Mermaid => {
                let (open, close) = match shape {
                    Shape::Program => ("(", ")"),
                    Shape::Chain => (">", "]"),
                    Shape::Hop => ("[", "]"),
                    Shape::Down => ("[", "]:::down"),
                    Shape::End => ("([", "])"),
                };
                writeln!(self.out, "  {id}{open}{text}{close}")
            }
        }
    }

    fn arrow(&mut self, from: &str, to: &str, text: Option<&str>) -> io::Result<()> {
        let text = text.map(|text| self.quoted(text));
        match (self.language, text) {
            (Language::Dot, Some(text)) => writeln!(self.out, "  {from} -> {to} [label={text}];"),
            (Language::Dot, None) => writeln!(self.out, "  {from} -> {to};"),
            (Language::Mermaid, Some(text)) => writeln!(self.out, "  {from} -->|{text}| {to}"),
            (Language::Mermaid, None) => writeln!(self.out, "  {from} --> {to}"),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match self.language {
            Language::Dot => writeln!(self.out, "}}"),
            Language::Mermaid => Ok(()),
        }
    }

    /// A text in quotes, in which nothing has a meaning but the ends of lines.
    fn quoted(&self, text: &str) -> String {
        let mut quoted = String::from("\"");
        for c in text.chars() {
            match (self.language, c) {
                (Language::Dot, '\n') => quoted.push_str("\\n"),
                (Language::Dot, '"' | '\\') => quoted.extend(['\\', c]),
                (Language::Mermaid, '\n') => quoted.push_str("<br/>"),
                // Mermaid's own entities: letters and digits alone are plain text to it and to a browser.
                (Language::Mermaid, c)
                    if !c.is_alphanumeric() && !" .,:/-".contains(c) && !c.is_control() =>
                {
                    quoted.push_str(&format!("#{};", u32::from(c)));
                }
                (_, c) if c.is_control() => quoted.push('?'),
                (_, c) => quoted.push(c),
            }
        }
        quoted.push('"');
        quoted
    }
}

#[cfg(test)]
mod tests;
