//! What the exec family starts: as it is, or by the launcher, which holds by the kernel what cannot load us (tier auto) or
//! says why it is not started (tier hook).

mod descriptor;
mod search;

use std::ffi::{CStr, c_char, c_int};

use libc::posix_spawn_file_actions_t as actions;
use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::loads::{cannot_load, is_script};
use crate::pointers::with_array;
use crate::{session, variables};
use search::{Candidate, Search, goes_on, with_room};

type Strings = *const *const c_char;

/// The longest path that is put together here: an exec may run on a small stack.
const LONGEST: usize = 1024;

/// How a program is started.
enum Way {
    AsItIs,
    By(&'static CStr),
    NotAtAll,
}

/// A directory, which the kernel executes for nobody (EACCES).
const NOTHING: &CStr = c"/";
/// What the launcher is called by.
const NAME: &CStr = c"underpass";
const WORDS: [&CStr; 2] = [NAME, c"--argv0"];
const END: &CStr = c"--";

/// In the last reserved word of spawn actions that change the folder (spawn.h, `__pad`): they are zero in actions that are
/// new, libc looks at none of them, and what becomes of the actions becomes of the word.
const ELSEWHERE: c_int = 0x756e6472;

/// # Safety
///
/// Null, or spawn actions.
unsafe fn reserved(file_actions: *mut actions) -> Option<*mut c_int> {
    let words = size_of::<actions>() / size_of::<c_int>();
    // SAFETY: within the actions, which are words and pointers and so aligned for words.
    (!file_actions.is_null()).then(|| unsafe { file_actions.cast::<c_int>().add(words - 1) })
}

/// Notes that these actions change the folder, if they do by now. Gives what libc has said.
///
/// # Safety
///
/// Null, or spawn actions.
pub(crate) unsafe fn noted(file_actions: *mut actions, said: c_int) -> c_int {
    // SAFETY: the caller's promise.
    if let Some(word) = unsafe { reserved(file_actions) }.filter(|_| said == 0) {
        // SAFETY: within the actions, which are the caller's to change.
        unsafe { word.write(ELSEWHERE) };
    }
    said
}

/// Whether what is started with these actions is started in another folder.
///
/// # Safety
///
/// Null, or spawn actions.
pub(crate) unsafe fn goes_elsewhere(file_actions: *const actions) -> bool {
    // SAFETY: the caller's promise; they are read alone.
    unsafe { reserved(file_actions.cast_mut()).is_some_and(|word| word.read() == ELSEWHERE) }
}

/// Calls `start` with the path and the arguments, or with the launcher's. `elsewhere`: it is called in another folder.
///
/// # Safety
///
/// As for execve(2).
pub(crate) unsafe fn by_path<T>(
    path: *const c_char,
    argv: Strings,
    elsewhere: bool,
    start: impl FnOnce(*const c_char, Strings) -> T,
) -> T {
    // SAFETY: the caller's promise.
    match unsafe { way_from(path, elsewhere) } {
        // SAFETY: the caller's promise.
        Way::By(launcher) => unsafe { with_launcher(launcher, path, argv, start) },
        Way::AsItIs => start(path, argv),
        Way::NotAtAll => start(NOTHING.as_ptr(), argv),
    }
}

/// The same for a name that is searched in PATH, where `start` answers as execvp(3) or posix_spawnp(3). Where one of the files that
/// libc may come to cannot be started as it is, they are tried here, each by its path: libc searches no further by itself.
///
/// # Safety
///
/// As for execvp(3).
pub(crate) unsafe fn by_name(
    name: *const c_char,
    argv: Strings,
    elsewhere: bool,
    mut start: impl FnMut(*const c_char, Strings) -> c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    let Some(searched) = (unsafe { searched(name) }) else {
        // SAFETY: the caller's promise.
        return unsafe { by_path(name, argv, elsewhere, start) };
    };
    with_room(|room| {
        if !is_held_back(searched, elsewhere, room) {
            return start(name, argv);
        }
        let mut search = Search::new(searched, elsewhere, room);
        while let Some(candidate) = search.next() {
            let Candidate::File(path) = candidate else { break };
            match way_of(path) {
                // SAFETY: a C string, and the caller's promise.
                Way::By(launcher) => return unsafe { with_launcher(launcher, path.as_ptr(), argv, start) },
                Way::NotAtAll => break,
                Way::AsItIs => {
                    let said = start(path.as_ptr(), argv);
                    if !goes_on(said) {
                        return said;
                    }
                }
            }
        }
        start(NOTHING.as_ptr(), argv)
    })
}

/// Whether what has this name is not started as it is.
///
/// # Safety
///
/// As for execvp(3).
pub(crate) unsafe fn is_needed(name: *const c_char, in_path: bool) -> bool {
    // SAFETY: the caller's promise.
    match if in_path { unsafe { searched(name) } } else { None } {
        Some(name) => with_room(|room| is_held_back(name, false, room)),
        // SAFETY: the caller's promise.
        None => !matches!(unsafe { way(name) }, Way::AsItIs),
    }
}

/// Whether one of the files that libc may come to is not started as it is.
fn is_held_back(name: &[u8], elsewhere: bool, room: &mut [u8]) -> bool {
    let mut search = Search::new(name, elsewhere, room);
    while let Some(candidate) = search.next() {
        // Of what is too long nothing is executed.
        if let Candidate::File(path) = candidate
            && !matches!(way_of(path), Way::AsItIs)
        {
            return true;
        }
    }
    false
}

/// Calls `as_it_is`, or `start` with the launcher and its arguments, for execveat(2).
///
/// # Safety
///
/// As for execveat(2).
pub(crate) unsafe fn by_descriptor<T>(
    (directory, path, flags): (c_int, *const c_char, c_int),
    argv: Strings,
    as_it_is: impl FnOnce() -> T,
    start: impl FnOnce(*const c_char, Strings) -> T,
) -> T {
    // Other flags ask something, or are wrong: nothing is executed.
    let is_known = flags & !(libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW) == 0;
    if path.is_null() || !is_known || session::session().is_none() {
        return as_it_is();
    }
    // SAFETY: not null, and so a C string by the caller's promise.
    let name = unsafe { CStr::from_ptr(path) };
    let is_below = directory != libc::AT_FDCWD && !name.to_bytes().starts_with(b"/");
    let is_nothing = name.is_empty() && (flags & libc::AT_EMPTY_PATH == 0 || directory == libc::AT_FDCWD);
    if is_nothing || is_below && !descriptor::is_open(directory) {
        return as_it_is();
    }
    let mut room = [0; LONGEST];
    let path = if is_below { descriptor::path(&mut room, directory, name.to_bytes()) } else { Some(name) };
    let Some(path) = path else {
        // Too long, or without /proc, it cannot be judged.
        let is_held = session::session().is_some_and(|session| session.supervised);
        return if is_held { as_it_is() } else { start(NOTHING.as_ptr(), argv) };
    };
    let is_link = || !name.is_empty() && flags & libc::AT_SYMLINK_NOFOLLOW != 0 && descriptor::is_link(path);
    // SAFETY: a C string.
    match unsafe { way(path.as_ptr()) } {
        Way::AsItIs => as_it_is(),
        // The kernel refuses links here, and scripts that their interpreters could not open (execveat(2)).
        _ if is_link() || is_below && descriptor::is_closed_by_exec(directory) && is_script(path) => {
            as_it_is()
        }
        // SAFETY: a C string, and the caller's promise.
        Way::By(launcher) => unsafe { with_launcher(launcher, path.as_ptr(), argv, start) },
        Way::NotAtAll => start(NOTHING.as_ptr(), argv),
    }
}

/// The name that execvp(3) searches for in PATH; `None` where it does not search, or nothing is judged.
///
/// # Safety
///
/// `name` is null or a C string that outlives the result.
unsafe fn searched<'a>(name: *const c_char) -> Option<&'a [u8]> {
    session::session().filter(|_| !name.is_null())?;
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    (!name.is_empty() && !name.contains(&b'/')).then_some(name)
}

/// The way of what is perhaps started in another folder, where a relative path is another file: the launcher judges it there.
///
/// # Safety
///
/// `path` is null or a C string.
unsafe fn way_from(path: *const c_char, elsewhere: bool) -> Way {
    // SAFETY: the caller's promise.
    let is_relative = || unsafe { CStr::from_ptr(path) }.to_bytes().first().is_some_and(|&byte| byte != b'/');
    let launcher = session::launcher().filter(|launcher| is_there(launcher));
    match launcher {
        Some(launcher) if elsewhere && !path.is_null() && is_relative() && session::session().is_some() => {
            Way::By(launcher)
        }
        // SAFETY: the caller's promise.
        _ => unsafe { way(path) },
    }
}

/// # Safety
///
/// `path` is null or a C string.
unsafe fn way(path: *const c_char) -> Way {
    // SAFETY: the caller's promise.
    if path.is_null() { Way::AsItIs } else { way_of(unsafe { CStr::from_ptr(path) }) }
}

fn way_of(path: &CStr) -> Way {
    let Some(session) = session::session() else { return Way::AsItIs };
    let launcher = session::launcher();
    match (cannot_load(path, launcher.unwrap_or(NOTHING)), launcher) {
        (true, Some(launcher)) if is_there(launcher) => Way::By(launcher),
        (false, _) if session::library().is_some_and(is_there) => Way::AsItIs,
        // Of another root, or of another user: ld.so would go on without us. Who is under guard is held all the same.
        _ if session.supervised => Way::AsItIs,
        _ => Way::NotAtAll,
    }
}

fn is_there(path: &CStr) -> bool {
    accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS).is_ok()
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
    let words = || unsafe { variables::entries(argv) }.map(|word| word.as_ptr().cast::<c_char>());
    // Without one, the path (execve(2) puts an empty word there).
    let name = words().next().unwrap_or(path);
    // SAFETY: the caller's promise.
    let kept = descriptor::Kept::of(unsafe { CStr::from_ptr(path) });
    let option = kept.as_ref().map(|kept| kept.option().as_ptr());
    let ours = WORDS.map(CStr::as_ptr).into_iter().chain([name]).chain(option).chain([END.as_ptr(), path]);
    let count = WORDS.len() + 4 + words().count();
    let program = launcher.as_ptr();
    with_array(count, ours.chain(words().skip(1)), std::iter::empty(), |words| start(program, words))
}
