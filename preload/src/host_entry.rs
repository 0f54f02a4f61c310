//! A `struct hostent` of one address, written into a buffer of the caller as the `_r` functions of
//! gethostbyname(3) do.

use std::ffi::c_char;
use std::net::IpAddr;

use libc::hostent;

/// The buffer is too small; the caller tries again with a larger one (ERANGE).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooSmall;

#[repr(C)]
struct Pointers {
    addresses: [*mut c_char; 2],
    aliases: [*mut c_char; 1],
    address: [u8; 16],
}

/// Writes `name` and `ip` to `buffer` and lets `entry` point there.
///
/// # Safety
///
/// `buffer` has `size` writable bytes, `entry` is writable, and both are the caller's alone.
pub(crate) unsafe fn write(
    entry: *mut hostent,
    buffer: *mut c_char,
    size: usize,
    name: &[u8],
    ip: IpAddr,
) -> Result<(), TooSmall> {
    let padding = buffer.align_offset(align_of::<Pointers>());
    let needed = padding.saturating_add(size_of::<Pointers>()).saturating_add(name.len() + 1);
    if size < needed {
        return Err(TooSmall);
    }
    // SAFETY: the size was just checked to hold the padding, the pointers and the name.
    unsafe {
        let pointers = buffer.add(padding).cast::<Pointers>();
        let text = buffer.add(padding + size_of::<Pointers>());
        std::ptr::copy_nonoverlapping(name.as_ptr().cast(), text, name.len());
        *text.add(name.len()) = 0;
        let (family, length) = match ip {
            IpAddr::V4(v4) => {
                (*pointers).address = [0; 16];
                (&raw mut (*pointers).address).cast::<[u8; 4]>().write(v4.octets());
                (libc::AF_INET, 4)
            }
            IpAddr::V6(v6) => {
                (*pointers).address = v6.octets();
                (libc::AF_INET6, 16)
            }
        };
        (*pointers).addresses = [(&raw mut (*pointers).address).cast(), std::ptr::null_mut()];
        (*pointers).aliases = [std::ptr::null_mut()];
        *entry = hostent {
            h_name: text,
            h_aliases: (&raw mut (*pointers).aliases).cast(),
            h_addrtype: family,
            h_length: length,
            h_addr_list: (&raw mut (*pointers).addresses).cast(),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn miri_the_entry_points_into_the_buffer_at_any_alignment() {
        let ip = "198.18.0.7".parse().unwrap();
        for shift in 0..8 {
            let mut buffer = [0 as c_char; 128];
            // SAFETY: all zero bytes are a valid hostent (null pointers and integers).
            let mut entry: hostent = unsafe { std::mem::zeroed() };
            // SAFETY: the buffer has 120 bytes after any shift below 8.
            let written =
                unsafe { write(&mut entry, buffer.as_mut_ptr().add(shift), 120, b"db.internal", ip) };
            assert_eq!(written, Ok(()));
            // SAFETY: `write` has set the pointers.
            unsafe {
                assert_eq!(CStr::from_ptr(entry.h_name).to_bytes(), b"db.internal");
                assert_eq!((*entry.h_addr_list).cast::<[u8; 4]>().read(), [198, 18, 0, 7]);
                assert!((*entry.h_addr_list.add(1)).is_null());
                assert!((*entry.h_aliases).is_null());
            }
        }
    }

    #[test]
    fn miri_a_small_buffer_is_refused() {
        let mut buffer = [0 as c_char; 40];
        // SAFETY: as above.
        let mut entry: hostent = unsafe { std::mem::zeroed() };
        // SAFETY: the size is that of the buffer.
        let written = unsafe { write(&mut entry, buffer.as_mut_ptr(), 40, b"name", "::1".parse().unwrap()) };
        assert_eq!(written, Err(TooSmall));
    }
}
