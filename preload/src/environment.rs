//! The environment of this process, and of the programs that it starts: every exec goes on in the
//! same session, whatever became of the variables.

use std::ffi::c_char;

use underpass_core::preload_path;
use underpass_core::session_env::{OUTSIDE, SessionEnv, VARIABLE};

use crate::pointers::with_array;
use crate::session;
use crate::variables::{entries, environ, value_of};

const PRELOAD: &[u8] = b"LD_PRELOAD";

/// Room for the two variables that may have to be written anew.
const STACK_BYTES: usize = 8192;

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
    let mut bytes = [0; STACK_BYTES];
    let mut text = Text { room: &mut bytes };
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
struct Text<'a> {
    /// What is not written to yet: no string that was given is touched again.
    room: &'a mut [u8],
}

impl Text<'_> {
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
    fn string<'p>(&mut self, parts: impl Iterator<Item = &'p [u8]>) -> *const c_char {
        let mut end = 0;
        for part in parts.chain([&b"\0"[..]]) {
            let Some(room) = self.room.get_mut(end..end + part.len()) else { return std::ptr::null() };
            room.copy_from_slice(part);
            end += part.len();
        }
        let Some((own, left)) = std::mem::take(&mut self.room).split_at_mut_checked(end) else {
            return std::ptr::null();
        };
        self.room = left;
        own.as_ptr().cast()
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

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
        let mut bytes = [0; STACK_BYTES];
        let mut text = Text { room: &mut bytes };
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
