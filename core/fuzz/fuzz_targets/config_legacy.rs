//! Any text is a file of proxychains, torsocks and tsocks or an error; what is read survives the way to
//! the agent.
#![no_main]

use underpass_core::config::Config;
use underpass_core::config::format::{Format, parse_as};

libfuzzer_sys::fuzz_target!(|text: &str| {
    for format in [Format::Proxychains, Format::Torsocks, Format::Tsocks] {
        if let Ok(parsed) = parse_as(format, text, "f", |_| None) {
            let json = serde_json::to_string(&parsed.config).expect("json");
            let again: Config = serde_json::from_str(&json).expect("a configuration");
            assert_eq!(again, parsed.config);
            assert!(again.chains.values().all(|chain| !chain.hops.is_empty()));
        }
    }
});
