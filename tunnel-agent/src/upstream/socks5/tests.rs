use super::*;

/// Plays `replies` as one stream; what was sent, and how it ended, and what was left unread.
fn play(
    handshakes: impl IntoIterator<Item = Box<dyn Handshake>>,
    mut replies: &[u8],
) -> (Vec<Vec<u8>>, Result<(), Failure>, &[u8]) {
    let mut sent = Vec::new();
    let mut handshakes = handshakes.into_iter();
    let Some(mut handshake) = handshakes.next() else { return (sent, Ok(()), replies) };
    loop {
        let count = match handshake.step() {
            Err(failure) => return (sent, Err(failure), replies),
            Ok(Step::Done) => match handshakes.next() {
                Some(next) => {
                    handshake = next;
                    continue;
                }
                None => return (sent, Ok(()), replies),
            },
            Ok(Step::Send(bytes)) => {
                sent.push(bytes.to_vec());
                continue;
            }
            Ok(Step::ReceiveHead) => panic!("SOCKS has no head"),
            Ok(Step::Receive(count)) => count,
        };
        let Some((bytes, rest)) = replies.split_at_checked(count) else {
            return (sent, Err(Failure::UpstreamClosed), replies);
        };
        replies = rest;
        if let Err(failure) = handshake.received(bytes) {
            return (sent, Err(failure), replies);
        }
    }
}

fn name(host: &str) -> Destination {
    Destination::Name { host: host.into(), port: 443 }
}

fn handshakes(destination: &Destination, credentials: Option<&Credentials>) -> [Box<dyn Handshake>; 2] {
    [Box::new(Greeting::new(credentials)), Box::new(Request::new(destination))]
}

fn plain() -> [Box<dyn Handshake>; 2] {
    handshakes(&name("a.test"), None)
}

fn with_password() -> [Box<dyn Handshake>; 2] {
    let credentials = Credentials { user: b"u".to_vec(), password: b"pw".to_vec() };
    handshakes(&name("a.test"), Some(&credentials))
}

#[test]
fn one_flight_sends_both_and_reads_both_answers() {
    let one = || [Box::new(OneFlight::new(&name("a.test"))) as Box<dyn Handshake>];
    let (sent, ended, left) = play(one(), b"\x05\0\x05\0\0\x01\0\0\0\0\0\0rest");
    assert_eq!(sent, [b"\x05\x01\0\x05\x01\0\x03\x06a.test\x01\xbb".to_vec()]);
    assert_eq!((ended, left), (Ok(()), &b"rest"[..]));
    assert_eq!(play(one(), b"\x05\xff").1, Err(Failure::NoAcceptableMethod));
    assert_eq!(play(one(), b"\x05\0\x05\x05\0\x01\0").1, Err(Failure::Socks5(5)));
}

#[test]
fn requests_carry_names_and_both_kinds_of_address() {
    let ok = [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let request = |destination: &Destination| play(handshakes(destination, None), &ok).0[1].clone();
    assert_eq!(request(&name("a.test")), b"\x05\x01\x00\x03\x06a.test\x01\xbb");
    let v4 = Destination::Address("10.1.2.3:80".parse().unwrap());
    assert_eq!(request(&v4), b"\x05\x01\x00\x01\x0a\x01\x02\x03\x00\x50");
    let v6 = Destination::Address("[fd00::1]:80".parse().unwrap());
    assert_eq!(request(&v6), b"\x05\x01\x00\x04\xfd\x00\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50");
    let mapped = Destination::Address("[::ffff:10.1.2.3]:80".parse().unwrap());
    assert_eq!(request(&mapped), request(&v4));
}

#[test]
fn the_reply_is_read_to_its_last_byte_and_no_further() {
    let bound: [(&[u8], &str); 5] = [
        (&[1, 1, 2, 3, 4], "IPv4"),
        (&[4, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], "IPv6"),
        (&[3, 1, b'x'], "a name"),
        (&[3, 0], "an empty name"),
        (&[&[3, 255][..], &[b'y'; 255]].concat(), "the longest name"),
    ];
    for (bound, what) in bound {
        let stream = [&[5, 0, 5, 0, 0][..], bound, &[0, 80], b"payload"].concat();
        let (_, ended, left) = play(plain(), &stream);
        assert_eq!((ended, left), (Ok(()), &b"payload"[..]), "{what}");
    }
}

#[test]
fn what_the_reply_binds_has_nothing_to_do_with_what_was_asked_for() {
    let address = |text: &str| Destination::Address(text.parse().unwrap());
    let long = "n".repeat(255);
    for destination in [name("a.test"), name(&long), address("10.1.2.3:80"), address("[fd00::1]:80")] {
        let play = |bound: &[u8]| {
            let stream = [&[5, 0, 5, 0, 0][..], bound, &[0, 80], b"payload"].concat();
            let (_, ended, left) = play(handshakes(&destination, None), &stream);
            (ended, left.to_vec())
        };
        assert_eq!(play(&[&[1][..], &[9; 4]].concat()), (Ok(()), b"payload".to_vec()));
        assert_eq!(play(&[&[4][..], &[9; 16]].concat()), (Ok(()), b"payload".to_vec()));
        for length in 0..=255 {
            let bound = [&[3, length][..], &vec![b'b'; length.into()]].concat();
            assert_eq!(play(&bound), (Ok(()), b"payload".to_vec()), "a name of {length}");
        }
        for kind in (0..=255).filter(|kind| ![1, 3, 4].contains(kind)) {
            assert!(matches!(play(&[kind, 0, 0, 0, 0]).0, Err(Failure::Protocol(_))), "type {kind}");
        }
    }
}

#[test]
fn an_answer_in_another_version_is_none() {
    for version in (0..=255).filter(|version| *version != VERSION) {
        for stream in [vec![version, 0], vec![5, 0, version, 0, 0, 1, 0, 0, 0, 0, 0, 80]] {
            let ended = play(plain(), &stream).1;
            assert!(matches!(ended, Err(Failure::Protocol(_))), "version {version}");
        }
    }
}

#[test]
fn a_password_is_sent_when_it_is_asked_for_and_only_then() {
    let ok = [5, 2, 1, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let (sent, ended, _) = play(with_password(), &ok);
    assert_eq!(ended, Ok(()));
    assert_eq!(sent[0], [5, 2, 0, 2]);
    assert_eq!(sent[1], b"\x01\x01u\x02pw");
    let (sent, ended, _) = play(with_password(), &[5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!((sent.len(), ended), (2, Ok(())));
    assert_eq!(play(with_password(), &[5, 2, 1, 1]).1, Err(Failure::Unauthorized));
}

#[test]
fn each_fault_of_the_proxy_has_its_failure() {
    assert_eq!(play(plain(), &[5, 0xff]).1, Err(Failure::NoAcceptableMethod));
    assert!(matches!(play(plain(), &[5, 2]).1, Err(Failure::Protocol(_))), "a method not offered");
    assert!(matches!(play(plain(), &[4, 0]).1, Err(Failure::Protocol(_))), "another version");
    assert!(matches!(play(plain(), b"HT").1, Err(Failure::Protocol(_))), "another protocol");
    assert!(matches!(play(plain(), &[5, 0, 5, 0, 0, 0x7f, 0]).1, Err(Failure::Protocol(_))), "address type");
    for code in 1..=255 {
        assert_eq!(play(plain(), &[5, 0, 5, code, 0, 1, 0]).1, Err(Failure::Socks5(code)));
    }
}

#[test]
fn no_prefix_of_an_answer_is_taken_for_one() {
    let stream = [5, 2, 1, 0, 5, 0, 0, 3, 4, b'n', b'a', b'm', b'e', 0, 80];
    for cut in 0..stream.len() {
        assert_eq!(play(with_password(), &stream[..cut]).1, Err(Failure::UpstreamClosed), "cut at {cut}");
    }
    assert_eq!(play(with_password(), &stream).1, Ok(()));
}
