//! Basic and Digest, and what a proxy may ask for in between.

use super::*;

fn login() -> Credentials {
    Credentials { user: b"Aladdin".to_vec(), password: b"open sesame".to_vec() }
}

fn with_login(auth: &Arc<HttpAuth>) -> HttpConnect {
    HttpConnect::new(&name("a.test"), Some(&login()), Arc::clone(auth)).unwrap()
}

/// The value of `parameter` in the `Proxy-Authorization` of `request`, without quotes.
fn parameter<'a>(request: &'a str, parameter: &str) -> Option<&'a str> {
    let line = request.lines().find_map(|line| line.strip_prefix("Proxy-Authorization: Digest "))?;
    let value = line.split(", ").find_map(|pair| pair.strip_prefix(parameter)?.strip_prefix('='))?;
    Some(value.trim_matches('"'))
}

fn challenge(offers: &[&str]) -> String {
    let lines: String = offers.iter().map(|offer| format!("Proxy-Authenticate: {offer}\r\n")).collect();
    format!("HTTP/1.1 407 Proxy Authentication Required\r\n{lines}Content-Length: 3\r\n\r\n")
}

const BASIC: &str = "Basic realm=\"proxy\"";
const DIGEST: &str = "Digest realm=\"proxy\", nonce=\"n1\", qop=\"auth\", algorithm=MD5";
const FRESH: &str = "Digest realm=\"proxy\", nonce=\"n2\", qop=\"auth\", algorithm=MD5, stale=true";
const ANOTHER: &str = "Digest realm=\"proxy\", nonce=\"n3\", qop=\"auth\", algorithm=MD5, stale=false";

#[test]
fn basic_credentials_are_sent_at_once() {
    let (sent, ended, _) = play(&mut with_login(&Arc::default()), OK.as_bytes());
    assert_eq!(ended, Ok(()));
    // The example of RFC 7617 section 2.
    let line = "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
    assert_eq!(sent, format!("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n{line}\r\n\r\n"));
    // RFC 7617 section 2.1: user "test", password "123£" in UTF-8.
    let pound = Credentials { user: b"test".to_vec(), password: "123£".into() };
    let mut handshake = HttpConnect::new(&name("a.test"), Some(&pound), Arc::default()).unwrap();
    assert!(play(&mut handshake, OK.as_bytes()).0.contains("Basic dGVzdDoxMjPCow==\r\n"));
}

#[test]
fn a_colon_in_the_user_name_is_never_sent_as_basic() {
    let colon = Credentials { user: b"a:b".to_vec(), password: b"c".to_vec() };
    let auth = Arc::default();
    let mut handshake = HttpConnect::new(&name("a.test"), Some(&colon), Arc::clone(&auth)).unwrap();
    let (sent, ended, _) = play(&mut handshake, OK.as_bytes());
    assert_eq!(sent, "");
    assert!(matches!(ended, Err(Failure::Credentials(_))));
}

#[test]
fn a_refusal_of_credentials_is_told_from_a_method_not_spoken() {
    let table: [(&[&str], Failure); 8] = [
        (&[BASIC], Failure::Unauthorized),
        (&["Negotiate", BASIC], Failure::Unauthorized),
        (&[], Failure::Unauthorized),
        (&["NTLM", "Negotiate"], Failure::NoAcceptableMethod),
        (&["Digest realm=\"a\""], Failure::NoAcceptableMethod),
        (&["Digest realm=\"a\", nonce=\"b\", algorithm=SHA3"], Failure::NoAcceptableMethod),
        (&["Digest realm=\"a\", nonce=\"b\", qop=\"auth-int\""], Failure::NoAcceptableMethod),
        (&["\"", "=,=", ",,,"], Failure::NoAcceptableMethod),
    ];
    for (offers, failure) in table {
        let ended = play(&mut with_login(&Arc::default()), challenge(offers).as_bytes()).1;
        assert_eq!(ended, Err(failure), "{offers:?}");
    }
}

#[test]
fn a_challenge_is_answered_by_the_same_handshake_on_its_next_connection() {
    let mut handshake = with_login(&Arc::default());
    let (sent, ended, _) = play(&mut handshake, challenge(&[BASIC, DIGEST]).as_bytes());
    assert!(sent.contains("Basic "));
    assert_eq!(ended, Err(Failure::Challenged));
    let stream = format!("{OK}payload");
    let (sent, ended, left) = play(&mut handshake, stream.as_bytes());
    assert_eq!((ended, left), (Ok(()), &b"payload"[..]));
    assert!(!sent.contains("Basic "));
    assert_eq!(parameter(&sent, "uri"), Some("a.test:443"));
    assert_eq!(parameter(&sent, "nc"), Some("00000001"));
    assert_eq!(parameter(&sent, "nonce"), Some("n1"));
}

#[test]
fn a_challenge_is_answered_by_a_new_handshake_too() {
    let auth = Arc::default();
    assert_eq!(play(&mut with_login(&auth), challenge(&[DIGEST]).as_bytes()).1, Err(Failure::Challenged));
    let (sent, ended, _) = play(&mut with_login(&auth), OK.as_bytes());
    assert_eq!((parameter(&sent, "nc"), ended), (Some("00000001"), Ok(())));
    let (sent, ..) = play(&mut with_login(&auth), OK.as_bytes());
    assert_eq!(parameter(&sent, "nc"), Some("00000002"), "without being asked again");
}

#[test]
fn a_wrong_password_is_refused_after_one_challenge() {
    for again in [DIGEST, ANOTHER] {
        let auth = Arc::default();
        let mut handshake = with_login(&auth);
        assert_eq!(play(&mut handshake, challenge(&[DIGEST]).as_bytes()).1, Err(Failure::Challenged));
        assert_eq!(play(&mut handshake, challenge(&[again]).as_bytes()).1, Err(Failure::Unauthorized));
        let mut new = with_login(&auth);
        assert_eq!(play(&mut new, challenge(&[again]).as_bytes()).1, Err(Failure::Unauthorized));
    }
}

#[test]
fn a_proxy_that_challenges_without_end_is_given_up() {
    let mut handshake = with_login(&Arc::default());
    assert_eq!(play(&mut handshake, challenge(&[DIGEST]).as_bytes()).1, Err(Failure::Challenged));
    assert_eq!(play(&mut handshake, challenge(&[FRESH]).as_bytes()).1, Err(Failure::Unauthorized));
}

#[test]
fn a_stale_or_forgotten_nonce_is_replaced() {
    for (answer, nonce) in [(FRESH, "n2"), (ANOTHER, "n3")] {
        let auth = Arc::default();
        let mut first = with_login(&auth);
        assert_eq!(play(&mut first, challenge(&[DIGEST]).as_bytes()).1, Err(Failure::Challenged));
        assert_eq!(play(&mut first, OK.as_bytes()).1, Ok(()));
        let mut second = with_login(&auth);
        assert_eq!(
            play(&mut second, challenge(&[answer]).as_bytes()).1,
            Err(Failure::Challenged),
            "{answer}"
        );
        let (sent, ended, _) = play(&mut second, OK.as_bytes());
        assert_eq!((parameter(&sent, "nonce"), ended), (Some(nonce), Ok(())));
    }
}

#[test]
fn basic_is_never_sent_once_digest_was_asked_for() {
    let auth = Arc::default();
    let mut first = with_login(&auth);
    assert_eq!(play(&mut first, challenge(&[DIGEST]).as_bytes()).1, Err(Failure::Challenged));
    // The first holds the only challenge, so the second asks for one, whatever is offered then.
    let mut second = with_login(&auth);
    let (sent, ended, _) = play(&mut second, challenge(&[BASIC]).as_bytes());
    assert!(!sent.contains("Authorization"), "{sent}");
    assert_eq!(ended, Err(Failure::NoAcceptableMethod));
    assert!(!play(&mut with_login(&auth), OK.as_bytes()).0.contains("Basic "));
}

#[test]
fn handshakes_side_by_side_never_share_a_nonce() {
    let auth = Arc::default();
    let mut handshakes: Vec<_> = (0..3).map(|_| with_login(&auth)).collect();
    for (index, handshake) in handshakes.iter_mut().enumerate() {
        let offer = format!("Digest realm=\"proxy\", nonce=\"of {index}\", qop=\"auth\"");
        assert_eq!(play(handshake, challenge(&[&offer]).as_bytes()).1, Err(Failure::Challenged));
    }
    for (index, handshake) in handshakes.iter_mut().enumerate() {
        handshake.step().unwrap();
        let sent = String::from_utf8(handshake.request.clone()).unwrap();
        assert_eq!(parameter(&sent, "nonce"), Some(format!("of {index}").as_str()));
    }
    for handshake in &mut handshakes {
        handshake.received(OK.as_bytes()).unwrap();
    }
    let mut next = with_login(&auth);
    let (sent, ..) = play(&mut next, OK.as_bytes());
    assert_eq!(parameter(&sent, "nc"), Some("00000002"));
}

#[test]
fn a_refusal_of_the_destination_keeps_the_nonce() {
    let auth = Arc::default();
    let mut first = with_login(&auth);
    assert_eq!(play(&mut first, challenge(&[DIGEST]).as_bytes()).1, Err(Failure::Challenged));
    let refused = Err(Failure::Http { status: 403, told: None });
    assert_eq!(play(&mut first, b"HTTP/1.1 403 x\r\n\r\n").1, refused);
    let (sent, ..) = play(&mut with_login(&auth), OK.as_bytes());
    assert_eq!(parameter(&sent, "nc"), Some("00000002"));
}

#[test]
fn a_nonce_of_a_session_serves_once() {
    let auth = Arc::default();
    let mut first = with_login(&auth);
    let session = "Digest realm=\"a\", nonce=\"b\", qop=\"auth\", algorithm=MD5-sess";
    assert_eq!(play(&mut first, challenge(&[session]).as_bytes()).1, Err(Failure::Challenged));
    let (sent, ended, _) = play(&mut first, OK.as_bytes());
    assert_eq!((parameter(&sent, "algorithm"), ended), (Some("MD5-sess"), Ok(())));
    assert!(!play(&mut with_login(&auth), OK.as_bytes()).0.contains("Authorization"));
}

#[test]
fn each_algorithm_of_rfc_7616_is_answered() {
    // One list, of which the first that can be answered counts (section 3.7).
    let of = |algorithm: &str| {
        format!(
            "Basic realm=\"x, y\", Digest realm=\"a\", nonce=\"b\", qop=\"auth,auth-int\", algorithm={algorithm}"
        )
    };
    for (algorithm, digits) in [
        ("MD5", 32),
        ("MD5-sess", 32),
        ("SHA-256", 64),
        ("SHA-256-sess", 64),
        ("SHA-512-256", 64),
        ("SHA-512-256-sess", 64),
    ] {
        let mut handshake = with_login(&Arc::default());
        let reply = challenge(&["Digest realm=\"a\", nonce=\"b\", algorithm=SHA3", &of(algorithm)]);
        assert_eq!(play(&mut handshake, reply.as_bytes()).1, Err(Failure::Challenged), "{algorithm}");
        let sent = play(&mut handshake, OK.as_bytes()).0;
        assert_eq!(parameter(&sent, "algorithm"), Some(algorithm));
        assert_eq!(parameter(&sent, "qop"), Some("auth"));
        assert_eq!(parameter(&sent, "response").map(str::len), Some(digits), "{algorithm}");
    }
}

#[test]
fn a_challenge_without_qop_is_answered_as_rfc_2069_has_it() {
    // Nonce and realm of RFC 2069 section 2.4; the response was computed apart from http-auth.
    let old =
        "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc\"";
    let mut handshake = with_login(&Arc::default());
    assert_eq!(play(&mut handshake, challenge(&[old]).as_bytes()).1, Err(Failure::Challenged));
    let sent = play(&mut handshake, OK.as_bytes()).0;
    assert_eq!(parameter(&sent, "response"), Some("f920af2fb1578833bbf623724b72758c"));
    assert_eq!((parameter(&sent, "opaque"), parameter(&sent, "nc")), (Some("5ccc"), None));
}

#[test]
fn no_challenge_writes_a_line_of_its_own() {
    let odd = "Digest realm=\"a\\\"b\\\\c\td\", nonce=\"e, f\", opaque=\"g\", qop=auth";
    let mut handshake = with_login(&Arc::default());
    assert_eq!(play(&mut handshake, challenge(&[odd]).as_bytes()).1, Err(Failure::Challenged));
    let sent = play(&mut handshake, OK.as_bytes()).0;
    assert_eq!(sent.matches("\r\n").count(), 4, "{sent}");
    assert_eq!(sent.matches(['\r', '\n']).count(), 8, "{sent}");
    assert!(sent.contains(r#"realm="a\"b\\c"#), "{sent}");
}

#[test]
fn credentials_that_are_not_text_are_never_guessed_at_for_digest() {
    let bytes = Credentials { user: vec![0xff], password: Vec::new() };
    let mut handshake = HttpConnect::new(&name("a.test"), Some(&bytes), Arc::default()).unwrap();
    assert_eq!(play(&mut handshake, challenge(&[DIGEST]).as_bytes()).1, Err(Failure::Challenged));
    assert!(matches!(play(&mut handshake, OK.as_bytes()).1, Err(Failure::Credentials(_))));
}

#[test]
fn debug_shows_no_credentials() {
    let mut handshake = with_login(&Arc::default());
    handshake.step().unwrap();
    let shown = format!("{handshake:?} {:?}", HttpAuth::default());
    assert!(!shown.contains("Aladdin") && !shown.contains("sesame") && !shown.contains("QWxh"), "{shown}");
}
