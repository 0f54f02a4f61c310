//! Any URL is an upstream or an error, and what is shown of it is the same upstream without its
//! credentials.
#![no_main]

use underpass_core::upstream::Upstream;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(upstream) = text.parse::<Upstream>() {
        let shown = upstream.to_string();
        let Ok(again) = shown.parse::<Upstream>() else { panic!("{shown} is no upstream") };
        assert_eq!(again.to_string(), shown);
    }
});
