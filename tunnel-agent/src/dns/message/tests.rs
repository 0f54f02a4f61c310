use std::net::IpAddr;

use domain::base::iana::{OptRcode, Rcode, Rtype, SvcParamKey};
use domain::base::message_builder::MessageBuilder;
use domain::base::{Message, Name, Ttl, UnknownRecordData};
use domain::rdata::{A, Cname, Mx};

use super::foreign::Found;
use super::*;

const ID: u16 = 0x1234;
/// Header: ID, recursion desired, one question.
const HEAD: [u8; 12] = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];

fn name(text: &str) -> Name<Vec<u8>> {
    Name::vec_from_str(text).unwrap()
}

/// A question as programs write it, with the size of an EDNS record.
fn asking(host: &str, kind: Rtype, edns: Option<u16>) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(ID);
    builder.header_mut().set_rd(true);
    let mut question = builder.question();
    question.push((name(host), kind)).unwrap();
    let mut additional = question.additional();
    if let Some(size) = edns {
        additional
            .opt(|opt| {
                opt.set_udp_payload_size(size);
                Ok(())
            })
            .unwrap();
    }
    additional.finish()
}

fn question(host: &str, kind: Rtype) -> Question {
    read(&asking(host, kind, None)).unwrap()
}

fn ips(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|ip| ip.parse().unwrap()).collect()
}

/// The answer's code, its counts of records, and whether it is truncated.
fn shape(answer: &[u8]) -> (Rcode, [u16; 4], bool) {
    let message = Message::from_slice(answer).unwrap();
    let counts = message.header_counts();
    assert!(message.header().qr() && message.header().ra() && message.header().id() == ID);
    let counts = [counts.qdcount(), counts.ancount(), counts.nscount(), counts.arcount()];
    (message.header().rcode(), counts, message.header().tc())
}

fn good(_: IpAddr) -> bool {
    true
}

#[test]
fn a_question_is_read_as_it_is_spelled() {
    let question = read(&asking("wWw.Example.org", Rtype::A, Some(1232))).unwrap();
    assert_eq!((question.host().as_deref(), question.kind), (Some("wWw.Example.org"), Rtype::A));
    assert_eq!(question.datagram_size(), 1232);
    let answer = question.addresses(&ips(&["198.18.0.1", "::1"]));
    assert_eq!(shape(&answer), (Rcode::NOERROR, [1, 1, 0, 1], false));
    assert!(answer.windows(8).any(|bytes| bytes == b"\x03wWw\x07Exa"));
    for (size, room) in [(None, 512), (Some(100), 512), (Some(4096), 4096)] {
        assert_eq!(read(&asking("a", Rtype::A, size)).unwrap().datagram_size(), room);
    }
}

#[test]
fn names_that_are_no_host_names_are_told_apart() {
    assert_eq!(question(".", Rtype::A).host().as_deref(), Some(""));
    assert_eq!(question("a\\.b.test", Rtype::A).host(), None);
    assert_eq!(question("\\255.test", Rtype::A).host(), None);
}

#[test]
fn what_is_no_question_is_answered_as_a_resolver_would() {
    let with = |at: usize, byte: u8| {
        let mut bytes = asking("a.test", Rtype::A, None);
        bytes[at] = byte;
        bytes
    };
    let class = asking("a.test", Rtype::A, None).len() - 1;
    let opt = || asking("a.test", Rtype::A, Some(512));
    let two_opts = {
        let mut bytes = opt();
        let record = bytes[class + 1..].to_vec();
        bytes.extend(record);
        bytes[11] = 2;
        bytes
    };
    for (bytes, code) in [
        (vec![], None),
        (HEAD[..11].to_vec(), None),
        // An answer.
        (with(2, 0x81), None),
        // No question, two, one that is not there, a part of one.
        (with(5, 0), Some(Rcode::FORMERR)),
        (with(5, 2), Some(Rcode::FORMERR)),
        (HEAD.to_vec(), Some(Rcode::FORMERR)),
        (asking("a.test", Rtype::A, None)[..16].to_vec(), Some(Rcode::FORMERR)),
        // A name that points to itself; a record that is not there; bytes of nothing; two OPT records.
        ([&HEAD[..], b"\xc0\x0c\0\x01\0\x01"].concat(), Some(Rcode::FORMERR)),
        (with(7, 1), Some(Rcode::FORMERR)),
        (with(11, 1), Some(Rcode::FORMERR)),
        ([asking("a.test", Rtype::A, None), vec![0]].concat(), Some(Rcode::FORMERR)),
        (two_opts, Some(Rcode::FORMERR)),
        // STATUS, NOTIFY, UPDATE.
        (with(2, 0x11), Some(Rcode::NOTIMP)),
        (with(2, 0x21), Some(Rcode::NOTIMP)),
        (with(2, 0x29), Some(Rcode::NOTIMP)),
        // CHAOS, and a transfer of a zone.
        (with(class, 3), Some(Rcode::REFUSED)),
        (asking("test", Rtype::AXFR, None), Some(Rcode::REFUSED)),
        (asking("test", Rtype::IXFR, None), Some(Rcode::REFUSED)),
    ] {
        let answer = read(&bytes).expect_err("no question");
        assert_eq!(answer.map(|answer| shape(&answer).0), code, "{bytes:?}");
    }
    // EDNS of a later version.
    let mut later = opt();
    let version = later.len() - 5;
    later[version] = 1;
    let answer = read(&later).unwrap_err().unwrap();
    assert_eq!(Message::from_slice(&answer).unwrap().opt_rcode(), OptRcode::BADVERS);
}

#[test]
fn addresses_are_read_from_the_names_that_stand_for_them() {
    let six = format!("1.0.0.0.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(20));
    for (host, ip) in [
        ("4.3.18.198.in-addr.arpa", Some("198.18.3.4")),
        ("4.3.18.198.IN-ADDR.ARPA", Some("198.18.3.4")),
        (six.as_str(), Some("2001:db8::1")),
        ("3.18.198.in-addr.arpa", None),
        ("5.4.3.18.198.in-addr.arpa", None),
        ("256.3.18.198.in-addr.arpa", None),
        ("+4.3.18.198.in-addr.arpa", None),
        ("x.3.18.198.in-addr.arpa", None),
        ("1.0.0.0.ip6.arpa", None),
        ("ip6.arpa", None),
        ("a.test", None),
    ] {
        assert_eq!(question(host, Rtype::PTR).address(), ip.map(|ip| ip.parse().unwrap()), "{host}");
    }
    let answer = question("4.3.18.198.in-addr.arpa", Rtype::PTR).pointer("a\\b.test");
    assert!(answer.windows(10).any(|bytes| bytes == b"\x03a\\b\x04test\0"), "{answer:?}");
}

#[test]
fn what_does_not_fit_a_datagram_is_said_to_be_truncated() {
    let many = vec![IpAddr::from([192, 0, 2, 1]); 100];
    let asked = question("a.test", Rtype::A);
    assert_eq!(shape(&asked.fitted(asked.addresses(&many))), (Rcode::NOERROR, [1, 0, 0, 0], true));
    assert_eq!(shape(&asked.fitted(asked.addresses(&many[..9]))), (Rcode::NOERROR, [1, 9, 0, 0], false));
    let asked = read(&asking("a.test", Rtype::A, Some(4096))).unwrap();
    assert_eq!(shape(&asked.fitted(asked.addresses(&many))).1, [1, 100, 0, 1]);
}

/// An answer from elsewhere with these records, as far as they are pushed.
fn foreign(
    asked: &Question,
    answer: impl FnOnce(&mut domain::base::message_builder::AnswerBuilder<Vec<u8>>),
) -> Vec<u8> {
    let sent = asked.asked_by(77);
    let sent = Message::from_slice(&sent).unwrap();
    let mut builder = MessageBuilder::new_vec().start_answer(sent, Rcode::NOERROR).unwrap();
    answer(&mut builder);
    builder.finish()
}

#[test]
fn nothing_of_the_asker_is_asked_elsewhere() {
    let mut bytes = asking("a.test", Rtype::MX, Some(4096));
    // A client subnet (RFC 7871).
    let end = bytes.len();
    bytes[end - 1] = 8;
    bytes.extend([0, 8, 0, 4, 0, 1, 0, 0]);
    let sent = read(&bytes).unwrap().asked_by(77);
    let message = Message::from_slice(&sent).unwrap();
    assert_eq!(message.header().id(), 77);
    assert!(message.opt().unwrap().opt().is_empty());
    assert_eq!(message.sole_question().unwrap().qtype(), Rtype::MX);
}

#[test]
fn only_an_answer_to_the_question_is_one() {
    let asked = question("a.test", Rtype::MX);
    let right =
        foreign(&asked, |answer| answer.push((name("a.test"), 60, Mx::new(1, name("m.test")))).unwrap());
    let passed = asked.passed_on(&right, 77, &good).unwrap();
    assert_eq!(shape(&passed), (Rcode::NOERROR, [1, 1, 0, 0], false));
    assert_eq!(asked.passed_on(&right, 78, &good), None);
    let other = foreign(&question("b.test", Rtype::MX), |_| {});
    assert_eq!(asked.passed_on(&other, 77, &good), None);
    let other = foreign(&question("a.test", Rtype::TXT), |_| {});
    assert_eq!(asked.passed_on(&other, 77, &good), None);
    for (at, byte) in [(2, 0x01), (2, 0x83), (2, 0x91), (3, 0x84), (5, 2)] {
        let mut wrong = right.clone();
        wrong[at] = byte;
        assert_eq!(asked.passed_on(&wrong, 77, &good), None, "{at}");
    }
    // Nor a part of one.
    for end in 0..right.len() {
        assert_eq!(asked.passed_on(&right[..end], 77, &good), None, "{end}");
    }
}

#[test]
fn addresses_that_nobody_asked_for_do_not_come_through() {
    let asked = question("a.test", Rtype::MX);
    let answer = foreign(&asked, |answer| {
        answer.push((name("a.test"), 60, Mx::new(1, name("m.test")))).unwrap();
        answer.push((name("m.test"), 60, A::from_octets(192, 0, 2, 1))).unwrap();
    });
    let passed = asked.passed_on(&answer, 77, &good).unwrap();
    assert_eq!(shape(&passed).1, [1, 1, 0, 0]);

    let asked = question("a.test", Rtype::A);
    let answer = foreign(&asked, |answer| {
        answer.push((name("a.test"), 60, Cname::new(name("B.test")))).unwrap();
        for (owner, last) in [("b.test", 1), ("b.test", 2), ("c.test", 3)] {
            answer.push((name(owner), 30, A::from_octets(192, 0, 2, last))).unwrap();
        }
    });
    let passed = asked.passed_on(&answer, 77, &|ip| ip != IpAddr::from([192, 0, 2, 1])).unwrap();
    let found = Found::Addresses(ips(&["192.0.2.2"]), "B.test".to_owned());
    assert_eq!(asked.found(&passed), (found, 30));
    assert_eq!(asked.found(&question("a.test", Rtype::A).failed(OptRcode::NXDOMAIN)), (Found::NoName, 0));
    assert_eq!(asked.found(&asked.addresses(&[])), (Found::Nothing, 0));
    assert_eq!(asked.found(&asked.failed(OptRcode::SERVFAIL)), (Found::Failed, 0));
}

#[test]
fn hints_are_taken_out_of_services() {
    let asked = question("a.test", Rtype::HTTPS);
    let head = [0, 1, 0];
    let alpn = [0, 1, 0, 3, 2, b'h', b'3'];
    let hint = [0, 4, 0, 4, 192, 0, 2, 1];
    let mandatory = [0, 0, 0, 4, 0, 1, 0, 4];
    let service = |parts: &[&[u8]]| {
        let data = UnknownRecordData::from_octets(Rtype::HTTPS, parts.concat()).unwrap();
        let answer = foreign(&asked, |answer| {
            answer.push((name("a.test"), Ttl::from_secs(1), data)).unwrap();
        });
        asked.passed_on(&answer, 77, &good)
    };
    let without = service(&[&head, &alpn, &hint]).unwrap();
    assert!(without.ends_with(&[&[0, 10][..], &head, &alpn].concat()), "{without:?}");
    assert_eq!(shape(&without).1, [1, 1, 0, 0]);
    assert_eq!(shape(&service(&[&head, &mandatory, &alpn, &hint]).unwrap()).1, [1, 0, 0, 0]);
    assert_eq!(service(&[&head, &[0, 4, 0, 9, 1]]), None);
    assert_eq!(SvcParamKey::IPV4HINT.to_int(), 4);
}

#[test]
fn an_answer_does_not_grow_beyond_what_a_message_has_room_for() {
    let asked = question("a.test", Rtype::NS);
    let long = ["x".repeat(63).as_str(); 3].join(".");
    let mut answer = foreign(&asked, |answer| {
        answer.push((name("a.test"), 1, domain::rdata::Ns::new(name(&long)))).unwrap();
    });
    // 4,000 records more that point to the long name.
    let at = (answer.len() - 193) as u16;
    for _ in 0..4000 {
        answer.extend([0xc0, 12, 0, 2, 0, 1, 0, 0, 0, 1, 0, 2]);
        answer.extend((0xc000 | at).to_be_bytes());
    }
    answer[6..8].copy_from_slice(&4001u16.to_be_bytes());
    let passed = asked.passed_on(&answer, 77, &good).unwrap();
    assert!(passed.len() <= answer.len(), "{}", passed.len());
}
