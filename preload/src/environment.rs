//! The environment of this process, and of the programs that it starts: every exec goes on in the
//! same session, whatever became of the variables.

use std::ffi::{CStr, c_char};

use underpass_core::preload_path;
use underpass_core::session_env::{OUTSIDE, SessionEnv, VARIABLE};

use crate::pointers::with_array;
use crate::session;

const PRELOAD: &[u8] = b"LD_PRELOAD";

/// Room for the two variables that may have to be written anew.
const STACK_BYTES: usize = 8192;

unsafe extern "C" {
    static mut environ: *const *const c_char;
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

fn value_of<'a>(entry: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
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

/// What a program's environment lacks to go on in the session.
#[derive(Debug, PartialEq, Eq)]
struct Repair {
    preload: bool,
    session: bool,
}

/// Judges an environment by its two variables.
fn judge(library: &[u8], preload: Option<&[u8]>, session: Option<&[u8]>) -> Repair {
    if session == Some(OUTSIDE.as_bytes()) {
        return Repair { preload: false, session: false };
    }
    let has_session = session.is_some_and(|value| SessionEnv::parse(value).is_some());
    let ours_first = preload.is_some_and(|value| preload_path::is_first(library, value));
    // A launcher inside a session starts its program in a session, and perhaps with a library, of
    // its own; that is no loss of ours.
    let other = has_session
        && preload.is_some_and(|value| {
            let mut names = preload_path::others(library, value);
            names.any(|entry| {
                entry.rsplit(|&b| b == b'/').next().is_some_and(|name| name.starts_with(b"libunderpass"))
            })
        });
    Repair { preload: !ours_first && !other, session: !has_session }
}

/// Calls `start` with `array`, or with a copy of it that has our variables, if it lacks them.
///
/// Nothing is allocated: this runs in the child of a vfork, and in signal handlers.
///
/// # Safety
///
/// `array` is null or a null-terminated array of C strings, as execve(2) requires.
pub(crate) unsafe fn repaired<T>(
    array: *const *const c_char,
    start: impl FnOnce(*const *const c_char) -> T,
) -> T {
    let (Some(library), Some(value)) = (session::library(), session::value()) else { return start(array) };
    let library = library.to_bytes();
    let (mut count, mut preload, mut own) = (0, None, None);
    // SAFETY: the caller's promise.
    for entry in unsafe { entries(array) } {
        count += 1;
        // Of several, ld.so takes the last and getenv(3) the first.
        preload = value_of(entry, PRELOAD).or(preload);
        own = own.or(value_of(entry, VARIABLE.as_bytes()));
    }
    let repair = judge(library, preload, own);
    if repair == (Repair { preload: false, session: false }) {
        return start(array);
    }
    // SAFETY: the caller's promise.
    unsafe { start_repaired(array, count, repair, (library, value, preload), start) }
}

/// Apart from [`repaired`], so that its arrays take stack only where something is to be repaired: an
/// exec may run on a signal handler's small stack.
///
/// # Safety
///
/// As for [`repaired`], and `array` has `count` entries.
#[cold]
#[inline(never)]
unsafe fn start_repaired<T>(
    array: *const *const c_char,
    count: usize,
    repair: Repair,
    (library, value, preload): (&[u8], &[u8], Option<&[u8]>),
    start: impl FnOnce(*const *const c_char) -> T,
) -> T {
    let mut text = Text { bytes: [0; STACK_BYTES], len: 0 };
    let mut added = [std::ptr::null::<c_char>(); 2];
    if repair.preload {
        added[0] = text.preload(library, preload.unwrap_or_default());
    }
    if repair.session {
        added[1] = text.variable(VARIABLE.as_bytes(), value);
    }
    let added = added.into_iter().filter(|entry| !entry.is_null());
    // SAFETY: the caller's promise again; the pointers of the array are copied, not the strings.
    let kept = unsafe { kept(array, &repair) };
    // The program starts without its environment rather than without us.
    let least = added.clone();
    with_array(count + 2, added.chain(kept), least, start)
}

/// A repaired environment that outlives the call: for functions of libc that take the process's own.
/// It is never freed, since it may have become the program's `environ`.
///
/// # Safety
///
/// As for [`repaired`].
pub(crate) unsafe fn repaired_for_good(array: *const *const c_char) -> *const *const c_char {
    // SAFETY: the caller's promise.
    unsafe {
        repaired(array, |environment| {
            if std::ptr::eq(environment, array) {
                return array;
            }
            let count = entries(environment).count();
            let copy = libc::calloc(count + 1, size_of::<*const c_char>()).cast::<*const c_char>();
            if copy.is_null() {
                return array;
            }
            for i in 0..count {
                let entry = *environment.add(i);
                // The new strings lie on the stack of `repaired`; copying the others costs no more
                // than telling them apart.
                *copy.add(i) = libc::strdup(entry);
            }
            copy
        })
    }
}

/// Repairs the process's own environment, if a program has cleared it.
pub(crate) fn repair_own() {
    // SAFETY: `environ` is null or a null-terminated array of C strings; replacing it is what
    // clearenv(3) and setenv(3) do, with the same rules for threads.
    unsafe {
        let before = environ;
        let after = repaired_for_good(before);
        if !std::ptr::eq(before, after) {
            environ = after;
        }
    }
}

/// # Safety
///
/// As for [`entries`].
unsafe fn kept(array: *const *const c_char, repair: &Repair) -> impl Iterator<Item = *const c_char> {
    // SAFETY: the caller's promise.
    unsafe { entries(array) }
        .filter(|entry| {
            !(repair.preload && value_of(entry, PRELOAD).is_some()
                || repair.session && value_of(entry, VARIABLE.as_bytes()).is_some())
        })
        .map(|entry| entry.as_ptr().cast::<c_char>())
}

/// C strings written one after another into an array on the stack.
struct Text {
    bytes: [u8; STACK_BYTES],
    len: usize,
}

impl Text {
    fn preload(&mut self, library: &[u8], current: &[u8]) -> *const c_char {
        let whole = self.string(
            [PRELOAD, b"=", library]
                .into_iter()
                .chain(preload_path::others(library, current).flat_map(|entry| [&b":"[..], entry])),
        );
        // Other entries that do not fit are dropped rather than ours: they are a convenience, ours
        // is a promise.
        if whole.is_null() { self.string([PRELOAD, b"=", library].into_iter()) } else { whole }
    }

    fn variable(&mut self, name: &[u8], value: &[u8]) -> *const c_char {
        self.string([name, b"=", value].into_iter())
    }

    /// Null if it does not fit.
    fn string<'a>(&mut self, parts: impl Iterator<Item = &'a [u8]>) -> *const c_char {
        let start = self.len;
        let mut end = start;
        for part in parts.chain([&b"\0"[..]]) {
            let Some(room) = self.bytes.get_mut(end..end + part.len()) else { return std::ptr::null() };
            room.copy_from_slice(part);
            end += part.len();
        }
        self.len = end;
        self.bytes.get(start..end).map_or(std::ptr::null(), |text| text.as_ptr().cast())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &[u8] = b"/x/libunderpass.so";
    const SESSION: &[u8] = b"1:00112233445566778899aabbccddeeff:/run/a.sock";

    #[test]
    fn an_environment_is_judged_by_its_two_variables() {
        let repair = |preload, session| Repair { preload, session };
        assert_eq!(judge(OURS, Some(OURS), Some(SESSION)), repair(false, false));
        assert_eq!(judge(OURS, None, None), repair(true, true));
        assert_eq!(judge(OURS, None, Some(b"none")), repair(false, false));
        assert_eq!(judge(OURS, Some(b"/a.so"), Some(SESSION)), repair(true, false));
        assert_eq!(judge(OURS, Some(OURS), Some(b"garbage")), repair(false, true));
        // A nested launcher with a library elsewhere.
        assert_eq!(judge(OURS, Some(b"/y/libunderpass.so:/a.so"), Some(SESSION)), repair(false, false));
        assert_eq!(judge(OURS, Some(b"/y/libunderpass.so"), None), repair(true, true));
    }

    #[test]
    fn miri_strings_are_written_one_after_another() {
        let mut text = Text { bytes: [0; STACK_BYTES], len: 0 };
        let first = text.preload(OURS, b"/a.so /x/libunderpass.so:/b.so");
        let second = text.variable(b"A", b"b");
        // SAFETY: both are C strings in `text`.
        let (first, second) = unsafe { (CStr::from_ptr(first), CStr::from_ptr(second)) };
        assert_eq!(first.to_bytes(), b"LD_PRELOAD=/x/libunderpass.so:/a.so:/b.so");
        assert_eq!(second.to_bytes(), b"A=b");
        let long = vec![b'x'; STACK_BYTES];
        assert!(text.variable(b"A", &long).is_null());
        let cut = text.preload(OURS, &long);
        // SAFETY: as above.
        assert_eq!(unsafe { CStr::from_ptr(cut) }.to_bytes(), b"LD_PRELOAD=/x/libunderpass.so");
    }
}
