//! Files that grow by whole lines, and hold no part of one: a full disk must not join two of them.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

/// An append-only file of lines.
pub(crate) struct Lines {
    file: File,
}

impl Lines {
    /// Opens or makes the file, and reads its lines. An unfinished last line is cut off.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Vec<String>)> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = File::options().read(true).append(true).create(true).open(path).map_err(named)?;
        let mut reader = BufReader::new(&file);
        let (mut lines, mut whole) = (Vec::new(), 0);
        loop {
            let mut line = Vec::new();
            let length = reader.read_until(b'\n', &mut line).map_err(named)?;
            if line.pop() != Some(b'\n') {
                break;
            }
            whole += length as u64;
            let line = String::from_utf8(line).map_err(|_| named(io::ErrorKind::InvalidData.into()))?;
            lines.push(line);
        }
        file.set_len(whole).map_err(named)?;
        Ok((Self { file }, lines))
    }

    /// Puts a file with these lines in the place of the one at `path`, at once or not at all.
    pub(crate) fn replace(&mut self, path: &Path, lines: impl Iterator<Item = String>) -> io::Result<()> {
        let beside = path.with_extension("new");
        let file = File::options().create(true).truncate(true).write(true).open(&beside)?;
        let mut writer = BufWriter::new(&file);
        for line in lines {
            writeln!(writer, "{line}")?;
        }
        writer.flush()?;
        drop(writer);
        fs::rename(&beside, path)?;
        self.file = File::options().append(true).open(path)?;
        Ok(())
    }

    /// Appends a line, which holds no newline, or nothing.
    pub(crate) fn append(&self, line: &str) -> io::Result<()> {
        let before = self.file.metadata()?.len();
        let written = (&self.file).write_all(format!("{line}\n").as_bytes());
        if written.is_err() {
            self.file.set_len(before)?;
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_line_is_cut_off() {
        let path = std::env::temp_dir().join(format!("underpass-lines-{}", std::process::id()));
        std::fs::write(&path, "one\ntwo\nthr").unwrap();
        let (lines, found) = Lines::open(&path).unwrap();
        assert_eq!(found, ["one", "two"]);
        lines.append("three").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
        let mut lines = lines;
        lines.replace(&path, ["four".to_owned()].into_iter()).unwrap();
        lines.append("five").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "four\nfive\n");
        std::fs::remove_file(path).unwrap();
    }
}
