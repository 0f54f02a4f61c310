//! Datagrams in a stream: capsules (RFC 9297 section 3.2) with HTTP datagrams of connect-udp in them (RFC 9298
//! section 5), without I/O.

/// The largest payload of UDP (RFC 9298 section 5).
pub(crate) const MAX_DATAGRAM: usize = 65_527;
/// What [`header`] writes.
pub(crate) const HEADER: usize = 6;
/// Of capsules that are no datagrams, this much is passed over.
const MAX_SKIPPED: u64 = 1 << 20;

/// The capsule type of datagrams.
const DATAGRAM: u64 = 0;
/// The context of those that are payloads of UDP.
const PAYLOAD: u64 = 0;

/// What nobody who speaks the protocol sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Takes a stream apart, however it was cut into pieces.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The beginning of a capsule, if its end has not come yet.
    kept: Vec<u8>,
    skip: u64,
}

impl Decoder {
    /// Calls `each` with the payload of each datagram that is whole by now.
    pub(crate) fn take(&mut self, bytes: &[u8], each: impl FnMut(&[u8])) -> Result<(), Malformed> {
        self.take_keeping(usize::MAX, bytes, each)
    }

    /// The same, where no more than `most` may be kept: a longer datagram is lost if it does not come in one piece.
    pub(crate) fn take_keeping(
        &mut self,
        most: usize,
        bytes: &[u8],
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), Malformed> {
        if self.kept.is_empty() {
            let used = self.whole(most, bytes, &mut each)?;
            self.kept.extend_from_slice(&bytes[used..]);
        } else {
            let mut kept = std::mem::take(&mut self.kept);
            // By no more than is there: it may be kept for long.
            kept.reserve_exact(bytes.len());
            kept.extend_from_slice(bytes);
            let used = self.whole(most, &kept, &mut each)?;
            if used > 0 {
                // A stream on which nothing moves holds nothing.
                kept.drain(..used);
                kept.shrink_to_fit();
            }
            self.kept = kept;
        }
        Ok(())
    }

    /// Whether the stream may end here.
    pub(crate) fn is_at_end(&self) -> bool {
        self.kept.is_empty() && self.skip == 0
    }

    /// How many bytes belong to whole capsules, or to such as are passed over.
    fn whole(&mut self, most: usize, bytes: &[u8], each: &mut impl FnMut(&[u8])) -> Result<usize, Malformed> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            if self.skip > 0 {
                let passed = rest.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
                self.skip -= passed as u64;
                at += passed;
                if self.skip > 0 {
                    return Ok(at);
                }
                continue;
            }
            let Some((kind, after_kind)) = varint(rest) else { return Ok(at) };
            let Some((length, after_length)) = varint(&rest[after_kind..]) else { return Ok(at) };
            let head = after_kind + after_length;
            if kind != DATAGRAM {
                if length > MAX_SKIPPED {
                    return Err(Malformed);
                }
                self.skip = length;
                at += head;
                continue;
            }
            // Its context is 8 bytes at most.
            if length > MAX_DATAGRAM as u64 + 8 {
                return Err(Malformed);
            }
            let end = head + length as usize;
            if rest.len() < end && end > most {
                self.skip = (end - rest.len()) as u64;
                return Ok(bytes.len());
            }
            let Some(value) = rest.get(head..end) else { return Ok(at) };
            let (context, start) = varint(value).ok_or(Malformed)?;
            // Other contexts were never agreed upon: they are dropped (RFC 9298 section 4).
            if context == PAYLOAD {
                let payload = &value[start..];
                if payload.len() > MAX_DATAGRAM {
                    return Err(Malformed);
                }
                each(payload);
            }
            at += end;
        }
    }
}

/// What comes before a payload of so many bytes.
pub(crate) fn header(payload: usize) -> [u8; HEADER] {
    // Any length of a varint is good (RFC 9000 section 16); this one has room for all payloads.
    let [_, b, c, d] = (payload as u32 + 1).to_be_bytes();
    [DATAGRAM as u8, 0x80, b, c, d, PAYLOAD as u8]
}

/// A variable-length integer (RFC 9000 section 16), and how long it is.
pub(crate) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = 1 << (first >> 6);
    let more = bytes.get(1..length)?;
    let number = more.iter().fold(u64::from(first & 0x3f), |number, byte| number << 8 | u64::from(*byte));
    Some((number, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, Malformed> {
        let (mut decoder, mut found) = (Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.take(piece, |payload| found.push(payload.to_vec()))?;
        }
        assert!(decoder.is_at_end());
        Ok(found)
    }

    fn one(payload: &[u8]) -> Vec<u8> {
        [&header(payload.len())[..], payload].concat()
    }

    #[test]
    fn what_is_written_is_read_however_it_is_cut() {
        let large = vec![7; MAX_DATAGRAM];
        let payloads: [&[u8]; 4] = [b"", b"a", b"bcd", &large];
        let stream: Vec<u8> = payloads.iter().flat_map(|payload| one(payload)).collect();
        for cut in (0..40).chain([1000, stream.len() - 1, stream.len()]) {
            assert_eq!(all(&[&stream[..cut], &stream[cut..]]).unwrap(), payloads, "{cut}");
        }
        let bytes: Vec<&[u8]> = stream[..30].chunks(1).chain([&stream[30..]]).collect();
        assert_eq!(all(&bytes).unwrap(), payloads);
    }

    #[test]
    fn the_example_of_the_standard_is_read() {
        // RFC 9000 section A.1: 0x7bbd is 15,293, and 37 may be 0x25 or 0x4025.
        assert_eq!(varint(&[0x7b, 0xbd]), Some((15_293, 2)));
        assert_eq!(varint(&[0x25]), Some((37, 1)));
        assert_eq!(varint(&[0x40, 0x25, 9]), Some((37, 2)));
        assert_eq!(
            varint(&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c]),
            Some((151_288_809_941_952_652, 8))
        );
        assert_eq!(varint(&[0x40]), None);
        assert_eq!(all(&[&[0, 3, 0, b'h', b'i']]).unwrap(), [b"hi"]);
    }

    #[test]
    fn what_was_never_agreed_upon_is_passed_over() {
        // A capsule of type 0x17, and a datagram of context 2.
        let odd = [0x17, 4, 1, 2, 3, 4, 0, 2, 2, 9];
        let stream = [&odd[..], &one(b"x")].concat();
        for cut in 0..stream.len() {
            assert_eq!(all(&[&stream[..cut], &stream[cut..]]).unwrap(), [b"x"], "{cut}");
        }
    }

    #[test]
    fn no_more_is_kept_than_may_be() {
        const MOST: usize = 2000;
        let stream = [one(b"a"), one(&[7; 1900]), one(&[8; 60_000]), one(b"b"), one(&[9; 1900])].concat();
        for size in [1, 7, 1000, 1500, 16_384, 40_000] {
            let (mut decoder, mut found) = (Decoder::default(), Vec::new());
            for piece in stream.chunks(size) {
                decoder.take_keeping(MOST, piece, |payload| found.push(payload.to_vec())).unwrap();
                assert!(decoder.kept.capacity() <= MOST, "{size}: {}", decoder.kept.capacity());
            }
            assert!(decoder.is_at_end());
            assert_eq!(found, [&b"a"[..], &[7; 1900], b"b", &[9; 1900]], "{size}");
        }
        let (mut decoder, mut found) = (Decoder::default(), 0);
        decoder.take_keeping(MOST, &stream, |_| found += 1).unwrap();
        assert_eq!(found, 5);
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_is_kept() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.take(&[0, 0x80, 1, 0, 8], |_| ()), Err(Malformed));
        let mut decoder = Decoder::default();
        assert_eq!(decoder.take(&[0x17, 0xc0, 0, 0, 1, 0, 0, 0, 0], |_| ()), Err(Malformed));
        // Without a context.
        assert_eq!(Decoder::default().take(&[0, 0], |_| ()), Err(Malformed));
        assert_eq!(
            all(&[&[&header(MAX_DATAGRAM + 1)[..], &vec![0; MAX_DATAGRAM + 1]].concat()]),
            Err(Malformed)
        );
    }
}
