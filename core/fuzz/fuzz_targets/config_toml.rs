//! Any text is a configuration or an error with its place; a configuration survives the way to the
//! agent, and decides about anything.
#![no_main]

use underpass_core::config::Config;
use underpass_core::config::file::parse;
use underpass_core::config::route::Asked;

libfuzzer_sys::fuzz_target!(|text: &str| {
    match parse(text, "f", |name| (name == "root").then_some(0)) {
        Ok(parsed) => {
            let json = serde_json::to_string(&parsed.config).expect("json");
            let again: Config = serde_json::from_str(&json).expect("a configuration");
            assert_eq!(again, parsed.config);
            let name = text.lines().last();
            let program = text.lines().next();
            let asked = Asked { name, port: Some(443), program, user: Some(0), ip: None };
            let direct = again.direct_name(name.unwrap_or_default(), program, Some(0));
            let decision = again.decide(&asked);
            if direct && name.is_some() {
                assert_eq!(decision.1, &underpass_core::config::route::To::Direct);
            }
            again.decide(&Asked { name: None, ip: Some([10, 0, 0, 1].into()), ..asked });
        }
        Err(error) => assert!(error.to_string().starts_with("f:") && !error.message.contains('\n')),
    }
});
