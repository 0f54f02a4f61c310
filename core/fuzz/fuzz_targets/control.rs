//! Any line is a request, a reply, or refused in words that fit a log; what is one says the same when it is said again, in one line.
#![no_main]

use underpass_core::control::{ControlReply, ControlRequest};

libfuzzer_sys::fuzz_target!(|line: &str| {
    match ControlRequest::from_line(line) {
        Ok(request) => {
            let said = request.to_line();
            assert_eq!(said.find('\n'), Some(said.len() - 1));
            assert_eq!(ControlRequest::from_line(&said), Ok(request));
        }
        Err(why) => assert!(!why.is_empty()),
    }
    if let Ok(reply) = ControlReply::from_line(line) {
        let said = reply.to_line();
        assert_eq!(said.find('\n'), Some(said.len() - 1));
        assert_eq!(ControlReply::from_line(&said), Ok(reply));
    }
});
