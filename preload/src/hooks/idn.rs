//! Names in other scripts, for `AI_IDN`, `AI_CANONIDN` and `NI_IDN`: by libidn2, which glibc itself loads
//! for them. Without that library they are what they are without it natively.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use libc::c_int;

use crate::name::Name;

/// netdb.h; glibc's extension.
const EAI_IDN_ENCODE: c_int = -105;

type Convert = unsafe extern "C" fn(*const c_char, *mut *mut c_char, c_int) -> c_int;

/// A function of libidn2, looked up when it is first wanted; the library then stays loaded.
struct Function {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

static TO_ASCII: Function = Function { name: c"idn2_lookup_ul", found: AtomicPtr::new(null_mut()) };
static TO_NATIVE: Function = Function { name: c"idn2_to_unicode_lzlz", found: AtomicPtr::new(null_mut()) };

impl Function {
    fn get(&self) -> Option<Convert> {
        let mut address = self.found.load(Ordering::Relaxed);
        if address.is_null() {
            // SAFETY: both names are C strings.
            address = unsafe {
                let library = libc::dlopen(c"libidn2.so.0".as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
                if library.is_null() { null_mut() } else { libc::dlsym(library, self.name.as_ptr()) }
            };
            self.found.store(address, Ordering::Relaxed);
        }
        // SAFETY: idn2.h declares both functions so.
        (!address.is_null()).then(|| unsafe { std::mem::transmute::<*mut c_void, Convert>(address) })
    }

    fn convert(&self, name: &CStr) -> Option<Name> {
        let convert = self.get()?;
        let mut text = null_mut();
        // SAFETY: the name is a C string; the result is ours.
        if unsafe { convert(name.as_ptr(), &mut text, 0) } != 0 || text.is_null() {
            return None;
        }
        // SAFETY: libidn2 has made a C string by malloc.
        let name = unsafe {
            let name = Name::new(CStr::from_ptr(text).to_bytes());
            libc::free(text.cast());
            name
        };
        (!name.is_empty()).then_some(name)
    }
}

/// A name of the program's locale as it is in the DNS; `None` where it is that already.
pub(super) fn to_ascii(name: &CStr) -> Result<Option<Name>, c_int> {
    if name.to_bytes().is_ascii() {
        return Ok(None);
    }
    TO_ASCII.convert(name).map(Some).ok_or(EAI_IDN_ENCODE)
}

/// A name of the DNS as the program's locale writes it, where it has such a form.
pub(super) fn to_native(name: &[u8]) -> Option<Name> {
    if !name.windows(4).any(|part| part.eq_ignore_ascii_case(b"xn--")) {
        return None;
    }
    TO_NATIVE.convert(&CString::new(name).ok()?)
}
