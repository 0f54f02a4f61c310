//! `dlopen` and `dlmopen`: what they load is bound to our functions, too.
//!
//! `RTLD_DEEPBIND` has a library's symbols looked up in the library and what it needs, libc among that, before
//! anywhere else: past every library of LD_PRELOAD. So loads PHP its extensions. The flag is taken out. The real function is
//! jumped to and not called: it goes by who has called it (dlopen(3): `DT_RUNPATH`, the namespace).

use std::ffi::c_void;
use std::ptr::null_mut;

use libc::RTLD_DEEPBIND;

use super::variadic::{Saved, entry, place};
use crate::real;

entry!(
    /// dlopen(3).
    dlopen -> *mut c_void, before_dlopen
);
entry!(
    /// dlmopen(3). A namespace of its own is past us anyhow.
    dlmopen -> *mut c_void, before_dlmopen
);

extern "C" fn before_dlopen(saved: *mut Saved) -> *const c_void {
    // SAFETY: dlopen has two arguments, of which the flags are the second.
    unsafe { bound_as_others(saved, 1) };
    address(real::dlopen.get())
}

extern "C" fn before_dlmopen(saved: *mut Saved) -> *const c_void {
    // SAFETY: dlmopen has three arguments, of which the flags are the third.
    unsafe { bound_as_others(saved, 2) };
    address(real::dlmopen.get())
}

/// # Safety
///
/// `saved` comes from an entry, and argument `i` of the call are its flags.
unsafe fn bound_as_others(saved: *mut Saved, i: usize) {
    // SAFETY: the caller's promise; the arguments are the callee's to change.
    unsafe { *place(saved, i) &= !Saved::from(RTLD_DEEPBIND) };
}

type Load = unsafe extern "C-unwind" fn() -> *mut c_void;

fn address(function: Option<Load>) -> *const c_void {
    extern "C" fn missing() -> *mut c_void {
        null_mut()
    }
    match function {
        Some(function) => function as *const c_void,
        None => missing as *const c_void,
    }
}
