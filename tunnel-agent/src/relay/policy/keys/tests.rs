use super::*;

const A: &str = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const B: &str = "sha256//AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

fn read_all(text: &str) -> Result<Clients, ConfigError> {
    let mut clients = Clients::default();
    let limits = Limits { streams: Some(9), ..Limits::default() };
    read(&mut clients, &Clients::default(), text, "keys", limits).map(|()| clients)
}

#[test]
fn a_line_is_a_client() {
    let text = format!(
        "# our people\n\n  {A} ann@home  \r\n\
         permit=\"*.example:443\",deny=\"10.0.0.0/8:1-1024/udp\",streams=3,new=\"4\",rate=1M,total=2G,\
         expiry=\"2027-01-01\"\t{B}  bob\n"
    );
    let clients = read_all(&text).expect("clients");
    let early = SystemTime::UNIX_EPOCH;
    let (ann, bob) = (clients.get(&[0; 32], early).expect("ann"), clients.get(&[1; 32], early).expect("bob"));
    assert_eq!((&*ann.name, &*ann.fingerprint), ("ann@home", "AAAAAAAAAAAA"));
    assert_eq!(ann.limits, Limits { streams: Some(9), ..Limits::default() });
    assert!(ann.rules.is_empty() && ann.expiry.is_none());
    assert_eq!((&*bob.name, &*bob.fingerprint), ("bob", "AQEBAQEBAQEB"));
    let limits = Limits { streams: Some(3), new: Some(4), rate: Some(1 << 20), total: Some(2 << 30) };
    assert_eq!(bob.limits, limits);
    let rules: Vec<_> = bob.rules.iter().map(|rule| (&*rule.label, rule.permit)).collect();
    assert_eq!(rules, [("bob 1", true), ("bob 2", false)]);
    assert!(clients.get(&[2; 32], early).is_none());
    let late = bob.expiry.expect("a day");
    assert!(clients.get(&[1; 32], late).is_none() && clients.get(&[0; 32], late).is_some());
}

#[test]
fn a_mistake_has_its_line_and_the_word_that_was_meant() {
    for (line, error) in [
        ("sha256//AAAA ann", "the key is not sha256// and 44 characters of base64"),
        (A, "the client has no name: write [OPTIONS] sha256//PIN NAME"),
        ("ann", "no key: write [OPTIONS] sha256//PIN NAME"),
        ("streams=3 ", "no key: write [OPTIONS] sha256//PIN NAME"),
        (&format!("{A} ann bob"), "something is behind the name: write [OPTIONS] sha256//PIN NAME"),
        (&format!("{A} a,b"), "a client's name is 1 to 64 letters, digits, - _ . and @, and not anonymous"),
        (
            &format!("{A} anonymous"),
            "a client's name is 1 to 64 letters, digits, - _ . and @, and not anonymous",
        ),
        (&format!("stream=3 {A} ann"), "unknown option \"stream\" (did you mean \"streams\"?)"),
        (
            &format!("colour=3 {A} ann"),
            "unknown option \"colour\"; known are permit, deny, streams, new, rate, total, expiry",
        ),
        (&format!("streams=0 {A} ann"), "streams \"0\": not a number from 1"),
        (&format!("streams= {A} ann"), "streams needs a value: write streams=\"…\""),
        (&format!("streams {A} ann"), "streams needs a value: write streams=\"…\""),
        (&format!("streams=1,streams=2 {A} ann"), "streams is there twice"),
        (&format!("rate=1X {A} ann"), "rate \"1X\": not a number of bytes: write 4096, 64K, 10M, 1G or 2T"),
        (&format!("expiry=2027-02-29 {A} ann"), "expiry \"2027-02-29\": not a day, as 2027-01-01"),
        (&format!("permit=\"a.example {A} ann"), "a quote is not closed"),
        (&format!("permit=\"a:1\"\" {A} ann"), "a quote is not closed"),
        (&format!("permit=a\"b\"c:1 {A} ann"), "permit needs a value: write permit=\"…\""),
        (
            &format!("permit=\"a..b:1\" {A} ann"),
            "permit (not shown): not a domain: write db.internal, .internal or *.internal",
        ),
        (
            &format!(",streams=1 {A} ann"),
            "unknown option (not shown); known are permit, deny, streams, new, rate, total, expiry",
        ),
        (&format!("{A} ann\n{B} ann"), "there is a client \"ann\" already"),
        (&format!("{A} ann\n{A} bob"), "the key of \"bob\" is another client's, too"),
    ] {
        let text = format!("# first\n{line}");
        let place = text.lines().count();
        let found = read_all(&text).expect_err(line).to_string();
        assert_eq!(found, format!("keys:{place}: {error}"), "{line}");
    }
}

#[test]
fn no_client_of_one_kind_has_the_name_of_one_of_the_other() {
    let keys = read_all(&format!("{A} ann")).expect("keys");
    let mut tokens = Clients::default();
    let mut read = |text: &str| read(&mut tokens, &keys, text, "tokens", Limits::default());
    assert!(read(&format!("{B} bob")).is_ok());
    assert_eq!(
        read(&format!("{A} ann")).expect_err("twice").to_string(),
        "tokens:1: there is a client \"ann\" already"
    );
}

#[test]
fn a_file_of_more_than_a_mebibyte_is_refused() {
    let error = read_all(&"#".repeat(MAX_BYTES + 1)).expect_err("large").to_string();
    assert_eq!(error, "keys: longer than 1 MiB: this is no file of keys");
}
