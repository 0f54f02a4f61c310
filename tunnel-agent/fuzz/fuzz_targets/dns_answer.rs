//! Whatever a resolver answers, what is passed on is a message of bounded size that answers the question, and
//! holds no address that was not asked for, or that is forbidden.
#![no_main]

#[path = "../../src/dns/message/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the module is part of a program, and is used here by its parts")]
mod message;

use std::net::IpAddr;

use domain::base::iana::Rtype;
use domain::base::{Message, ParsedName};
use domain::rdata::AllRecordData;
use message::Question;

const KINDS: [Rtype; 6] = [Rtype::A, Rtype::AAAA, Rtype::HTTPS, Rtype::MX, Rtype::ANY, Rtype::SRV];

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| {
    let (kind, rest) = input;
    let kind = KINDS[usize::from(kind) % KINDS.len()];
    let question = Question::of("a.test", kind).expect("a name");
    // The head and the question are right: only what follows can be of interest, and is the input's.
    let mut answer = question.asked_by(7);
    answer.truncate(12 + 8 + 4);
    answer[2] |= 0x80;
    let counts = rest.get(..6).unwrap_or(&[0; 6]);
    answer[6..12].copy_from_slice(counts);
    answer[3] = rest.get(6).map_or(0, |byte| byte & 0x33);
    answer.extend(rest.get(7..).unwrap_or_default());
    let bad = IpAddr::from([127, 0, 0, 1]);
    let Some(passed) = question.passed_on(&answer, 7, &|ip| ip != bad) else { return };
    assert!(passed.len() <= 65_535);
    let message = Message::from_slice(&passed).expect("a message");
    assert!(message.header().qr() && message.sole_question().is_ok_and(|asked| asked.qtype() == kind));
    for record in message.iter() {
        let (record, _) = record.expect("what was written can be read");
        let data = record.into_any_record::<AllRecordData<_, ParsedName<_>>>().expect("so can its data");
        match data.data() {
            AllRecordData::A(a) => assert!(kind == Rtype::A && a.addr() != bad),
            AllRecordData::Aaaa(_) => assert!(kind == Rtype::AAAA),
            AllRecordData::Https(https) => assert!(hints(https.params().iter_raw().map(|p| p.key().to_int()))),
            AllRecordData::Svcb(svcb) => assert!(hints(svcb.params().iter_raw().map(|p| p.key().to_int()))),
            _ => {}
        }
    }
    let _ = question.found(&passed);
});

/// Whether there are none (RFC 9460 section 14.3.2).
fn hints(mut keys: impl Iterator<Item = u16>) -> bool {
    !keys.any(|key| key == 4 || key == 6)
}
