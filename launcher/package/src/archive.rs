//! Archives in which nothing but names, modes and bytes tells one from another.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// A file at its place in an archive.
pub(crate) struct Entry {
    /// Without a slash at its beginning.
    pub(crate) path: String,
    pub(crate) mode: u32,
    pub(crate) bytes: Vec<u8>,
}

/// A tar archive of these files, in order of their paths, with the folders above them; all belongs to root. Paths
/// begin with `start`.
pub(crate) fn tar(mut entries: Vec<Entry>, start: &str, time: u64) -> io::Result<Vec<u8>> {
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let mut archive = Builder::new(Vec::new());
    let mut made: Vec<&str> = Vec::new();
    for Entry { path, mode, bytes } in &entries {
        for (end, _) in path.match_indices('/') {
            let folder = &path[..=end];
            if !made.contains(&folder) {
                put(&mut archive, EntryType::Directory, &format!("{start}{folder}"), 0o755, &[], time)?;
                made.push(folder);
            }
        }
        put(&mut archive, EntryType::Regular, &format!("{start}{path}"), *mode, bytes, time)?;
    }
    archive.into_inner()
}

fn put(
    archive: &mut Builder<Vec<u8>>,
    kind: EntryType,
    path: &str,
    mode: u32,
    bytes: &[u8],
    time: u64,
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(time);
    header.set_size(bytes.len() as u64);
    header.set_username("root")?;
    header.set_groupname("root")?;
    // As it stands: the form with a path takes the leading ./ away, which dpkg writes.
    let name = &mut header.as_old_mut().name;
    if path.len() >= name.len() {
        return Err(io::Error::other(format!("{path}: too long for the archive")));
    }
    name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
    archive.append(&header, bytes)
}

/// Compressed, without a name and a time.
pub(crate) fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    // 255: of no system.
    let mut writer = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    writer.write_all(bytes)?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str) -> Entry {
        Entry { path: path.to_owned(), mode: 0o644, bytes: path.as_bytes().to_vec() }
    }

    #[test]
    fn the_order_of_files_does_not_matter_and_folders_come_first() {
        let [a, b] = [["b", "a/c/d"], ["a/c/d", "b"]]
            .map(|paths| tar(paths.map(entry).into_iter().collect(), "./", 7).unwrap());
        assert_eq!(a, b);
        let mut archive = tar::Archive::new(&a[..]);
        let found: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                assert_eq!((header.uid().unwrap(), header.mtime().unwrap()), (0, 7));
                String::from_utf8(entry.path_bytes().into_owned()).unwrap()
            })
            .collect();
        assert_eq!(found, ["./a/", "./a/c/", "./a/c/d", "./b"]);
    }

    #[test]
    fn what_is_compressed_twice_is_the_same() {
        assert_eq!(gzip(b"text").unwrap(), gzip(b"text").unwrap());
        assert_eq!(gzip(b"text").unwrap()[4..8], [0; 4]);
    }

    #[test]
    fn a_path_that_does_not_fit_is_an_error() {
        assert!(tar(vec![entry(&"x".repeat(120))], "", 0).is_err());
    }
}
