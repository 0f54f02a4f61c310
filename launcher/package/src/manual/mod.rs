//! Man pages: of the two programs from their options, and of the two files from the documents about them.

mod agent;
mod markdown;
mod underpass;

use std::fs;
use std::path::Path;

use roff::{Inline, Roff, bold, italic, roman};

use crate::content::{File, Kind};
use crate::{Failure, time};

/// All of them.
pub(crate) fn pages(source: &Path, time: u64) -> Result<Vec<File>, Failure> {
    let document = |name: &str| {
        let path = source.join("docs").join(name);
        fs::read_to_string(&path).map_err(|error| Failure::of(&path, &error))
    };
    let mut launcher = page("underpass", '1', "run any program through proxies and relays", time);
    underpass::append(&mut launcher);
    let mut agent = page("underpass-agent", '1', "carry the traffic of programs, and serve as a relay", time);
    agent::append(&mut agent);
    let mut chains = page("underpass.toml", '5', "configuration of chains and routes of underpass", time);
    of_a_file(&mut chains, &document("configuration.md")?, "underpass");
    let mut relay = page("relay.toml", '5', "configuration of a relay of underpass", time);
    of_a_file(&mut relay, &document("relay-configuration.md")?, "underpass-agent");
    let pages = [
        ("underpass.1", launcher),
        ("underpass-agent.1", agent),
        ("underpass.toml.5", chains),
        ("relay.toml.5", relay),
    ];
    let files = pages.into_iter().map(|(name, page)| File {
        name: name.to_owned(),
        kind: Kind::Manual(if name.ends_with('1') { '1' } else { '5' }),
        // A terminal for ASCII (LANG=C) would show nothing in its place.
        bytes: page.render().replace('…', "...").into_bytes(),
    });
    Ok(files.collect())
}

/// A page with its title and what it is about.
fn page(name: &str, section: char, about: &str, time: u64) -> Roff {
    let mut page = Roff::new();
    page.control(
        "TH",
        [name.to_uppercase().as_str(), &section.to_string(), &time::iso(time), "underpass", ""],
    );
    // Neither hyphens nor blanks are put into what may be typed.
    page.control("nh", []).control("ad", ["l"]);
    page.control("SH", ["NAME"]).text([roman(format!("{name} - {about}"))]);
    page
}

/// The page about a file: all of the document, and which program reads it.
fn of_a_file(page: &mut Roff, document: &str, program: &str) {
    page.control("SH", ["DESCRIPTION"]);
    markdown::append(page, document);
    see_also(page, &[(program, '1')]);
}

fn see_also(page: &mut Roff, others: &[(&str, char)]) {
    let mut line = Vec::new();
    for (name, section) in others {
        let comma = if line.is_empty() { "" } else { ", " };
        line.extend([roman(comma), bold(*name), roman(format!("({section})"))]);
    }
    page.control("SH", ["SEE ALSO"]).text(line);
}

/// A paragraph after a tag; the text is Markdown.
fn tagged(page: &mut Roff, tag: Vec<Inline>, text: &str) {
    page.control("TP", []).text(tag);
    markdown::append_words(page, text);
}

/// An option as a tag: `-x, --proxy URL`.
fn option(short: Option<char>, long: Option<&str>, value: Option<&str>) -> Vec<Inline> {
    let mut tag = Vec::new();
    tag.extend(short.map(|letter| bold(format!("-{letter}"))));
    if short.is_some() && long.is_some() {
        tag.push(roman(", "));
    }
    tag.extend(long.map(|word| bold(format!("--{word}"))));
    tag.extend(value.map(|word| italic(format!(" {word}"))));
    tag
}
