//! The environment of this process as it is now: what is read of an array of `NAME=VALUE` (environ(7)).

use std::ffi::{CStr, c_char};

unsafe extern "C" {
    pub(crate) static mut environ: *const *const c_char;
}

/// The process's current environment array.
pub(crate) fn current() -> *const *const c_char {
    // SAFETY: reading the pointer is what every libc function that uses it does; a program that
    // replaces it at the same time in another thread has a race of its own.
    unsafe { environ }
}

/// The value of a variable of the current environment, for as long as nobody changes it.
pub(crate) fn variable(name: &[u8]) -> Option<&'static [u8]> {
    // SAFETY: `environ` is null or a null-terminated array of C strings (environ(7)).
    let mut entries = unsafe { entries(current()) };
    entries.find_map(|entry| value_of(entry, name))
}

/// Its value, if the entry is of this variable.
pub(crate) fn value_of<'a>(entry: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    entry.strip_prefix(name)?.strip_prefix(b"=")
}

/// # Safety
///
/// `array` is null or a null-terminated array of C strings that outlive the iterator.
pub(crate) unsafe fn entries<'a>(array: *const *const c_char) -> impl Iterator<Item = &'a [u8]> {
    let mut next = array;
    std::iter::from_fn(move || {
        if next.is_null() {
            return None;
        }
        // SAFETY: the array is null-terminated, and `next` does not go past the null.
        let entry = unsafe { *next };
        if entry.is_null() {
            return None;
        }
        // SAFETY: the entry was not the last, so the next one is within the array.
        next = unsafe { next.add(1) };
        // SAFETY: entries are C strings by the caller's promise.
        Some(unsafe { CStr::from_ptr(entry) }.to_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn miri_an_environment_is_read_to_its_null() {
        let array = [
            c"HOME=/root".as_ptr(),
            c"EMPTY=".as_ptr(),
            c"odd".as_ptr(),
            std::ptr::null(),
            c"BEHIND=1".as_ptr(),
        ];
        // SAFETY: it has a null, and its strings are literals.
        let read: Vec<_> = unsafe { entries(array.as_ptr()) }.collect();
        assert_eq!(read, [&b"HOME=/root"[..], b"EMPTY=", b"odd"]);
        // SAFETY: null is allowed.
        assert_eq!(unsafe { entries(std::ptr::null()) }.count(), 0);
    }

    #[test]
    fn a_value_is_that_of_the_whole_name() {
        assert_eq!(value_of(b"HOME=/root", b"HOME"), Some(&b"/root"[..]));
        assert_eq!(value_of(b"HOME=a=b", b"HOME"), Some(&b"a=b"[..]));
        assert_eq!(value_of(b"HOME", b"HOME"), None);
        assert_eq!(value_of(b"HOMES=/root", b"HOME"), None);
    }
}
