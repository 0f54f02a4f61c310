//! Files that grow by whole lines, and hold no part of one: a full disk must not join two of them. Two processes may
//! write one, while an agent takes the place of another.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use parking_lot::Mutex;
use rustix::fs::FlockOperation;

/// An append-only file of lines.
pub(crate) struct Lines {
    file: File,
    /// How much of it has been read or written here.
    known: Mutex<u64>,
}

/// The file is ours alone as long as this lives, of all that write it.
struct Alone<'a>(&'a File);

impl<'a> Alone<'a> {
    fn with(file: &'a File) -> io::Result<Self> {
        rustix::fs::flock(file, FlockOperation::LockExclusive)?;
        Ok(Self(file))
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        let _ = rustix::fs::flock(self.0, FlockOperation::Unlock);
    }
}

impl Lines {
    /// Opens or makes the file, and reads its lines. An unfinished last line is cut off.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Vec<String>)> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = File::options().read(true).append(true).create(true).open(path).map_err(named)?;
        let alone = Alone::with(&file).map_err(named)?;
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
        drop(alone);
        Ok((Self { file, known: Mutex::new(whole) }, lines))
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
        *self.known.get_mut() = self.file.metadata()?.len();
        Ok(())
    }

    /// The lines that others have appended since it was read last.
    pub(crate) fn news(&self) -> io::Result<Vec<String>> {
        self.catch_up(&mut self.known.lock())
    }

    fn catch_up(&self, known: &mut u64) -> io::Result<Vec<String>> {
        let length = self.file.metadata()?.len();
        if length <= *known {
            return Ok(Vec::new());
        }
        let mut bytes = vec![0; usize::try_from(length - *known).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, *known)?;
        // What has no end yet is still being written.
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        *known += whole as u64;
        let text = std::str::from_utf8(&bytes[..whole]).map_err(io::Error::other)?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Appends the line that `make` makes of what others have appended meanwhile, if it makes one. Nobody else appends in
    /// between.
    pub(crate) fn append_after(&self, make: impl FnOnce(Vec<String>) -> Option<String>) -> io::Result<()> {
        let _alone = Alone::with(&self.file)?;
        let mut known = self.known.lock();
        match make(self.catch_up(&mut known)?) {
            Some(line) => self.write(&line, &mut known),
            None => Ok(()),
        }
    }

    /// Appends a line, which holds no newline, or nothing.
    pub(crate) fn append(&self, line: &str) -> io::Result<()> {
        let _alone = Alone::with(&self.file)?;
        self.write(line, &mut self.known.lock())
    }

    fn write(&self, line: &str, known: &mut u64) -> io::Result<()> {
        let before = self.file.metadata()?.len();
        let line = format!("{line}\n");
        let written = (&self.file).write_all(line.as_bytes());
        match written {
            Ok(()) => *known = before + line.len() as u64,
            Err(_) => self.file.set_len(before)?,
        }
        written
    }
}

/// For the owner alone.
const PRIVATE: u32 = 0o600;

/// A log, which is written a line at a time: all of one, or nothing of it.
pub(crate) struct Log(Mutex<File>);

impl Log {
    /// To be appended to. It tells where programs connect to: nobody else reads it, as it was or as it will be.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).mode(PRIVATE).open(path)?;
        file.set_permissions(Permissions::from_mode(PRIVATE))?;
        Ok(Self(Mutex::new(file)))
    }
}

impl Write for &Log {
    /// What a full disk has taken of a line is cut off again.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut file = self.0.lock();
        let before = file.metadata()?.len();
        if let Err(error) = file.write_all(line) {
            file.set_len(before)?;
            return Err(error);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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

    #[test]
    fn what_another_has_appended_is_seen_before_the_next_line() {
        let path = std::env::temp_dir().join(format!("underpass-lines-two-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let (one, _) = Lines::open(&path).unwrap();
        let (other, _) = Lines::open(&path).unwrap();
        one.append("a").unwrap();
        one.append("b").unwrap();
        let mut seen = Vec::new();
        let take = |news| {
            seen = news;
            Some("c".to_owned())
        };
        other.append_after(take).unwrap();
        assert_eq!(seen, ["a", "b"]);
        assert_eq!(one.news().unwrap(), ["c"]);
        assert_eq!((one.news().unwrap().len(), other.news().unwrap().len()), (0, 0));
        other.append_after(|news| news.into_iter().next()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\nb\nc\n");
        std::fs::remove_file(path).unwrap();
    }
}
