//! `execl`, `execlp` and `execle`: the environment is repaired, and the real function called.

use std::ffi::c_void;

use libc::c_int;

use super::variadic::{Saved, entry, place};
use crate::environment::{repair_own, repaired_for_good};
use crate::{fence, real};

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

extern "C" fn before_execl(_saved: *mut Saved) -> *const c_void {
    fence::fenced(repair_own, || ());
    address(real::execl.get())
}

extern "C" fn before_execlp(_saved: *mut Saved) -> *const c_void {
    fence::fenced(repair_own, || ());
    address(real::execlp.get())
}

extern "C" fn before_execle(saved: *mut Saved) -> *const c_void {
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
