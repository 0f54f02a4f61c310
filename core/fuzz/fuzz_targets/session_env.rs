//! Any value parses or is refused; what parses is written back the same.
#![no_main]

use underpass_core::session_env::SessionEnv;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(session) = SessionEnv::parse(bytes) {
        assert_eq!(session.to_value(), bytes);
    }
});
