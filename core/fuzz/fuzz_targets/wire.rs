//! Any bytes decode or are refused; what decodes encodes to the same bytes.
#![no_main]

use underpass_core::wire::{Reply, Request};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok((token, request)) = Request::decode(bytes) {
        assert_eq!(request.encode(&token).as_bytes(), bytes);
    }
    if let Ok(reply) = Reply::decode(bytes) {
        assert_eq!(reply.encode().as_bytes(), bytes);
    }
});
