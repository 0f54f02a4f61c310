use super::*;

fn http(status: u16, told: Option<i32>) -> Failure {
    Failure::Http { status, told }
}

fn at(failure: Failure) -> Failure {
    Failure::At { hop: 2, of: 3, name: "http://b:3128".into(), failure: Box::new(failure) }
}

/// Of each kind, and of each code with a meaning: `connect()`, `getaddrinfo()`, and whether there is a hint.
fn table() -> Vec<(Failure, i32, i32, bool)> {
    use eai::*;
    use errno::*;
    vec![
        (Failure::UpstreamUnreachable("why".into()), ENETUNREACH, EAI_AGAIN, true),
        (Failure::UpstreamName("a.test".into()), ENETUNREACH, EAI_AGAIN, true),
        (Failure::TimedOut, ETIMEDOUT, EAI_AGAIN, false),
        (Failure::UpstreamClosed, ECONNRESET, EAI_AGAIN, false),
        (Failure::Protocol("how"), ECONNRESET, EAI_FAIL, true),
        (Failure::NoAcceptableMethod, EACCES, EAI_FAIL, true),
        (Failure::Unauthorized, EACCES, EAI_FAIL, true),
        (Failure::Challenged, EACCES, EAI_FAIL, true),
        (Failure::Request("why"), EHOSTUNREACH, EAI_NONAME, false),
        (Failure::Credentials("why"), EACCES, EAI_FAIL, true),
        (Failure::Socks5(1), ENETUNREACH, EAI_AGAIN, false),
        (Failure::Socks5(2), EACCES, EAI_FAIL, true),
        (Failure::Socks5(3), ENETUNREACH, EAI_AGAIN, false),
        (Failure::Socks5(4), EHOSTUNREACH, EAI_NONAME, false),
        (Failure::Socks5(5), ECONNREFUSED, EAI_AGAIN, false),
        (Failure::Socks5(6), ETIMEDOUT, EAI_AGAIN, false),
        (Failure::Socks5(7), EOPNOTSUPP, EAI_FAIL, true),
        (Failure::Socks5(8), EAFNOSUPPORT, EAI_FAIL, true),
        (Failure::Socks5(9), ENETUNREACH, EAI_AGAIN, false),
        (Failure::Socks5(255), ENETUNREACH, EAI_AGAIN, false),
        (Failure::Socks4(91), ENETUNREACH, EAI_AGAIN, false),
        (Failure::Socks4(92), EACCES, EAI_FAIL, true),
        (Failure::Socks4(93), EACCES, EAI_FAIL, true),
        (Failure::Socks4(94), ENETUNREACH, EAI_AGAIN, false),
        (Failure::Socks4Destination, EAFNOSUPPORT, EAI_FAIL, true),
        (http(302, None), ENETUNREACH, EAI_AGAIN, false),
        (http(400, None), ENETUNREACH, EAI_AGAIN, true),
        (http(401, None), EACCES, EAI_FAIL, false),
        (http(403, None), EACCES, EAI_FAIL, true),
        (http(404, None), EHOSTUNREACH, EAI_AGAIN, false),
        (http(405, None), EACCES, EAI_FAIL, true),
        (http(407, None), EACCES, EAI_FAIL, true),
        (http(408, None), ETIMEDOUT, EAI_AGAIN, false),
        (http(410, None), EHOSTUNREACH, EAI_AGAIN, false),
        (http(429, None), ENETUNREACH, EAI_AGAIN, false),
        (http(451, None), EACCES, EAI_FAIL, false),
        (http(500, None), ENETUNREACH, EAI_AGAIN, false),
        (http(501, None), ENETUNREACH, EAI_AGAIN, true),
        (http(502, None), EHOSTUNREACH, EAI_AGAIN, false),
        (http(503, None), EHOSTUNREACH, EAI_AGAIN, false),
        (http(504, None), ETIMEDOUT, EAI_AGAIN, false),
        (http(511, None), EACCES, EAI_FAIL, false),
        (http(999, None), ENETUNREACH, EAI_AGAIN, false),
        // What a proxy tells beside its status counts, if connect(2) has it.
        (http(503, Some(ECONNREFUSED)), ECONNREFUSED, EAI_AGAIN, false),
        (http(502, Some(ETIMEDOUT)), ETIMEDOUT, EAI_AGAIN, false),
        (http(502, Some(ECONNRESET)), ECONNRESET, EAI_AGAIN, false),
        (http(502, Some(ENETUNREACH)), ENETUNREACH, EAI_AGAIN, false),
        (http(503, Some(EHOSTUNREACH)), EHOSTUNREACH, EAI_NONAME, false),
        (http(403, Some(EACCES)), EACCES, EAI_FAIL, false),
        // EMFILE at the proxy.
        (http(503, Some(24)), ENETUNREACH, EAI_AGAIN, false),
        (Failure::NotListening { status: 403, why: "why".into() }, EACCES, EAI_FAIL, true),
        (Failure::NotListening { status: 409, why: "why".into() }, EADDRINUSE, EAI_AGAIN, true),
        (Failure::NotListening { status: 422, why: String::new() }, EADDRNOTAVAIL, EAI_AGAIN, false),
        (Failure::NotListening { status: 503, why: String::new() }, EACCES, EAI_FAIL, false),
        (Failure::Certificate("why".into()), EACCES, EAI_FAIL, true),
        (Failure::UnknownKey, EACCES, EAI_FAIL, true),
        (Failure::Tls("why".into()), ECONNRESET, EAI_FAIL, true),
        (Failure::Ssh("why".into()), ENETUNREACH, EAI_AGAIN, true),
        (Failure::Route(EACCES), EACCES, EAI_FAIL, true),
        (Failure::Route(ECONNREFUSED), ECONNREFUSED, EAI_FAIL, true),
        (at(http(407, None)), EACCES, EAI_FAIL, true),
        (at(Failure::Socks5(4)), EHOSTUNREACH, EAI_NONAME, false),
        (Failure::Dial(ECONNREFUSED), ECONNREFUSED, EAI_AGAIN, false),
        (Failure::Dial(EHOSTUNREACH), EHOSTUNREACH, EAI_AGAIN, false),
        // EMFILE here.
        (Failure::Dial(24), ENETUNREACH, EAI_AGAIN, false),
        (Failure::NameNotFound, EHOSTUNREACH, EAI_NONAME, false),
        (Failure::UnknownFakeAddress, EHOSTUNREACH, EAI_NONAME, false),
        (Failure::Socket("why"), ENETUNREACH, EAI_AGAIN, false),
        (Failure::NoDatagrams("why"), ENETUNREACH, EAI_AGAIN, true),
    ]
}

#[test]
fn each_failure_has_its_errno_and_its_eai_code() {
    for (failure, errno, eai, _) in table() {
        assert_eq!(failure.errno(), errno, "{failure}");
        assert_eq!(failure.eai(), eai, "{failure}");
    }
}

#[test]
fn the_table_has_every_kind_of_failure() {
    // Without a wildcard: a new kind does not compile until it has a number here, and a row above.
    let kind = |failure: &Failure| match failure {
        Failure::UpstreamUnreachable(_) => 0,
        Failure::UpstreamName(_) => 1,
        Failure::TimedOut => 2,
        Failure::UpstreamClosed => 3,
        Failure::Protocol(_) => 4,
        Failure::NoAcceptableMethod => 5,
        Failure::Unauthorized => 6,
        Failure::Challenged => 7,
        Failure::Request(_) => 8,
        Failure::Socks5(_) => 9,
        Failure::Socks4(_) => 10,
        Failure::Socks4Destination => 11,
        Failure::Http { .. } => 12,
        Failure::Certificate(_) => 13,
        Failure::Tls(_) => 14,
        Failure::Ssh(_) => 15,
        Failure::Route(_) => 16,
        Failure::At { .. } => 17,
        Failure::Dial(_) => 18,
        Failure::NameNotFound => 19,
        Failure::UnknownFakeAddress => 20,
        Failure::Socket(_) => 21,
        Failure::NoDatagrams(_) => 22,
        Failure::UnknownKey => 23,
        Failure::NotListening { .. } => 24,
        Failure::Credentials(_) => 25,
    };
    let kinds: std::collections::BTreeSet<_> = table().iter().map(|(failure, ..)| kind(failure)).collect();
    assert_eq!(kinds, (0..26).collect());
}

#[test]
fn whatever_the_code_connect_says_what_it_may() {
    let codes = (0..=255).flat_map(|code| [Failure::Socks5(code), Failure::Socks4(code)]);
    let statuses = (0..=999).map(|status| http(status, None));
    let told = (-1..=200).map(|errno| http(502, Some(errno)));
    for failure in codes.chain(statuses).chain(told) {
        assert_eq!(documented(failure.errno()), failure.errno(), "{failure}");
        assert!((-4..=-2).contains(&failure.eai()), "{failure}");
    }
}

#[test]
fn words_are_one_line_without_a_full_stop() {
    for (failure, _, _, has_hint) in table() {
        assert_eq!(failure.hint().is_some(), has_hint, "{failure}");
        for text in [failure.to_string()].into_iter().chain(failure.hint().map(str::to_owned)) {
            assert!(!text.is_empty() && !text.ends_with('.') && !text.contains('\n'), "{text}");
        }
    }
}

#[test]
fn a_failure_of_a_hop_names_it() {
    let failure = at(http(407, None));
    assert_eq!(
        failure.to_string(),
        "hop 2 of 3, http://b:3128: the proxy answered 407 proxy authentication required"
    );
    assert_eq!(failure.hint(), Some("put USER:PASSWORD into the proxy's URL, or ?login-file=PATH"));
}

#[test]
fn a_fault_of_the_upstream_never_reads_as_a_refusal_by_the_destination() {
    let of_the_destination = |failure: &Failure| {
        matches!(
            failure,
            Failure::Socks5(5) | Failure::Http { told: Some(_), .. } | Failure::Dial(_) | Failure::Route(_)
        )
    };
    for (failure, ..) in table().iter().filter(|(failure, ..)| !of_the_destination(failure)) {
        assert_ne!(failure.errno(), errno::ECONNREFUSED, "{failure}");
    }
}

#[test]
fn nothing_but_a_name_that_does_not_exist_is_final() {
    for (failure, ..) in table().iter().filter(|(failure, ..)| failure.eai() == eai::EAI_NONAME) {
        assert_eq!(failure.errno(), errno::EHOSTUNREACH, "{failure}");
    }
}

#[test]
fn numbers_of_a_system_are_left_out_wherever_they_stand() {
    let error = std::io::Error::from_raw_os_error(24);
    assert_eq!(
        without_numbers(&format!("/a: {error}; /b: {error}\nhint: c")),
        "/a: Too many open files; /b: Too many open files\nhint: c"
    );
    assert_eq!(without_numbers("as it is (so)"), "as it is (so)");
}
