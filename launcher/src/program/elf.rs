//! Reads what is needed of an ELF file (elf(5)) and no more, from bytes that nobody vouches for:
//! every field is bounded before use, and what cannot be read counts as absent.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Headers and names longer than this are not read.
const MOST: usize = 64 * 1024;

const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
/// Type of the note that Go's linker writes, with the name "Go".
const GO_BUILD_ID: u32 = 4;

const SHT_DYNSYM: u64 = 11;
/// `Elf64_Sym`
const SYMBOL: usize = 24;
/// Bytes of symbols that are read, and of the name of each.
const MOST_SYMBOLS: u64 = 1 << 20;
const LONGEST_NAME: usize = 32;

/// Bytes at offsets. A read past the end gives what there is.
pub(crate) trait Source {
    fn read(&self, offset: u64, length: usize) -> Vec<u8>;
}

impl Source for File {
    fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length.min(MOST)];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset.saturating_add(filled as u64)) {
                Ok(0) | Err(_) => break,
                Ok(count) => filled += count,
            }
        }
        bytes.truncate(filled);
        bytes
    }
}

impl Source for [u8] {
    fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let end = start.saturating_add(length.min(MOST)).min(self.len());
        self[start..end].to_vec()
    }
}

/// The width of a program's words, and their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// 64-bit, little-endian: the only one of which more is read.
    Native,
    /// 32-bit, little-endian.
    Bits32,
    /// Big-endian, or unknown.
    Other,
}

/// What an ELF file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Elf {
    pub(crate) class: Class,
    /// `e_machine`.
    pub(crate) machine: u16,
    /// `ET_DYN`: can be loaded anywhere.
    pub(crate) position_independent: bool,
    /// `PT_INTERP`: who loads it. Without one it is static, or itself a loader.
    pub(crate) loader: Option<Vec<u8>>,
    /// Built by Go's own compiler, which does not call libc to reach the network.
    pub(crate) go: bool,
}

/// Reads the file; `None` where it is no ELF file, or not a whole one.
pub(crate) fn read(source: &(impl Source + ?Sized)) -> Option<Elf> {
    let header = source.read(0, 64);
    if !header.starts_with(b"\x7fELF") {
        return None;
    }
    let class = match header.get(4..6)? {
        [2, 1] => Class::Native,
        [1, 1] => Class::Bits32,
        _ => Class::Other,
    };
    let mut elf = Elf {
        class,
        machine: number(&header, 18, 2)? as u16,
        position_independent: number(&header, 16, 2)? == 3,
        loader: None,
        go: false,
    };
    if class != Class::Native {
        return Some(elf);
    }
    let segments = Table {
        offset: number(&header, 32, 8)?,
        entry: number(&header, 54, 2)? as usize,
        count: number(&header, 56, 2)? as usize,
    };
    for segment in segments.read(source).chunks_exact(segments.entry.max(1)) {
        let (Some(kind), Some(offset), Some(size)) =
            (number(segment, 0, 4), number(segment, 8, 8), number(segment, 32, 8))
        else {
            break;
        };
        let bytes = || source.read(offset, usize::try_from(size).unwrap_or(MOST));
        match kind as u32 {
            PT_INTERP if elf.loader.is_none() => {
                let mut path = bytes();
                path.truncate(path.iter().position(|&byte| byte == 0).unwrap_or(path.len()));
                elf.loader = Some(path);
            }
            PT_NOTE => elf.go |= has_go_note(&bytes()),
            _ => {}
        }
    }
    elf.go |= has_go_section(source, &header).unwrap_or(false);
    Some(elf)
}

/// Which of these functions the file takes from libraries, by its section `.dynsym`; none where it has no sections.
pub(crate) fn imports<'a>(source: &(impl Source + ?Sized), wanted: &[&'a str]) -> Vec<&'a str> {
    let names = imported(source).unwrap_or_default();
    wanted.iter().copied().filter(|wanted| names.iter().any(|name| name == wanted.as_bytes())).collect()
}

fn imported(source: &(impl Source + ?Sized)) -> Option<Vec<Vec<u8>>> {
    let table = sections(&source.read(0, 64))?;
    let table = (table.read(source), table.entry.max(1));
    let section = |index| table.0.chunks_exact(table.1).nth(index);
    let of_kind = |section: &&[u8]| number(section, 4, 4) == Some(SHT_DYNSYM);
    let symbols = table.0.chunks_exact(table.1).find(of_kind)?;
    let names_at = number(section(number(symbols, 40, 4)? as usize)?, 24, 8)?;
    let (offset, size) = (number(symbols, 24, 8)?, number(symbols, 32, 8)?);
    let mut names = Vec::new();
    for at in (0..size.min(MOST_SYMBOLS)).step_by(SYMBOL) {
        let symbol = source.read(offset.checked_add(at)?, SYMBOL);
        // Defined nowhere in the file.
        if number(&symbol, 6, 2)? == 0 {
            let mut name = source.read(names_at.checked_add(number(&symbol, 0, 4)?)?, LONGEST_NAME);
            name.truncate(name.iter().position(|&byte| byte == 0).unwrap_or(0));
            names.push(name);
        }
    }
    Some(names)
}

/// A table of headers: program headers or section headers.
struct Table {
    offset: u64,
    entry: usize,
    count: usize,
}

impl Table {
    fn read(&self, source: &(impl Source + ?Sized)) -> Vec<u8> {
        source.read(self.offset, self.entry.saturating_mul(self.count))
    }
}

/// `.note.go.buildid` as a segment, which stays where the section headers were removed.
fn has_go_note(mut notes: &[u8]) -> bool {
    while let (Some(name), Some(description), Some(kind)) =
        (number(notes, 0, 4), number(notes, 4, 4), number(notes, 8, 4))
    {
        if kind as u32 == GO_BUILD_ID && notes.get(12..16) == Some(b"Go\0\0") {
            return true;
        }
        let padded = |size: u64| size.next_multiple_of(4) as usize;
        let Some(rest) = notes.get(12 + padded(name) + padded(description)..) else { break };
        notes = rest;
    }
    false
}

/// `.go.buildinfo`, which is also in a Go program that was linked by the system's linker, or
/// without a build ID.
fn has_go_section(source: &(impl Source + ?Sized), header: &[u8]) -> Option<bool> {
    let sections = sections(header)?;
    let names_at = number(header, 62, 2)? as usize;
    let table = sections.read(source);
    let section = table.chunks_exact(sections.entry.max(1)).nth(names_at)?;
    let names = source.read(number(section, 24, 8)?, usize::try_from(number(section, 32, 8)?).ok()?);
    Some(names.split(|&byte| byte == 0).any(|name| matches!(name, b".go.buildinfo" | b".note.go.buildid")))
}

fn sections(header: &[u8]) -> Option<Table> {
    let (offset, entry, count) = (number(header, 40, 8)?, number(header, 58, 2)?, number(header, 60, 2)?);
    Some(Table { offset, entry: entry as usize, count: count as usize })
}

/// A little-endian number of up to eight bytes.
fn number(bytes: &[u8], offset: usize, size: usize) -> Option<u64> {
    let field = bytes.get(offset..offset.checked_add(size)?)?;
    Some(field.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An ELF file with a loader, if one is given, and notes.
    pub(crate) fn crafted(loader: Option<&str>, notes: &[u8]) -> Vec<u8> {
        let loader = loader.map(|loader| [loader.as_bytes(), b"\0"].concat()).unwrap_or_default();
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(64, 0);
        file[16] = 3;
        file[18] = 62;
        file[32] = 64;
        file[54] = 56;
        file[56] = 2;
        let mut offset = 64 + 2 * 56;
        for (kind, bytes) in [(PT_INTERP, &loader[..]), (PT_NOTE, notes)] {
            let mut segment = [0u8; 56];
            segment[0] = if bytes.is_empty() { 0 } else { kind as u8 };
            segment[8..16].copy_from_slice(&(offset as u64).to_le_bytes());
            segment[32..40].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
            file.extend_from_slice(&segment);
            offset += bytes.len();
        }
        [&file[..], &loader, notes].concat()
    }

    #[test]
    fn the_loader_is_read() {
        let elf = read(&crafted(Some("/lib/ld.so"), b"")[..]).unwrap();
        assert_eq!(elf.loader.as_deref(), Some(&b"/lib/ld.so"[..]));
        assert_eq!(elf.class, Class::Native);
        assert!(elf.position_independent && !elf.go && elf.machine == 62);
        assert_eq!(read(&crafted(None, b"")[..]).unwrap().loader, None);
    }

    #[test]
    fn gos_note_is_found_behind_another() {
        let other = b"\x04\0\0\0\x05\0\0\0\x01\0\0\0GNU\0abcde\0\0\0";
        let go = b"\x04\0\0\0\x04\0\0\0\x04\0\0\0Go\0\0abcd";
        assert!(read(&crafted(Some("/l"), &[&other[..], go].concat())[..]).unwrap().go);
        assert!(!read(&crafted(Some("/l"), other)[..]).unwrap().go);
    }

    #[test]
    fn no_prefix_of_a_real_file_panics() {
        let whole = std::fs::read("/bin/true").unwrap();
        for end in 0..whole.len().min(4096) {
            let _ = read(&whole[..end]);
        }
        let elf = read(&whole[..]).unwrap();
        assert!(elf.loader.is_some() && !elf.go);
    }

    #[test]
    fn what_a_program_imports_is_found_by_whole_names() {
        let whole = std::fs::read("/bin/true").unwrap();
        assert_eq!(
            imports(&whole[..], &["unshare", "abor", "abort", "__libc_start_main"]),
            ["abort", "__libc_start_main"]
        );
        for end in 0..whole.len() {
            let _ = imports(&whole[..end], &[]);
        }
        assert!(imports(&crafted(None, b"")[..], &["abort"]).is_empty());
    }

    #[test]
    fn no_single_wrong_byte_in_the_headers_panics() {
        let whole = std::fs::read("/bin/true").unwrap();
        for at in 0..1024 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut file = whole.clone();
                file[at] = value;
                let _ = read(&file[..]);
                let _ = imports(&file[..], &[]);
            }
        }
    }

    #[test]
    fn what_is_no_elf_file_is_none() {
        for bytes in [&b""[..], b"#!/bin/sh\n", b"\x7fEL", b"\x7fELF", b"\x7fELF\x02\x01"] {
            assert_eq!(read(bytes), None);
        }
    }
}
