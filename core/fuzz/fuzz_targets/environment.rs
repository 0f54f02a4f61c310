//! Any values of the proxy variables are a configuration or an error. The lines of the input are the
//! values, in the order in which the variables are asked for.
#![no_main]

use underpass_core::config::Config;
use underpass_core::config::environment::from_environment;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let names = ["NO_PROXY", "ALL_PROXY", "HTTPS_PROXY", "SOCKS_SERVER", "no_proxy"];
    let get = |name: &str| {
        let number = names.iter().position(|known| *known == name)?;
        text.split('\n').nth(number).map(str::to_owned)
    };
    if let Some(Ok((_, config))) = from_environment(get) {
        let json = serde_json::to_string(&config).expect("json");
        let again: Config = serde_json::from_str(&json).expect("a configuration");
        assert_eq!(again, config);
    }
});
