//! Markdown as the documents are written in it, as a man page.
//!
//! A table's row is a tagged paragraph: its first cell is the tag, the last one the text, and those between them stand
//! before it with what their columns are called.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use roff::{Inline, Roff, bold, italic, line_break, roman};

/// Appends a document, all but its title.
pub(super) fn append(page: &mut Roff, text: &str) {
    write(page, text, false);
}

/// Appends a text whose first paragraph has its macro already.
pub(super) fn append_words(page: &mut Roff, text: &str) {
    write(page, text, true);
}

fn write(page: &mut Roff, text: &str, pending: bool) {
    let mut writer =
        Writer { page, line: Vec::new(), fonts: Vec::new(), table: None, lists: Vec::new(), pending };
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        writer.take(event);
    }
    writer.flush();
}

struct Writer<'a> {
    page: &'a mut Roff,
    line: Vec<Inline>,
    fonts: Vec<Font>,
    table: Option<Table>,
    /// The number of the next item, of those lists that are numbered.
    lists: Vec<Option<u64>>,
    /// The paragraph has its macro already: a tagged one, or an item.
    pending: bool,
}

enum Font {
    Italic,
    Bold,
}

#[derive(Default)]
struct Table {
    head: Vec<String>,
    in_head: bool,
    row: Vec<Vec<Inline>>,
}

impl Writer<'_> {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.words(&text),
            Event::Code(text) => self.line.push(bold(&*text)),
            Event::SoftBreak => self.line.push(roman("\n")),
            Event::HardBreak => self.line.push(line_break()),
            // The documents have no HTML, no rules, no footnotes and no formulas.
            _ => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Paragraph => self.paragraph(),
            Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented) => {
                self.paragraph();
                self.page.control("RS", ["4"]).control("nf", []);
            }
            Tag::List(first) => {
                self.flush();
                if !self.lists.is_empty() {
                    self.page.control("RS", []);
                }
                self.lists.push(*first);
            }
            Tag::Item => {
                self.flush();
                match self.lists.last_mut() {
                    Some(Some(number)) => {
                        let label = format!("{number}.");
                        *number += 1;
                        self.page.control("IP", [label.as_str(), "4"]);
                    }
                    _ => {
                        self.page.control("IP", ["\\(bu", "2"]);
                    }
                }
                self.pending = true;
            }
            Tag::Table(_) => self.table = Some(Table::default()),
            Tag::TableHead => {
                if let Some(table) = &mut self.table {
                    table.in_head = true;
                }
            }
            Tag::Emphasis => self.fonts.push(Font::Italic),
            Tag::Strong => self.fonts.push(Font::Bold),
            Tag::Heading { .. } => self.flush(),
            _ => {}
        }
    }

    /// Begins one, unless its macro is there.
    fn paragraph(&mut self) {
        self.flush();
        if !std::mem::take(&mut self.pending) {
            self.page.control(if self.lists.is_empty() { "PP" } else { "IP" }, []);
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph => self.flush(),
            TagEnd::CodeBlock => {
                self.flush();
                self.page.control("fi", []).control("RE", []);
            }
            TagEnd::List(_) => {
                self.flush();
                self.pending = false;
                self.lists.pop();
                if !self.lists.is_empty() {
                    self.page.control("RE", []);
                }
            }
            TagEnd::Item => self.flush(),
            TagEnd::Heading(level) => {
                let words = plain(&std::mem::take(&mut self.line));
                // A heading makes room enough for the paragraph after it.
                self.pending = true;
                match level {
                    // The page has a title of its own.
                    HeadingLevel::H1 => {}
                    HeadingLevel::H2 => {
                        self.page.control("SH", [words.to_uppercase().as_str()]);
                    }
                    _ => {
                        self.page.control("SS", [words.as_str()]);
                    }
                }
            }
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.line);
                if let Some(table) = &mut self.table {
                    match table.in_head {
                        true => table.head.push(plain(&cell)),
                        false => table.row.push(cell),
                    }
                }
            }
            TagEnd::TableHead => {
                if let Some(table) = &mut self.table {
                    table.in_head = false;
                }
            }
            TagEnd::TableRow => self.row(),
            TagEnd::Table => self.table = None,
            TagEnd::Emphasis | TagEnd::Strong => {
                self.fonts.pop();
            }
            _ => {}
        }
    }

    fn words(&mut self, text: &str) {
        self.line.push(match self.fonts.last() {
            Some(Font::Italic) => italic(text),
            Some(Font::Bold) => bold(text),
            None => roman(text),
        });
    }

    fn row(&mut self) {
        let Some(table) = &mut self.table else { return };
        let mut cells = std::mem::take(&mut table.row).into_iter();
        let Some(tag) = cells.next() else { return };
        let last = cells.next_back().unwrap_or_default();
        let mut text = Vec::new();
        for (name, cell) in table.head.iter().skip(1).zip(cells).filter(|(_, cell)| !cell.is_empty()) {
            if !text.is_empty() {
                text.push(roman("; "));
            }
            text.push(italic(name));
            text.push(roman(": "));
            text.extend(cell);
        }
        if !text.is_empty() && !last.is_empty() {
            text.push(line_break());
        }
        text.extend(last);
        self.pending = false;
        match tag.is_empty() {
            // It goes on with what the row above is about.
            true => self.page.control("IP", []),
            false => self.page.control("TP", []).text(tag),
        };
        self.page.text(text);
    }

    fn flush(&mut self) {
        while self
            .line
            .last()
            .is_some_and(|last| matches!(last, Inline::Roman(text) if text.trim().is_empty()))
        {
            self.line.pop();
        }
        if !self.line.is_empty() {
            let mut line = std::mem::take(&mut self.line);
            // The last line of a block of code ends by itself.
            if let Some(Inline::Roman(text)) = line.last_mut() {
                text.truncate(text.trim_end_matches('\n').len());
            }
            self.page.text(line);
        }
    }
}

/// Without fonts.
fn plain(line: &[Inline]) -> String {
    let words = line.iter().map(|inline| match inline {
        Inline::Roman(text) | Inline::Italic(text) | Inline::Bold(text) => text.replace('"', ""),
        Inline::LineBreak => " ".to_owned(),
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> String {
        let mut page = Roff::new();
        append(&mut page, text);
        page.to_roff()
    }

    #[test]
    fn a_row_is_a_tagged_paragraph() {
        let text =
            "| key | value | default | meaning |\n| - | - | - | - |\n| `a` | x, *y* | | is [so](b.md) |\n";
        assert_eq!(page(text), ".TP\n\\fBa\\fR\n\\fIvalue\\fR: x, \\fIy\\fR\n.br\nis so\n");
    }

    #[test]
    fn headings_lists_and_code_have_their_macros() {
        let text = "# Title\n\n## One\n\nWords\nand words.\n\n- a\n- b\n\n```\n.x\n```\n";
        let made =
            ".SH ONE\nWords\nand words.\n.IP \\(bu 2\na\n.IP \\(bu 2\nb\n.PP\n.RS 4\n.nf\n\\&.x\n.fi\n.RE\n";
        assert_eq!(page(text), made);
    }
}
