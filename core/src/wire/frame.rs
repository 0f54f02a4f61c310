//! How the fields of a frame are written and read.

use std::net::{IpAddr, SocketAddr};

use super::{MAX_FRAME, WireError};

/// A frame being written to an array of the caller.
#[derive(Debug)]
pub struct Frame {
    bytes: [u8; MAX_FRAME],
    len: usize,
}

impl Frame {
    pub(super) fn new() -> Self {
        Self { bytes: [0; MAX_FRAME], len: 0 }
    }

    /// The encoded bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Every body has a fixed bound well under [`MAX_FRAME`] except names, which are cut at
    /// [`super::MAX_NAME`] by the callers; what would not fit is dropped and decodes as `Short`.
    pub(super) fn put(mut self, bytes: &[u8]) -> Self {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
        self
    }

    pub(super) fn ip(self, ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => self.put(&[4]).put(&v4.octets()),
            IpAddr::V6(v6) => self.put(&[6]).put(&v6.octets()),
        }
    }

    pub(super) fn address(self, address: SocketAddr) -> Self {
        let scope = match address {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(v6) => v6.scope_id(),
        };
        self.ip(address.ip()).put(&address.port().to_le_bytes()).put(&scope.to_le_bytes())
    }
}

/// A frame being read.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads one whole frame, if it is not longer than any may be.
    pub(super) fn new(frame: &'a [u8]) -> Result<Self, WireError> {
        if frame.len() > MAX_FRAME { Err(WireError::Trailing) } else { Ok(Self(frame)) }
    }

    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(WireError::Short)?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(WireError::Short)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|[b]| b)
    }

    pub(super) fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn flag(&mut self) -> Result<bool, WireError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Unknown),
        }
    }

    pub(super) fn errno(&mut self, least: i32) -> Result<i32, WireError> {
        let errno = i32::from_le_bytes(self.array()?);
        // The kernel's own bound on errno values (MAX_ERRNO).
        if (least..=4095).contains(&errno) { Ok(errno) } else { Err(WireError::Range) }
    }

    pub(super) fn cookie(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn ip(&mut self) -> Result<IpAddr, WireError> {
        match self.u8()? {
            4 => Ok(IpAddr::from(self.array::<4>()?)),
            6 => Ok(IpAddr::from(self.array::<16>()?)),
            _ => Err(WireError::Unknown),
        }
    }

    pub(super) fn address(&mut self) -> Result<SocketAddr, WireError> {
        let ip = self.ip()?;
        let port = self.u16()?;
        let scope = u32::from_le_bytes(self.array()?);
        Ok(match ip {
            IpAddr::V4(_) if scope != 0 => return Err(WireError::Range),
            IpAddr::V4(v4) => SocketAddr::from((v4, port)),
            IpAddr::V6(v6) => std::net::SocketAddrV6::new(v6, port, 0, scope).into(),
        })
    }

    pub(super) fn name(&mut self) -> Result<&'a [u8], WireError> {
        let len = usize::from(self.u8()?);
        if len == 0 { Err(WireError::Range) } else { self.take(len) }
    }

    /// A name, or no bytes at all.
    pub(super) fn name_or_none(&mut self) -> Result<&'a [u8], WireError> {
        let len = usize::from(self.u8()?);
        self.take(len)
    }

    /// All that is left, if there is anything.
    pub(super) fn all(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// All that is left, one byte at least.
    pub(super) fn rest(&mut self) -> Result<&'a [u8], WireError> {
        if self.0.is_empty() { Err(WireError::Short) } else { self.take(self.0.len()) }
    }

    pub(super) fn end<T>(self, value: T) -> Result<T, WireError> {
        if self.0.is_empty() { Ok(value) } else { Err(WireError::Trailing) }
    }
}

/// A name with its length byte; longer ones than [`super::MAX_NAME`] cannot be sent.
pub(super) fn put_name(frame: Frame, name: &[u8]) -> Frame {
    match u8::try_from(name.len()) {
        Ok(len) => frame.put(&[len]).put(name),
        Err(_) => frame,
    }
}
