//! What the exec family starts: as it is, or by the launcher, which holds by the kernel what cannot load us (tier auto).

use std::ffi::{CStr, c_char};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::loads::cannot_load;
use crate::pointers::with_array;
use crate::{environment, session};

type Strings = *const *const c_char;

/// The longest path that is put together here: an exec may run on a small stack.
const LONGEST: usize = 1024;
/// Without PATH (execvp(3), confstr(3)).
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// What the launcher is called by.
const NAME: &CStr = c"underpass";
const WORDS: [&CStr; 2] = [NAME, c"--argv0"];
const END: &CStr = c"--";

/// Calls `start` with the path and the arguments, or with the launcher's.
///
/// # Safety
///
/// As for execve(2).
pub(crate) unsafe fn by_path<T>(
    path: *const c_char,
    argv: Strings,
    start: impl FnOnce(*const c_char, Strings) -> T,
) -> T {
    // SAFETY: the caller's promise.
    match unsafe { needed(path) } {
        // SAFETY: the caller's promise.
        Some(launcher) => unsafe { with_launcher(launcher, path, argv, start) },
        None => start(path, argv),
    }
}

/// The same for a name that is searched in PATH.
///
/// # Safety
///
/// As for execvp(3).
pub(crate) unsafe fn by_name<T>(
    name: *const c_char,
    argv: Strings,
    start: impl FnOnce(*const c_char, Strings) -> T,
) -> T {
    let mut room = [0; LONGEST];
    // SAFETY: the caller's promise.
    let path = unsafe { searched(name, &mut room) };
    let path = path.map_or(name, CStr::as_ptr);
    // SAFETY: the caller's promise, or a path of ours.
    match unsafe { needed(path) } {
        // SAFETY: as above.
        Some(launcher) => unsafe { with_launcher(launcher, path, argv, start) },
        None => start(name, argv),
    }
}

/// Whether the launcher is to start what has this name.
///
/// # Safety
///
/// As for execvp(3).
pub(crate) unsafe fn is_needed(name: *const c_char, in_path: bool) -> bool {
    let mut room = [0; LONGEST];
    // SAFETY: the caller's promise.
    let path = if in_path { unsafe { searched(name, &mut room) } } else { None };
    // SAFETY: the caller's promise, or a path of ours.
    unsafe { needed(path.map_or(name, CStr::as_ptr)) }.is_some()
}

/// What execvp(3) would find; `None` where it does not search.
///
/// # Safety
///
/// `name` is null or a C string.
unsafe fn searched(name: *const c_char, room: &mut [u8; LONGEST]) -> Option<&CStr> {
    session::launcher()?;
    if name.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    if name.is_empty() || name.contains(&b'/') {
        return None;
    }
    let mut places = environment::variable(b"PATH").unwrap_or(DEFAULT_PATH).split(|&byte| byte == b':');
    let (access, flags) = (Access::EXEC_OK, AtFlags::EACCESS);
    places
        .any(|place| {
            let place = if place.is_empty() { b"." } else { place };
            joined(room, place, name).is_some_and(|path| accessat(CWD, path, access, flags).is_ok())
        })
        .then_some(())?;
    CStr::from_bytes_until_nul(room).ok()
}

/// The launcher, if `path` is to be started by it.
///
/// # Safety
///
/// `path` is null or a C string.
unsafe fn needed(path: *const c_char) -> Option<&'static CStr> {
    let launcher = session::launcher()?;
    if path.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let path = unsafe { CStr::from_ptr(path) };
    cannot_load(path, launcher).then_some(launcher)
}

/// # Safety
///
/// `path` is a C string, and `argv` null or an array of such that ends in a null.
unsafe fn with_launcher<T>(
    launcher: &CStr,
    path: *const c_char,
    argv: Strings,
    start: impl FnOnce(*const c_char, Strings) -> T,
) -> T {
    // SAFETY: the caller's promise.
    let words = || unsafe { environment::entries(argv) }.map(|word| word.as_ptr().cast::<c_char>());
    // Without one, the path (execve(2) puts an empty word there).
    let name = words().next().unwrap_or(path);
    let ours = WORDS.map(CStr::as_ptr).into_iter().chain([name, END.as_ptr(), path]);
    let count = WORDS.len() + 3 + words().count();
    let program = launcher.as_ptr();
    with_array(count, ours.chain(words().skip(1)), std::iter::empty(), |words| start(program, words))
}

/// `folder/name` as a C string; `None` if it is too long.
fn joined<'b>(room: &'b mut [u8; LONGEST], folder: &[u8], name: &[u8]) -> Option<&'b CStr> {
    let mut at = 0;
    for part in [folder, b"/", name, b"\0"] {
        room.get_mut(at..at + part.len())?.copy_from_slice(part);
        at += part.len();
    }
    CStr::from_bytes_with_nul(room.get(..at)?).ok()
}
