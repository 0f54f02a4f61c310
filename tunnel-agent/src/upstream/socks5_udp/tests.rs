use super::*;

fn address(text: &str) -> Destination {
    Destination::Address(text.parse().unwrap())
}

fn name(host: &str, port: u16) -> Destination {
    Destination::Name { host: host.into(), port }
}

/// Plays the proxy's answer, and gives what came of it and what was left unread.
fn associate(mut reply: &[u8]) -> (Result<Option<Destination>, Failure>, &[u8]) {
    let mut handshake = Associate::new();
    loop {
        let count = match handshake.step().unwrap() {
            Step::Send(bytes) => {
                assert_eq!(bytes, b"\x05\x03\0\x01\0\0\0\0\0\0");
                continue;
            }
            Step::Receive(count) => count,
            Step::ReceiveHead => panic!("SOCKS has no head"),
            Step::Done => return (Ok(handshake.bound().cloned()), reply),
        };
        let Some((bytes, rest)) = reply.split_at_checked(count) else {
            return (Err(Failure::UpstreamClosed), reply);
        };
        reply = rest;
        if let Err(failure) = handshake.received(bytes) {
            return (Err(failure), reply);
        }
    }
}

#[test]
fn the_reply_names_the_relay() {
    let table: [(&[u8], Destination); 4] = [
        (b"\x05\0\0\x01\x0a\x01\x02\x03\x04\x38", address("10.1.2.3:1080")),
        (b"\x05\0\0\x01\0\0\0\0\x04\x38", address("0.0.0.0:1080")),
        (b"\x05\0\0\x04\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x04\x38", address("[fd00::1]:1080")),
        (b"\x05\0\0\x03\x01a\x04\x38", name("a", 1080)),
    ];
    for (reply, expected) in table {
        assert_eq!(associate(reply), (Ok(Some(expected)), &b""[..]));
        assert_eq!(associate(&[reply, b"x"].concat()).1, b"x");
        for cut in 0..reply.len() {
            assert_eq!(associate(&reply[..cut]).0, Err(Failure::UpstreamClosed), "{cut}");
        }
    }
}

#[test]
fn an_association_that_is_refused_has_the_proxys_reason() {
    for code in 1..=255 {
        assert_eq!(associate(&[5, code, 0, 1, 0]).0, Err(Failure::Socks5(code)));
    }
    let odd: [&[u8]; 4] = [
        b"\x04\0\0\x01\0\0\0\0\0\x01",
        b"\x05\0\0\x02\0\0\0\0\0\x01",
        b"\x05\0\0\x01\x0a\x01\x02\x03\0\0",
        b"\x05\0\0\x03\x01\xff\0\x01",
    ];
    for reply in odd {
        assert!(matches!(associate(reply).0, Err(Failure::Protocol(_))), "{reply:?}");
    }
}

#[test]
fn what_is_put_on_comes_off() {
    for destination in [address("10.1.2.3:4"), address("[fd00::1]:65535"), name("a.test", 53)] {
        for payload in [&b""[..], b"x", &[0; 65_000]] {
            let datagram = [&header(&destination)[..], payload].concat();
            let (sender, inner) = open(&datagram).unwrap();
            assert_eq!((sender.destination(), inner), (Some(destination.clone()), payload));
            assert!(sender.can_be(&destination));
        }
    }
    let mapped = header(&address("[::ffff:10.1.2.3]:4"));
    assert_eq!(mapped, header(&address("10.1.2.3:4")));
    assert_eq!(header(&name(&"a".repeat(255), 1)).len(), MAX_HEADER);
}

#[test]
fn only_whole_datagrams_with_their_reserved_bytes_are_taken() {
    let good = header(&address("10.1.2.3:4"));
    for cut in 0..good.len() {
        assert_eq!(open(&good[..cut]), None, "{cut}");
    }
    for at in 0..FIXED {
        let mut odd = good.clone();
        odd[at] = 1;
        assert_eq!(open(&odd), None, "byte {at}");
    }
    for kind in [0, 2, 5, 255] {
        let mut odd = good.clone();
        odd[FIXED] = kind;
        assert_eq!(open(&odd), None, "kind {kind}");
    }
}

#[test]
fn each_hop_has_a_header_of_its_own() {
    let (relay, far) = (address("10.0.0.9:5000"), address("10.1.2.3:4"));
    let datagram = [header(&relay), header(&far), b"data".to_vec()].concat();
    let (sender, inner) = open_nested(&datagram, std::slice::from_ref(&relay)).unwrap();
    assert_eq!((sender.destination(), inner), (Some(far), &b"data"[..]));
    // What comes from another than the next relay is not the next hop's.
    assert_eq!(open_nested(&datagram, &[address("10.0.0.9:5001")]), None);
    assert!(open_nested(&datagram, &[name("relay.test", 5000)]).is_some());
    assert_eq!(open_nested(&datagram, &[relay.clone(), relay]), None);
}
