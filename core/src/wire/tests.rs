//! Every frame there and back, whole, cut and lengthened.

use std::net::IpAddr;

use super::*;

const TOKEN: Token = Token([7; 16]);

fn requests() -> Vec<Request<'static>> {
    vec![
        Request::Connect { address: "10.1.2.3:443".parse().unwrap(), watched: false, held_at: 0 },
        Request::Connect { address: "[fe80::1%3]:53".parse().unwrap(), watched: true, held_at: 40_000 },
        Request::Convert,
        Request::Supervised { process: 70_000, watched: true, address: "10.1.2.3:4".parse().unwrap() },
        Request::Sealed { process: 70_000, address: "[fd00::3]:4".parse().unwrap() },
        Request::Outcome { cookie: u64::MAX },
        Request::Peer { cookie: 1 },
        Request::Resolve { name: b"example.org", family: Family::V6 },
        Request::Resolve { name: &[b'a'; MAX_NAME], family: Family::Any },
        Request::NameOf { ip: "198.18.0.1".parse().unwrap() },
        Request::Datagram { address: "198.18.0.1:123".parse().unwrap(), purpose: Purpose::Connect },
        Request::Datagram { address: "[fd00::1]:123".parse().unwrap(), purpose: Purpose::Send },
        Request::Datagram { address: "[fd00::1]:123".parse().unwrap(), purpose: Purpose::SendAtOnce },
        Request::Source { at: "127.0.0.1:40000".parse().unwrap() },
        Request::Barred(Barred::Raw),
        Request::Barred(Barred::Device),
        Request::Barred(Barred::Datagrams),
        Request::Bind { cookie: 9, address: "0.0.0.0:8000".parse().unwrap(), v6_only: false },
        Request::Bind { cookie: 9, address: "[::]:0".parse().unwrap(), v6_only: true },
        Request::Listen { listens: true },
        Request::Accepted { from: "127.117.112.2:4".parse().unwrap(), at: "127.0.0.1:80".parse().unwrap() },
    ]
}

fn replies() -> Vec<Reply<'static>> {
    let one: Addresses = std::iter::once::<IpAddr>("198.18.0.1".parse().unwrap()).collect();
    let all: Addresses =
        (0..MAX_ADDRESSES).map(|n| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n as u16])).collect();
    vec![
        Reply::Direct,
        Reply::Refuse { errno: 111 },
        Reply::Held { blocking: true, port: 65_535 },
        Reply::HandedOff,
        Reply::Outcome { errno: 0 },
        Reply::Peer { peer: "1.2.3.4:5".parse().unwrap(), local: None },
        Reply::Peer { peer: "[::1]:5".parse().unwrap(), local: Some("4.3.2.1:9".parse().unwrap()) },
        Reply::Resolved { addresses: one, canonical: b"" },
        Reply::Resolved { addresses: all, canonical: &[b'a'; MAX_NAME] },
        Reply::Name { name: b"x" },
        Reply::Unknown,
        Reply::TryAgain,
        Reply::NoAddress,
        Reply::Via { at: "[::1]:40000".parse().unwrap(), ready: true },
        Reply::Via { at: "127.0.0.1:40000".parse().unwrap(), ready: false },
    ]
}

#[test]
fn requests_survive_the_round_trip_and_no_prefix_or_extension_does() {
    for request in requests() {
        let frame = request.encode(&TOKEN);
        let bytes = frame.as_bytes();
        assert_eq!(Request::decode(bytes), Ok((TOKEN, request)));
        for cut in 0..bytes.len() {
            assert_eq!(Request::decode(&bytes[..cut]), Err(WireError::Short), "{request:?} cut at {cut}");
        }
        let longer = [bytes, &[0]].concat();
        assert_eq!(Request::decode(&longer), Err(WireError::Trailing));
    }
}

#[test]
fn a_program_of_datagrams_is_told_whole_or_not_at_all() {
    let address = "[fe80::1%3]:53".parse().unwrap();
    let asked = |program| Request::SupervisedDatagram { process: 70_000, address, program };
    // 21 bytes before the body, 4 and 23 of it before the path.
    let longest = [b'/'; MAX_FRAME - 21 - 4 - 23];
    for program in [&b""[..], b"/usr/bin/dig", &longest] {
        let frame = asked(program).encode(&TOKEN);
        assert_eq!(Request::decode(frame.as_bytes()), Ok((TOKEN, asked(program))));
        assert_eq!(Request::decode(&frame.as_bytes()[..47]), Err(WireError::Short));
    }
    let frame = asked(&[b'/'; MAX_FRAME - 47]).encode(&TOKEN);
    assert_eq!(Request::decode(frame.as_bytes()), Ok((TOKEN, asked(b""))));
}

#[test]
fn a_question_is_as_long_as_a_frame_can_be_and_no_longer() {
    let message = [1; MAX_QUESTION];
    let frame = Request::Query { message: &message }.encode(&TOKEN);
    assert_eq!(frame.as_bytes().len(), MAX_FRAME);
    assert_eq!(Request::decode(frame.as_bytes()), Ok((TOKEN, Request::Query { message: &message })));
    let longer = [frame.as_bytes(), &[1]].concat();
    assert_eq!(Request::decode(&longer), Err(WireError::Trailing));
    assert_eq!(Request::decode(&frame.as_bytes()[..21]), Err(WireError::Short));
}

#[test]
fn replies_survive_the_round_trip_and_no_prefix_or_extension_does() {
    for reply in replies() {
        let frame = reply.encode();
        let bytes = frame.as_bytes();
        assert_eq!(Reply::decode(bytes), Ok(reply));
        for cut in 0..bytes.len() {
            assert_eq!(Reply::decode(&bytes[..cut]), Err(WireError::Short), "{reply:?} cut at {cut}");
        }
        let longer = [bytes, &[0]].concat();
        assert_eq!(Reply::decode(&longer), Err(WireError::Trailing));
    }
}

#[test]
fn other_versions_and_bad_fields_are_named() {
    let frame = Request::Convert.encode(&TOKEN);
    let mut bytes = frame.as_bytes().to_vec();
    bytes[3] = VERSION + 1;
    assert_eq!(Request::decode(&bytes), Err(WireError::Foreign));
    bytes[3] = VERSION;
    bytes[4] = 99;
    assert_eq!(Request::decode(&bytes), Err(WireError::Unknown));
    assert_eq!(Reply::decode(&[kind::REFUSE, 0, 0, 0, 0]), Err(WireError::Range));
    assert_eq!(Reply::decode(&[kind::RESOLVED, 0, 0]), Err(WireError::Range));
    let many =
        [vec![kind::RESOLVED, MAX_ADDRESSES as u8 + 1], [4, 1, 2, 3, 4].repeat(MAX_ADDRESSES + 1), vec![0]];
    assert_eq!(Reply::decode(&many.concat()), Err(WireError::Range));
    assert_eq!(Reply::decode(&[kind::HELD, 2]), Err(WireError::Unknown));
}

#[test]
fn questions_are_whole_messages_and_answers_too() {
    let message = [1u8; MAX_QUESTION];
    let frame = Request::Query { message: &message }.encode(&TOKEN);
    assert_eq!(Request::decode(frame.as_bytes()), Ok((TOKEN, Request::Query { message: &message })));
    let empty = Request::Query { message: &[] }.encode(&TOKEN);
    assert_eq!(Request::decode(empty.as_bytes()), Err(WireError::Short));
    assert_eq!(read_answer(&answer(&message)), Ok(&message[..]));
    assert_eq!(read_answer(&[]), Err(WireError::Short));
    assert_eq!(read_answer(&[kind::ANSWER]), Err(WireError::Short));
    assert_eq!(read_answer(&[kind::UNKNOWN, 0]), Err(WireError::Unknown));
}

#[test]
fn a_token_is_not_shown() {
    assert_eq!(format!("{TOKEN:?}"), "Token(…)");
}
