//! A list of `getaddrinfo`, made and freed by libc.

use std::ffi::{CStr, c_char};
use std::ptr::{NonNull, null_mut};

use libc::{addrinfo, c_int};

use crate::real;

/// A list that libc has made, one entry at least; freed by libc unless it is given away.
pub(crate) struct Entries(NonNull<addrinfo>);

/// What the real function makes of a numeric host: it asks nobody. Otherwise its `EAI_` code.
///
/// # Safety
///
/// `service` is null or a C string; the hints have `AI_NUMERICHOST`.
pub(crate) unsafe fn numeric(
    host: &CStr,
    service: *const c_char,
    hints: &addrinfo,
) -> Result<Entries, c_int> {
    let Some(real) = real::getaddrinfo.get() else { return Err(libc::EAI_SYSTEM) };
    let mut list = null_mut();
    // SAFETY: both are C strings by their types and the caller's promise; the hints and the result are ours.
    let code = unsafe { real(host.as_ptr(), service, hints, &mut list) };
    match NonNull::new(list) {
        Some(list) if code == 0 => Ok(Entries(list)),
        _ => Err(if code == 0 { libc::EAI_FAIL } else { code }),
    }
}

impl Entries {
    /// This list, and the other one behind it.
    pub(crate) fn joined(self, tail: Self) -> Self {
        let mut last = self.0.as_ptr();
        // SAFETY: the list is ours, and ends with a null `ai_next`; freeaddrinfo frees entry by entry.
        unsafe {
            while !(*last).ai_next.is_null() {
                last = (*last).ai_next;
            }
            (*last).ai_next = tail.into_raw();
        }
        self
    }

    /// The first entry without a canonical name.
    pub(crate) fn without_name(self) -> Self {
        let first = self.0.as_ptr();
        // SAFETY: the list is ours; its canonical name is null or malloc'ed apart, which freeaddrinfo
        // frees by free(3).
        unsafe {
            libc::free((*first).ai_canonname.cast());
            (*first).ai_canonname = null_mut();
        }
        self
    }

    /// The first entry with this canonical name; without memory it has none.
    pub(crate) fn with_name(self, name: &[u8]) -> Self {
        let list = self.without_name();
        // SAFETY: as above; strndup reads no more than the slice.
        unsafe { (*list.0.as_ptr()).ai_canonname = libc::strndup(name.as_ptr().cast(), name.len()) };
        list
    }

    /// Each entry with these flags: libc leaves those of the hints there.
    pub(crate) fn with_flags(self, flags: c_int) -> Self {
        let mut entry = self.0.as_ptr();
        while !entry.is_null() {
            // SAFETY: the list is ours, and ends with a null `ai_next`.
            unsafe {
                (*entry).ai_flags = flags;
                entry = (*entry).ai_next;
            }
        }
        self
    }

    /// Gives the list away.
    pub(crate) fn into_raw(self) -> *mut addrinfo {
        let list = self.0.as_ptr();
        std::mem::forget(self);
        list
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        // SAFETY: the list is ours, and nobody else has it.
        unsafe { libc::freeaddrinfo(self.0.as_ptr()) }
    }
}
