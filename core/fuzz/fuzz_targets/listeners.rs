//! Any text is a forward or a listener, or an error that is one line; and what is shown of one is the same one.
#![no_main]

use underpass_core::config::expose::Inside;
use underpass_core::config::file::parse;
use underpass_core::config::listen::forward::{dynamic, local, reverse};

libfuzzer_sys::fuzz_target!(|text: &str| {
    for why in [local(text).err(), dynamic(text).err()].into_iter().flatten() {
        assert!(!why.is_empty() && !why.contains('\n'));
    }
    match reverse(text) {
        Ok(listener) => {
            let shown = listener.to_string();
            assert_eq!(reverse(&shown).as_ref(), Ok(&listener), "{shown}");
            if let Inside::Path(path) = &listener.to {
                assert!(path.is_absolute());
            }
        }
        Err(why) => assert!(!why.is_empty() && !why.contains('\n')),
    }
    // The same in a file.
    let file = format!("proxy = 'socks5h://a:1'\n[[expose]]\nat = 'main'\nexit-port = 1\nto = {text:?}\n");
    if let Ok(parsed) = parse(&file, "c", |_| None) {
        assert!(parsed.config.reverses.iter().all(|it| it.port == 1));
    }
});
