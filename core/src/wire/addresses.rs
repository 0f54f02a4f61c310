//! The list of addresses in a reply: of bounded size, on the stack.

use std::net::{IpAddr, Ipv4Addr};

/// As many as fit into a frame beside a name.
pub const MAX_ADDRESSES: usize = 12;

/// At most [`MAX_ADDRESSES`] addresses, in an order that matters.
#[derive(Clone, Copy)]
pub struct Addresses {
    list: [IpAddr; MAX_ADDRESSES],
    len: usize,
}

impl Addresses {
    /// Adds one at the end; `false`, and nothing is added, where the list is full.
    pub fn push(&mut self, ip: IpAddr) -> bool {
        match self.list.get_mut(self.len) {
            Some(place) => {
                *place = ip;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// The addresses, in order.
    pub fn as_slice(&self) -> &[IpAddr] {
        self.list.get(..self.len).unwrap_or_default()
    }

    /// The addresses, in order.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.as_slice().iter().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Default for Addresses {
    fn default() -> Self {
        Self { list: [IpAddr::V4(Ipv4Addr::UNSPECIFIED); MAX_ADDRESSES], len: 0 }
    }
}

impl PartialEq for Addresses {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Addresses {}

impl std::fmt::Debug for Addresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// What does not fit is left out.
impl FromIterator<IpAddr> for Addresses {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(iter: I) -> Self {
        let mut addresses = Self::default();
        for ip in iter.into_iter().take(MAX_ADDRESSES) {
            addresses.push(ip);
        }
        addresses
    }
}
