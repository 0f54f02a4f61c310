//! What is answered to odd messages, and to many at once.

use underpass_tests::artifacts;

use crate::place::Place;

/// A question for the address (1) or another type of a name, in hexadecimal, with this id.
fn question(id: u16, name: &str, kind: u16) -> String {
    let mut bytes = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ask(place: &Place, server: &str, messages: &[String]) -> Vec<String> {
    let program = artifacts::workspace().join("tests/programs/ask.py");
    let done = place.with(&[], "/usr/bin/python3").arg(program).args([server, "tcp"]);
    let done = done.input(messages.join("\n") + "\n").run();
    done.success().lines().map(str::to_owned).collect()
}

#[test]
fn what_is_no_question_is_answered_as_a_resolver_would_and_goes_nowhere() {
    let place = Place::new();
    let good = question(1, "a.test", 1);
    for (message, answer) in [
        (good.clone(), "1 0 1/1/0/0"),
        // No question; two; a type and class that are missing.
        (good.replacen("01000001", "01000000", 1), "1 1 0/0/0/0"),
        (good.replacen("01000001", "01000002", 1), "1 1 0/0/0/0"),
        (good[..good.len() - 8].to_owned(), "1 1 0/0/0/0"),
        // A name that points to itself, and bytes that belong to nothing.
        ("00010100000100000000 0000c00c00010001".replace(' ', ""), "1 1 0/0/0/0"),
        (format!("{good}00"), "1 1 0/0/0/0"),
        // UPDATE; CHAOS; a transfer of a zone.
        (good.replacen("0100", "2800", 1), "1 4 0/0/0/0"),
        (format!("{}0003", &good[..good.len() - 4]), "1 5 1/0/0/0"),
        (question(1, "test", 252), "1 5 1/0/0/0"),
        // No name of a host, and the root.
        (question(1, "a b.test", 1), "1 3 1/0/0/0"),
    ] {
        assert_eq!(ask(&place, "10.77.0.1", std::slice::from_ref(&message)), [answer], "{message}");
    }
    assert_eq!(place.resolver.questions(), [""; 0]);
    assert_eq!(place.proxy.served("10.77.0.1", 53), 0);
    place.no_leaks();
}

/// Several questions in one connection, and all at once (RFC 7766 section 6.2.1.1).
#[test]
fn questions_of_one_connection_are_answered_as_they_come() {
    let place = Place::new();
    let mut questions: Vec<_> = (1..=60).map(|id| question(id, &format!("n{id}.test"), 1)).collect();
    questions.extend((61..=90).map(|id| question(id, "mail.test", 15)));
    let answers = ask(&place, "127.0.0.53", &questions);
    let mut expected: Vec<String> = (1..=60).map(|id| format!("{id} 0 1/1/0/0")).collect();
    expected.extend((61..=90).map(|id| format!("{id} 0 1/2/0/0")));
    expected.sort();
    assert_eq!(answers, expected);
    // Connections to the resolver are kept and shared: 30 questions are not 30 of them.
    let served = place.proxy.served("10.77.0.1", 53);
    assert!((1..30).contains(&served), "{served}");
    place.no_leaks();
}
