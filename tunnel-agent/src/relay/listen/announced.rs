//! Connections that wait at a listener, told to its client in capsules (RFC 9297 section 3.2), without I/O.

use std::net::{IpAddr, SocketAddr};

use super::request::Id;
use crate::relay::capsule::{Malformed, varint};

/// The type of these capsules; others are passed over.
const WAITS: u64 = 0x2d75_5031;
/// No capsule on such a stream is longer.
const LONGEST: u64 = 1024;

/// A connection that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) id: Id,
    /// Who has connected.
    pub(crate) peer: SocketAddr,
}

impl Announced {
    /// The capsule: type, length, the 16 bytes of the id, 4 or 6, the address, the port.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut value = self.id.0.to_vec();
        match self.peer.ip().to_canonical() {
            IpAddr::V4(v4) => {
                value.push(4);
                value.extend(v4.octets());
            }
            IpAddr::V6(v6) => {
                value.push(6);
                value.extend(v6.octets());
            }
        }
        value.extend(self.peer.port().to_be_bytes());
        let mut capsule = (WAITS as u32 | 0x8000_0000).to_be_bytes().to_vec();
        // Below 64, so one byte (RFC 9000 section 16).
        capsule.push(value.len() as u8);
        capsule.extend(value);
        capsule
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let (id, rest) = value.split_first_chunk::<16>()?;
        let (&kind, rest) = rest.split_first()?;
        let (ip, rest): (IpAddr, _) = match kind {
            4 => rest.split_first_chunk::<4>().map(|(ip, rest)| ((*ip).into(), rest))?,
            6 => rest.split_first_chunk::<16>().map(|(ip, rest)| ((*ip).into(), rest))?,
            _ => return None,
        };
        let port = u16::from_be_bytes(rest.try_into().ok()?);
        Some(Self { id: Id(*id), peer: SocketAddr::new(ip, port) })
    }
}

/// Takes a stream of capsules apart, however it was cut into pieces.
#[derive(Debug, Default)]
pub(crate) struct Decoder(Vec<u8>);

impl Decoder {
    /// The connections that are told of in whole by now.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Vec<Announced>, Malformed> {
        self.0.extend_from_slice(bytes);
        let (mut found, mut at) = (Vec::new(), 0);
        loop {
            let rest = &self.0[at..];
            let Some((kind, after_kind)) = varint(rest) else { break };
            let Some((length, after_length)) = varint(&rest[after_kind..]) else { break };
            if length > LONGEST {
                return Err(Malformed);
            }
            let head = after_kind + after_length;
            let Some(value) = rest.get(head..head + length as usize) else { break };
            if kind == WAITS {
                found.push(Announced::decode(value).ok_or(Malformed)?);
            }
            at += head + length as usize;
        }
        self.0.drain(..at);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_however_it_is_cut() {
        let one = |n: u8, peer: &str| Announced { id: Id([n; 16]), peer: peer.parse().unwrap() };
        let all = [one(1, "192.0.2.1:1"), one(2, "[2001:db8::1]:65535"), one(3, "0.0.0.0:0")];
        let mut stream: Vec<u8> = all.iter().flat_map(Announced::encode).collect();
        // Another type in between.
        stream.splice(0..0, [0x17, 2, 1, 2]);
        for cut in 0..=stream.len() {
            let mut decoder = Decoder::default();
            let mut found = decoder.take(&stream[..cut]).unwrap();
            found.extend(decoder.take(&stream[cut..]).unwrap());
            assert_eq!(found, all, "{cut}");
        }
        let mut short = all[0].encode();
        short[4] -= 1;
        short.pop();
        assert_eq!(Decoder::default().take(&short), Err(Malformed));
        assert_eq!(Decoder::default().take(&[0x17, 0x80, 1, 0, 0]), Err(Malformed));
    }
}
