//! A `struct hostent`, written into a buffer of the caller as the `_r` functions of gethostbyname(3) do.

use std::ffi::c_char;
use std::net::IpAddr;
use std::ptr::null_mut;

use libc::hostent;

/// The buffer is too small; the caller tries again with a larger one (ERANGE).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooSmall;

/// What an entry says.
pub(crate) struct Host<'a> {
    pub(crate) name: &'a [u8],
    /// Its other names, with blanks between them; perhaps none.
    pub(crate) aliases: &'a [u8],
    /// Of one family, one at least.
    pub(crate) addresses: &'a [IpAddr],
}

/// Hands out parts of the buffer, from its beginning.
struct Room {
    next: *mut u8,
    left: usize,
}

impl Room {
    /// Uninitialised room for `count` values.
    fn take<T>(&mut self, count: usize) -> Result<*mut T, TooSmall> {
        let padding = self.next.align_offset(align_of::<T>());
        let size = count.checked_mul(size_of::<T>()).and_then(|size| size.checked_add(padding));
        let size = size.filter(|size| *size <= self.left).ok_or(TooSmall)?;
        // SAFETY: padding and size are within what is left of the buffer.
        let (taken, next) = unsafe { (self.next.add(padding), self.next.add(size)) };
        (self.next, self.left) = (next, self.left - size);
        Ok(taken.cast())
    }

    /// A copy of the bytes.
    fn bytes(&mut self, bytes: &[u8]) -> Result<*mut c_char, TooSmall> {
        let place = self.take::<u8>(bytes.len())?;
        // SAFETY: `take` gave so many bytes, and nobody else has them.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
        Ok(place.cast())
    }

    /// A copy with a zero behind it.
    fn text(&mut self, bytes: &[u8]) -> Result<*mut c_char, TooSmall> {
        let place = self.bytes(bytes)?;
        self.bytes(&[0])?;
        Ok(place)
    }
}

/// Writes `host` to `buffer` and lets `entry` point there.
///
/// # Safety
///
/// `buffer` has `size` writable bytes, `entry` is writable, and both are the caller's alone.
pub(crate) unsafe fn write(
    entry: *mut hostent,
    buffer: *mut c_char,
    size: usize,
    host: &Host<'_>,
) -> Result<(), TooSmall> {
    let mut room = Room { next: buffer.cast(), left: size };
    let addresses = room.take::<*mut c_char>(host.addresses.len() + 1)?;
    let names = || host.aliases.split(|b| *b == b' ').filter(|name| !name.is_empty());
    let aliases = room.take::<*mut c_char>(names().count() + 1)?;
    let v6 = host.addresses.first().is_some_and(IpAddr::is_ipv6);
    let (family, length) = if v6 { (libc::AF_INET6, 16) } else { (libc::AF_INET, 4) };
    // SAFETY: `take` gave one place more than there are addresses, and than there are aliases.
    unsafe {
        let mut place = addresses;
        for ip in host.addresses {
            // Behind pointers and addresses of their own size, so each is aligned.
            *place = match ip {
                IpAddr::V4(v4) if !v6 => room.bytes(&v4.octets())?,
                IpAddr::V6(v6_address) if v6 => room.bytes(&v6_address.octets())?,
                _ => continue,
            };
            place = place.add(1);
        }
        *place = null_mut();
        let mut place = aliases;
        for name in names() {
            *place = room.text(name)?;
            place = place.add(1);
        }
        *place = null_mut();
        *entry = hostent {
            h_name: room.text(host.name)?,
            h_aliases: aliases,
            h_addrtype: family,
            h_length: length,
            h_addr_list: addresses,
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn written(size: usize, shift: usize) -> Result<(), TooSmall> {
        let addresses = ["198.18.0.7", "198.18.0.8"].map(|ip| ip.parse().unwrap());
        let host = Host { name: b"db.internal", aliases: b"db db2", addresses: &addresses };
        let mut buffer = [0 as c_char; 128];
        // SAFETY: all zero bytes are a valid hostent (null pointers and integers).
        let mut entry: hostent = unsafe { std::mem::zeroed() };
        // SAFETY: the buffer has more than `size` bytes after any shift below 8.
        unsafe {
            write(&mut entry, buffer.as_mut_ptr().add(shift), size, &host)?;
            assert_eq!(CStr::from_ptr(entry.h_name).to_bytes(), b"db.internal");
            assert_eq!(CStr::from_ptr(*entry.h_aliases).to_bytes(), b"db");
            assert_eq!(CStr::from_ptr(*entry.h_aliases.add(1)).to_bytes(), b"db2");
            assert!((*entry.h_aliases.add(2)).is_null());
            for (number, last) in [7, 8].into_iter().enumerate() {
                let bytes = (*entry.h_addr_list.add(number)).cast::<[u8; 4]>().read();
                assert_eq!(bytes, [198, 18, 0, last]);
            }
            assert!((*entry.h_addr_list.add(2)).is_null());
        }
        Ok(())
    }

    #[test]
    fn miri_the_entry_points_into_the_buffer_at_any_alignment() {
        for shift in 0..8 {
            assert_eq!(written(120, shift), Ok(()));
        }
    }

    #[test]
    fn miri_a_small_buffer_is_refused() {
        // Six pointers, two addresses, three names with their zeros.
        let needed = 6 * size_of::<*mut c_char>() + 8 + 12 + 3 + 4;
        for size in 0..needed {
            assert_eq!(written(size, 0), Err(TooSmall), "{size}");
        }
    }

    #[test]
    fn miri_addresses_of_the_other_family_are_left_out() {
        let addresses = ["::1", "198.18.0.8"].map(|ip| ip.parse().unwrap());
        let host = Host { name: b"x", aliases: b"", addresses: &addresses };
        let mut buffer = [0u64; 16];
        // SAFETY: as above.
        let mut entry: hostent = unsafe { std::mem::zeroed() };
        // SAFETY: the buffer has 128 bytes.
        unsafe {
            assert_eq!(write(&mut entry, buffer.as_mut_ptr().cast(), 128, &host), Ok(()));
            assert_eq!((entry.h_addrtype, entry.h_length), (libc::AF_INET6, 16));
            assert!((*entry.h_addr_list.add(1)).is_null());
            assert!((*entry.h_aliases).is_null());
        }
    }
}
