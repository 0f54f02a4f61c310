//! Whatever a program sends to port 53, it is answered with nothing, or with an answer to it that is a
//! message; and what is asked elsewhere of it is a question that is read back.
#![no_main]

#[path = "../../src/dns/message/mod.rs"]
#[allow(dead_code, reason = "the module is part of a program, and is used here by its parts")]
mod message;

use std::net::IpAddr;

use domain::base::Message;
use domain::base::iana::OptRcode;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let is_answer = |answer: &[u8]| {
        let answer = Message::from_slice(answer).expect("a message");
        assert!(answer.header().qr() && answer.header().id().to_be_bytes() == bytes[..2]);
        answer.iter().for_each(|record| assert!(record.is_ok()));
    };
    let question = match message::read(bytes) {
        Ok(question) => question,
        Err(answer) => return answer.iter().for_each(|answer| is_answer(answer)),
    };
    let (host, address) = (question.host(), question.address());
    assert!(host.is_none_or(|host| host.len() <= 255));
    let _ = address;
    let ips = [IpAddr::from([198, 18, 0, 1]), IpAddr::from([1; 16])];
    // Long answers take most of the time: one in 16.
    let many = if bytes[0] % 16 == 0 { 200 } else { 2 };
    for answer in [
        question.addresses(&ips),
        question.addresses(&[]),
        question.pointer("a.test"),
        question.failed(OptRcode::SERVFAIL),
        question.addresses(&ips.repeat(many)),
    ] {
        is_answer(&answer);
        let fitted = question.fitted(answer);
        is_answer(&fitted);
        assert!(fitted.len() <= question.datagram_size());
    }
    let again = message::read(&question.asked_by(7)).expect("a question");
    assert_eq!((again.host(), again.kind), (question.host(), question.kind));
});
