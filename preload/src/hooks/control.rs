//! Control messages of a send (cmsg(3)). One that names a device or a source address (IP_PKTINFO) would take
//! a datagram for the agent out of this machine, or away from where the agent expects it.

use std::ffi::c_void;

use libc::{IP_PKTINFO, IPPROTO_IP, IPPROTO_IPV6, IPV6_PKTINFO, cmsghdr, msghdr};

/// Room for the control messages of one send. Together they are a few hundred bytes at most.
pub(super) const ROOM: usize = 1024;

/// A copy of control messages, aligned as they have to be.
#[repr(C, align(8))]
pub(super) struct Space<const N: usize>(pub(super) [u8; N]);

/// Whether one of the messages says where the datagram leaves.
///
/// # Safety
///
/// The control messages of `header` are readable, as sendmsg(2) requires.
pub(super) unsafe fn names_a_way(header: &msghdr) -> bool {
    let mut found = false;
    // SAFETY: the caller's promise.
    unsafe { each(header, |message, _| found |= is_way(message)) };
    found
}

/// Makes `header` use a copy of its control messages in `space`, without those that say where the datagram
/// leaves; whether there was room.
///
/// # Safety
///
/// As above; `header` is not used after `space` has gone.
pub(super) unsafe fn without_way<const N: usize>(header: &mut msghdr, space: &mut Space<N>) -> bool {
    let (mut used, mut fits) = (0, true);
    // SAFETY: the caller's promise.
    unsafe {
        each(header, |message, bytes| {
            if is_way(message) {
                return;
            }
            let padded = bytes.len().next_multiple_of(align_of::<usize>());
            match space.0.get_mut(used..used + padded) {
                Some(room) => {
                    room.fill(0);
                    if let Some(room) = room.get_mut(..bytes.len()) {
                        room.copy_from_slice(bytes);
                    }
                    used += padded;
                }
                None => fits = false,
            }
        });
    }
    header.msg_controllen = used;
    header.msg_control = if used == 0 { std::ptr::null_mut() } else { space.0.as_mut_ptr().cast::<c_void>() };
    fits
}

fn is_way(message: &cmsghdr) -> bool {
    matches!((message.cmsg_level, message.cmsg_type), (IPPROTO_IP, IP_PKTINFO) | (IPPROTO_IPV6, IPV6_PKTINFO))
}

/// Gives each message and its bytes to `use_it`; ends at one that is not whole, which the kernel refuses.
///
/// # Safety
///
/// As above.
pub(super) unsafe fn each(header: &msghdr, mut use_it: impl FnMut(&cmsghdr, &[u8])) {
    if header.msg_control.is_null() {
        return;
    }
    let (base, size) = (header.msg_control.cast::<u8>(), header.msg_controllen);
    let mut at = 0;
    while let Some(left) = size.checked_sub(at).filter(|&left| left >= size_of::<cmsghdr>()) {
        // SAFETY: as many bytes are left as a header has.
        let message = unsafe { base.add(at).cast::<cmsghdr>().read_unaligned() };
        let length = message.cmsg_len;
        if length < size_of::<cmsghdr>() || length > left {
            return;
        }
        // SAFETY: `length` bytes are left.
        use_it(&message, unsafe { std::slice::from_raw_parts(base.add(at), length) });
        at += length.next_multiple_of(align_of::<usize>());
    }
}
