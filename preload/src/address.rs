//! Raw socket addresses to values and back: the family first, then the size, then the fields.

use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

use libc::{
    AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC, sa_family_t, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_un,
    socklen_t,
};
use underpass_core::resolver_socket::is_resolver;

/// What a program passed as an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// No address, or one too short to have a family: the kernel says what is wrong with it.
    Nothing,
    /// `AF_UNSPEC`, with the IPv4 address that datagram sockets would take it for (udp(7)), if long enough.
    Unspecified(Option<SocketAddr>),
    /// `AF_INET` or `AF_INET6`.
    Inet(SocketAddr),
    /// An inet family in a size that the kernel refuses.
    Malformed,
    /// A Unix socket at which names are looked up.
    Resolver,
    /// Any other family.
    Foreign,
}

/// `sizeof(struct sockaddr_in6)` without the scope, the least that Linux accepts (SIN6_LEN_RFC2133).
const SIN6_LEAST: usize = 24;

/// Reads the address at `address`.
///
/// # Safety
///
/// `address` is null or points to `len` readable bytes, as connect(2) requires.
pub(crate) unsafe fn read(address: *const sockaddr, len: socklen_t) -> Given {
    let len = len as usize;
    if address.is_null() || len < size_of::<sa_family_t>() {
        return Given::Nothing;
    }
    // SAFETY: the caller vouches for `len` bytes, and a family needs no more than that; the pointer
    // may be unaligned, as the kernel accepts it.
    let family = c_int_of(unsafe { address.cast::<sa_family_t>().read_unaligned() });
    match family {
        AF_INET | AF_UNSPEC => {
            let v4 = (len >= size_of::<sockaddr_in>()).then(|| {
                // SAFETY: the size was just checked.
                from_sockaddr_in(unsafe { address.cast::<sockaddr_in>().read_unaligned() })
            });
            match (family, v4) {
                (AF_UNSPEC, v4) => Given::Unspecified(v4),
                (_, Some(v4)) => Given::Inet(v4),
                (_, None) => Given::Malformed,
            }
        }
        AF_INET6 if len >= SIN6_LEAST => {
            // SAFETY: all zero bytes are a valid sockaddr_in6 (integers only).
            let mut raw: sockaddr_in6 = unsafe { std::mem::zeroed() };
            let take = len.min(size_of::<sockaddr_in6>());
            // SAFETY: `take` bytes are readable by the caller's promise and fit into `raw`, which is
            // ours alone.
            unsafe {
                std::ptr::copy_nonoverlapping(address.cast::<u8>(), (&raw mut raw).cast::<u8>(), take);
            }
            Given::Inet(from_sockaddr_in6(raw))
        }
        AF_INET6 => Given::Malformed,
        AF_UNIX if len <= size_of::<sockaddr_un>() => {
            let mut raw = [0; size_of::<sockaddr_un>()];
            // SAFETY: `len` bytes are readable by the caller's promise and fit into `raw`, which is ours alone.
            unsafe { std::ptr::copy_nonoverlapping(address.cast(), raw.as_mut_ptr(), len) };
            let path = raw.get(size_of::<sa_family_t>()..).unwrap_or_default();
            if is_resolver(path) { Given::Resolver } else { Given::Foreign }
        }
        _ => Given::Foreign,
    }
}

fn c_int_of(family: sa_family_t) -> libc::c_int {
    libc::c_int::from(family)
}

fn from_sockaddr_in(raw: sockaddr_in) -> SocketAddr {
    let ip = u32::from_be(raw.sin_addr.s_addr);
    SocketAddr::V4(SocketAddrV4::new(ip.into(), u16::from_be(raw.sin_port)))
}

fn from_sockaddr_in6(raw: sockaddr_in6) -> SocketAddr {
    let port = u16::from_be(raw.sin6_port);
    SocketAddrV6::new(raw.sin6_addr.s6_addr.into(), port, u32::from_be(raw.sin6_flowinfo), raw.sin6_scope_id)
        .into()
}

/// A socket address as the kernel would write it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) union Raw {
    v4: sockaddr_in,
    v6: sockaddr_in6,
}

impl Raw {
    /// `address` in the form that a socket of `family` shows: IPv4 on an `AF_INET6` socket is mapped.
    pub(crate) fn new(address: SocketAddr, family: libc::c_int) -> (Self, socklen_t) {
        match (address, family) {
            (SocketAddr::V4(v4), AF_INET6) => {
                Self::v6(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0))
            }
            (SocketAddr::V4(v4), _) => {
                let raw = sockaddr_in {
                    sin_family: AF_INET as sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                    sin_zero: [0; 8],
                };
                (Self { v4: raw }, size_of::<sockaddr_in>() as socklen_t)
            }
            (SocketAddr::V6(v6), _) => Self::v6(v6),
        }
    }

    fn v6(v6: SocketAddrV6) -> (Self, socklen_t) {
        let raw = sockaddr_in6 {
            sin6_family: AF_INET6 as sa_family_t,
            sin6_port: v6.port().to_be(),
            sin6_flowinfo: v6.flowinfo().to_be(),
            sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
            sin6_scope_id: v6.scope_id(),
        };
        (Self { v6: raw }, size_of::<sockaddr_in6>() as socklen_t)
    }

    /// Writes to a caller's buffer as the kernel does: cut to its size, with the whole length told
    /// (getpeername(2)).
    ///
    /// # Safety
    ///
    /// `len` points to the size of the buffer at `to`, and both are the program's to write.
    pub(crate) unsafe fn write(&self, size: socklen_t, to: *mut sockaddr, len: *mut socklen_t) {
        // SAFETY: by the caller's promise `to` has `*len` bytes, of which no more are written, and
        // `self` has `size`, which `new` gave.
        unsafe {
            let room = (*len).min(size) as usize;
            std::ptr::copy_nonoverlapping((&raw const *self).cast::<u8>(), to.cast::<u8>(), room);
            *len = size;
        }
    }
}

/// The address bytes of `gethostbyaddr`'s argument.
///
/// # Safety
///
/// `address` points to `len` readable bytes.
pub(crate) unsafe fn read_ip(
    address: *const libc::c_void,
    len: socklen_t,
    family: libc::c_int,
) -> Option<IpAddr> {
    if address.is_null() {
        return None;
    }
    match (family, len) {
        // SAFETY: the caller vouches for `len` bytes.
        (AF_INET, 4) => Some(IpAddr::from(unsafe { address.cast::<[u8; 4]>().read_unaligned() })),
        // SAFETY: as above.
        (AF_INET6, 16) => Some(IpAddr::from(unsafe { address.cast::<[u8; 16]>().read_unaligned() })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(address: SocketAddr, family: libc::c_int) -> Given {
        let (raw, len) = Raw::new(address, family);
        // SAFETY: `raw` has at least `len` bytes.
        unsafe { read((&raw const raw).cast(), len) }
    }

    #[test]
    fn miri_addresses_survive_the_round_trip() {
        for text in ["10.1.2.3:443", "[fd00::1]:1", "[fe80::1%7]:65535"] {
            let address: SocketAddr = text.parse().unwrap();
            let family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
            assert_eq!(round_trip(address, family), Given::Inet(address));
        }
        let mapped = "[::ffff:10.1.2.3]:443".parse().unwrap();
        assert_eq!(round_trip("10.1.2.3:443".parse().unwrap(), AF_INET6), Given::Inet(mapped));
    }

    #[test]
    fn miri_every_length_is_judged_without_reading_past_it() {
        let (raw, len) = Raw::new("[fd00::1]:9".parse().unwrap(), AF_INET6);
        for cut in 0..=len {
            let copy: Vec<u8> =
                // SAFETY: `raw` has `len` bytes.
                unsafe { std::slice::from_raw_parts((&raw const raw).cast::<u8>(), cut as usize) }.to_vec();
            // SAFETY: `copy` has `cut` bytes.
            let given = unsafe { read(copy.as_ptr().cast(), cut) };
            match cut {
                0..=1 => assert_eq!(given, Given::Nothing),
                2..=23 => assert_eq!(given, Given::Malformed),
                _ => assert!(matches!(given, Given::Inet(_))),
            }
        }
    }

    #[test]
    fn miri_a_unix_path_is_read_as_far_as_it_goes() {
        let mut bytes = (AF_UNIX as sa_family_t).to_ne_bytes().to_vec();
        bytes.extend(b"/run/nscd/socket");
        let whole = bytes.len();
        bytes.resize(size_of::<sockaddr_un>() + 1, 0);
        for len in 2..=bytes.len() {
            let copy = bytes[..len].to_vec();
            // SAFETY: `copy` has `len` bytes.
            let given = unsafe { read(copy.as_ptr().cast(), len as socklen_t) };
            let resolver = (whole..=size_of::<sockaddr_un>()).contains(&len);
            assert_eq!(given, if resolver { Given::Resolver } else { Given::Foreign }, "{len}");
        }
    }

    #[test]
    fn miri_a_small_buffer_is_cut_and_the_whole_length_told() {
        let (raw, size) = Raw::new("1.2.3.4:5".parse().unwrap(), AF_INET);
        let mut buffer = [0xffu8; 6];
        let mut len = 4;
        // SAFETY: the buffer has more than the 4 bytes that `len` tells of.
        unsafe { raw.write(size, buffer.as_mut_ptr().cast(), &mut len) };
        assert_eq!((len, buffer[4], buffer[5]), (16, 0xff, 0xff));
        assert_eq!(buffer[2..4], 5u16.to_be_bytes());
    }
}
