//! Arrays of C strings for the exec family, where nothing may be allocated: in the child of a vfork, and in signal
//! handlers.

use std::ffi::c_char;

use rustix::mm::{MapFlags, ProtFlags};

/// Real ones have a few dozen; a longer one is made in a mapping.
const ON_STACK: usize = 1024;

/// Calls `start` with an array of these strings and a null behind them; `count` is not less than their number. Without
/// memory the strings are `least`, at most two.
pub(crate) fn with_array<T>(
    count: usize,
    strings: impl Iterator<Item = *const c_char>,
    least: impl Iterator<Item = *const c_char>,
    start: impl FnOnce(*const *const c_char) -> T,
) -> T {
    // One place stays null.
    let places = count + 1;
    if places <= ON_STACK {
        let mut stack = [std::ptr::null::<c_char>(); ON_STACK];
        fill(&mut stack, strings);
        return start(stack.as_ptr());
    }
    let bytes = places * size_of::<*const c_char>();
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: a fresh mapping at an address of the kernel's choice.
    let Ok(mapping) = (unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), bytes, protection, flags) })
    else {
        let mut few = [std::ptr::null::<c_char>(); 3];
        fill(&mut few, least);
        return start(few.as_ptr());
    };
    // SAFETY: the mapping has room for `places` pointers, is aligned to a page, and is ours alone;
    // all zero bytes are null pointers.
    fill(unsafe { std::slice::from_raw_parts_mut(mapping.cast(), places) }, strings);
    let started = start(mapping.cast::<*const c_char>());
    // SAFETY: the mapping made above, which nothing uses any more.
    let _ = unsafe { rustix::mm::munmap(mapping, bytes) };
    started
}

/// All but the last place, which stays null.
fn fill(places: &mut [*const c_char], strings: impl Iterator<Item = *const c_char>) {
    let last = places.len().saturating_sub(1);
    for (place, string) in places.iter_mut().take(last).zip(strings) {
        *place = string;
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    /// What a program that is started with the array would read of it.
    fn read(array: *const *const c_char) -> Vec<&'static CStr> {
        let places = (0..).map(|place| {
            // SAFETY: nothing is read behind the null, which these tests are about.
            unsafe { *array.add(place) }
        });
        // SAFETY: each string below is a literal.
        places
            .take_while(|string| !string.is_null())
            .map(|string| unsafe { CStr::from_ptr(string) })
            .collect()
    }

    #[test]
    fn miri_an_array_has_all_strings_and_a_null_behind_them() {
        let (first, last) = (c"HOME=/root", c"LANG=C");
        // The most that the stack has room for, and more.
        for count in [1, 2, ON_STACK - 1, ON_STACK, ON_STACK + 1] {
            let strings = std::iter::repeat_n(first.as_ptr(), count - 1).chain([last.as_ptr()]);
            let read = with_array(count, strings, std::iter::empty(), read);
            assert_eq!(read.len(), count);
            assert_eq!(read.last(), Some(&last));
        }
    }

    #[test]
    fn miri_fewer_strings_than_were_announced_end_in_null_too() {
        for count in [5, ON_STACK + 5] {
            let strings = [c"ONE=1".as_ptr()].into_iter();
            assert_eq!(with_array(count, strings, std::iter::empty(), read), [c"ONE=1"]);
        }
    }
}
