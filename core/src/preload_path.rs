//! Keeping our library first in `LD_PRELOAD`.
//!
//! ld.so(8) separates entries by spaces and by colons and offers no way to quote either, and it
//! only warns about an entry that it cannot load: the program then runs without us. So a path that
//! holds one of them is never written, and our entry is always present and always first.

/// Whether ld.so can load a library of this path from `LD_PRELOAD`: absolute, and without the
/// bytes that separate entries or end the variable.
pub fn is_safe(path: &[u8]) -> bool {
    path.first() == Some(&b'/') && !path.iter().any(|&b| matches!(b, b' ' | b':' | b'\t' | b'\n' | 0 | b'$'))
}

/// The other entries of `current`, in their order, without `library`.
pub fn others<'a>(library: &'a [u8], current: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    current.split(|b| matches!(b, b' ' | b':')).filter(move |entry| !entry.is_empty() && *entry != library)
}

/// Whether `current` needs no repair: our library is the first entry.
pub fn is_first(library: &[u8], current: &[u8]) -> bool {
    current.split(|b| matches!(b, b' ' | b':')).find(|entry| !entry.is_empty()) == Some(library)
}

/// The value with our library first and every other entry kept.
pub fn with_library(library: &[u8], current: &[u8]) -> Vec<u8> {
    let mut value = library.to_vec();
    for entry in others(library, current) {
        value.push(b':');
        value.extend_from_slice(entry);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &[u8] = b"/usr/lib/libunderpass.so";

    #[test]
    fn ours_comes_first_and_the_others_stay() {
        assert_eq!(with_library(OURS, b""), OURS);
        assert_eq!(with_library(OURS, b"/a.so /b.so:/c.so"), b"/usr/lib/libunderpass.so:/a.so:/b.so:/c.so");
        assert_eq!(with_library(OURS, b"/a.so:/usr/lib/libunderpass.so"), b"/usr/lib/libunderpass.so:/a.so");
        assert_eq!(with_library(OURS, b"::/usr/lib/libunderpass.so"), OURS);
    }

    #[test]
    fn only_the_first_place_needs_no_repair() {
        assert!(is_first(OURS, b" /usr/lib/libunderpass.so:/a.so"));
        assert!(!is_first(OURS, b"/a.so:/usr/lib/libunderpass.so"));
        assert!(!is_first(OURS, b""));
    }

    #[test]
    fn separators_and_relative_paths_are_unsafe() {
        assert!(is_safe(OURS));
        for path in [&b"/a b.so"[..], b"/a:b.so", b"a.so", b"", b"/$LIB/a.so", b"/a\nb"] {
            assert!(!is_safe(path), "{path:?}");
        }
    }
}
