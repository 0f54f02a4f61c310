//! A file that makes room for a new one before it is too large.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// `NAME`, and the older `NAME.1` … `NAME.keep`.
pub(super) struct Rotated {
    path: PathBuf,
    size: u64,
    keep: u32,
    file: File,
}

impl Rotated {
    /// Goes on where the file ends.
    pub(super) fn open(path: PathBuf, size: u64, keep: u32) -> io::Result<Self> {
        let file = open(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Ok(Self { path, size, keep, file })
    }

    fn older(&self, number: u32) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        name.into()
    }

    /// The oldest goes, each other becomes one older.
    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.keep).rev() {
            rename(&self.older(number), &self.older(number + 1))?;
        }
        rename(&self.path, &self.older(1))?;
        self.file = open(&self.path)?;
        Ok(())
    }

    /// It is asked for each time: a relay that drains writes here as well.
    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

impl Write for Rotated {
    /// All of a line, or nothing of it: what a full disk has taken is cut off again.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let added = line.len() as u64;
        let mut length = self.length()?;
        let is_full = |length| length > 0 && length + added > self.size;
        if is_full(length) {
            // The other may have made room already.
            self.file = open(&self.path)?;
            length = self.length()?;
        }
        if is_full(length) {
            self.rotate()?;
            length = self.length()?;
        }
        if let Err(error) = self.file.write_all(line) {
            // Not what another has written meanwhile.
            if self.length()? < length + added {
                self.file.set_len(length)?;
            }
            return Err(error);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is not there need not be renamed.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The file for what is to be appended. A line that a crash has cut short is ended.
fn open(path: &Path) -> io::Result<File> {
    let mut file = File::options()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        // A FIFO without a reader must not hold up the start.
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let length = metadata.len();
    let mut last = *b"\n";
    if length > 0 {
        file.seek(SeekFrom::Start(length - 1))?;
        file.read_exact(&mut last)?;
    }
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A relay that drains, and the one that has taken its place.
    #[test]
    fn of_two_that_write_one_makes_room_and_the_other_follows() {
        let folder = std::env::temp_dir().join(format!("underpass-audit-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("audit");
        let opened = || Rotated::open(path.clone(), 10, 3).unwrap();
        let (mut old, mut new) = (opened(), opened());
        old.write_all(b"0123456\n").unwrap();
        new.write_all(b"abc\n").unwrap();
        old.write_all(b"def\n").unwrap();
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        assert_eq!(read(&new.older(1)), "0123456\n");
        assert_eq!(read(&path), "abc\ndef\n");
        assert_eq!(read(&new.older(2)), "");
        fs::remove_dir_all(&folder).unwrap();
    }
}
