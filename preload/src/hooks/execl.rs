//! `execl`, `execlp` and `execle`: the environment is repaired, and the real function called.

use std::ffi::{c_char, c_void};

use libc::c_int;

use super::exec::{execve_in, execvpe_in};
use super::variadic::{Saved, entry, place};
use crate::environment::{repair_own, repaired_for_good};
use crate::pointers::with_array;
use crate::variables::current;
use crate::{fence, real, started};

entry!(
    /// execl(3).
    execl -> c_int, before_execl
);
entry!(
    /// execlp(3).
    execlp -> c_int, before_execlp
);
entry!(
    /// execle(3), whose environment follows the arguments' terminating null.
    execle -> c_int, before_execle
);

extern "C" fn before_execl(saved: *mut Saved) -> *const c_void {
    // SAFETY: the call's own arguments.
    if fence::fenced(|| unsafe { by_launcher(saved, false, |_| current()) }, || true) {
        return address(Some(gave_up));
    }
    fence::fenced(repair_own, || ());
    address(real::execl.get())
}

extern "C" fn before_execlp(saved: *mut Saved) -> *const c_void {
    // SAFETY: as above.
    if fence::fenced(|| unsafe { by_launcher(saved, true, |_| current()) }, || true) {
        return address(Some(gave_up));
    }
    fence::fenced(repair_own, || ());
    address(real::execlp.get())
}

extern "C" fn before_execle(saved: *mut Saved) -> *const c_void {
    // SAFETY: as above; the environment follows the null.
    let environment = |i| unsafe { *place(saved, i + 1) as *const *const c_char };
    // SAFETY: as above.
    if fence::fenced(|| unsafe { by_launcher(saved, false, environment) }, || true) {
        return address(Some(gave_up));
    }
    fence::fenced(
        || {
            // SAFETY: the arguments end with a null and the environment, by the contract of
            // execle(3), so every place up to there exists. They are the callee's to change.
            unsafe {
                let mut i = 1;
                while *place(saved, i) != 0 {
                    i += 1;
                }
                let environment = place(saved, i + 1).cast();
                *environment = repaired_for_good(*environment);
            }
        },
        || (),
    );
    address(real::execle.get())
}

/// What execve(2) has said is the answer.
unsafe extern "C-unwind" fn gave_up() -> c_int {
    -1
}

/// Has the launcher start what cannot load us; whether that has been tried, and has failed.
///
/// # Safety
///
/// `saved` comes from one of the entries above. `environment` is given the place of the arguments' null.
unsafe fn by_launcher(
    saved: *mut Saved,
    in_path: bool,
    environment: impl FnOnce(usize) -> *const *const c_char,
) -> bool {
    // SAFETY: the caller's promise: the arguments end with a null, so every place up to there exists.
    unsafe {
        let name = *place(saved, 0) as *const c_char;
        if !started::is_needed(name, in_path) {
            return false;
        }
        let end = (1..).find(|&i| *place(saved, i) == 0).unwrap_or(1);
        let words = (1..end).map(|i| *place(saved, i) as *const c_char);
        with_array(end, words, std::iter::empty(), |argv| match in_path {
            true => execvpe_in(name, argv, environment(end)),
            false => execve_in(name, argv, environment(end)),
        });
    }
    true
}

type Execl = unsafe extern "C-unwind" fn() -> c_int;

fn address(function: Option<Execl>) -> *const c_void {
    extern "C" fn missing() -> c_int {
        crate::errno::fail(libc::ENOSYS)
    }
    match function {
        Some(function) => function as *const c_void,
        None => missing as *const c_void,
    }
}
