//! However a stream of capsules is cut, the same datagrams come out of it, or it is malformed; and what is written is
//! read.
#![no_main]

#[path = "../../src/relay/capsule.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod capsule;

use capsule::{Decoder, MAX_DATAGRAM, Malformed, header};

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Vec<u8>>, Malformed> {
    let (mut decoder, mut found) = (Decoder::default(), Vec::new());
    for piece in pieces {
        decoder.take(piece, |payload| {
            assert!(payload.len() <= MAX_DATAGRAM);
            found.push(payload.to_vec());
        })?;
    }
    Ok(found)
}

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let whole = read(std::iter::once(bytes));
    assert_eq!(read(bytes.chunks(usize::from(size).max(1))), whole);
    if bytes.len() <= MAX_DATAGRAM {
        let written = [&header(bytes.len())[..], bytes].concat();
        assert_eq!(read(written.chunks(usize::from(size).max(1))), Ok(vec![bytes.to_vec()]));
    }
});
