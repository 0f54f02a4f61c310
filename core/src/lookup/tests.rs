use super::*;

#[test]
fn hints_say_which_families_are_asked_for() {
    let plain = |first| Some(Wanted { first, mapped: None });
    assert_eq!(wanted(0, AF_UNSPEC), plain(Family::Any));
    assert_eq!(wanted(flag::V4MAPPED | flag::ALL, AF_INET), plain(Family::V4));
    assert_eq!(wanted(flag::ALL, AF_INET6), plain(Family::V6));
    let mapped = |mapped| Some(Wanted { first: Family::V6, mapped: Some(mapped) });
    assert_eq!(wanted(flag::V4MAPPED, AF_INET6), mapped(Mapped::Instead));
    assert_eq!(wanted(flag::V4MAPPED | flag::ALL, AF_INET6), mapped(Mapped::Also));
    for (flags, family) in [(flag::NUMERICHOST, AF_INET), (0x800, AF_INET), (-1, AF_INET), (0, 1), (0, -1)] {
        assert_eq!(wanted(flags, family), None);
    }
}

#[test]
fn addresses_in_every_notation_may_be_numeric() {
    for host in ["1.2.3.4", "0x7f.1", "::1", "fe80::1%lo", "a:b", "", "4294967296", "3com.test"] {
        assert!(may_be_numeric(host.as_bytes()), "{host}");
    }
    for host in ["a", "x1", ".1", "-1", " 1.2.3.4", "**", "a.1"] {
        assert!(!may_be_numeric(host.as_bytes()), "{host}");
    }
}

#[test]
fn a_name_has_labels_of_1_to_63_bytes_and_is_253_long_at_most() {
    let long = |count: usize, last: usize| ("x".repeat(63) + ".").repeat(count) + &"x".repeat(last);
    for name in ["a", "a.b", "a.b.", "_x-y.z", &long(0, 63), &long(3, 61)] {
        assert!(is_name(name.as_bytes()), "{name}");
    }
    for name in ["", ".", "..", "a..b", ".a", "a..", &long(0, 64), &long(3, 62)] {
        assert!(!is_name(name.as_bytes()), "{name}");
    }
}

const DEFAULT: Policy = Policy { ndots: 1, default_domain: true, search: true, no_top_level: false };

/// Searches, with these answers in turn; gives what was asked for, and the result.
fn asked(name: &str, policy: Policy, answers: &[Tried]) -> (Vec<String>, Found) {
    let mut names = Vec::new();
    let domains = [&b"one.test"[..], b"two.test"];
    let found = search(name.as_bytes(), policy, domains.into_iter(), |domain| {
        names.push(domain.map_or("-".to_owned(), |d| String::from_utf8_lossy(d).into_owned()));
        answers.get(names.len() - 1).copied().unwrap_or(NOT_FOUND)
    });
    (names, found)
}

const fn not(why: Herror, from_server: bool) -> Tried {
    Tried::Not { why, from_server }
}
const NOT_FOUND: Tried = not(Herror::NotFound, true);

#[test]
fn the_search_list_is_gone_through_as_glibc_does() {
    let missing = Err(Herror::NotFound);
    for (name, policy, order) in [
        ("host", DEFAULT, &["one.test", "two.test", "-"][..]),
        ("host.a", DEFAULT, &["-", "one.test", "two.test"]),
        ("host.", DEFAULT, &["-"]),
        ("host.a", Policy { ndots: 2, ..DEFAULT }, &["one.test", "two.test", "-"]),
        ("host", Policy { search: false, ..DEFAULT }, &["one.test", "-"]),
        ("host.a", Policy { search: false, ..DEFAULT }, &["-"]),
        ("host", Policy { default_domain: false, ..DEFAULT }, &["-"]),
        ("host", Policy { no_top_level: true, ..DEFAULT }, &["one.test", "two.test"]),
    ] {
        let (names, found) = asked(name, policy, &[]);
        assert_eq!((&names[..], found), (&order.map_owned()[..], missing), "{name}");
    }
}

trait Owned {
    fn map_owned(&self) -> Vec<String>;
}

impl Owned for [&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(|s| (*s).to_owned()).collect()
    }
}

#[test]
fn a_search_ends_with_what_it_finds_and_says_the_better_reason() {
    let found = Tried::Found(40);
    assert_eq!(asked("host", DEFAULT, &[NOT_FOUND, found]).1, Ok(40));
    let no_data = not(Herror::NoData, true);
    assert_eq!(asked("host", DEFAULT, &[no_data, NOT_FOUND]).1, Err(Herror::NoData));
    assert_eq!(asked("host.a", DEFAULT, &[NOT_FOUND, no_data]).1, Err(Herror::NotFound));
    // A server that fails is passed over; nobody who answers ends the list.
    let (names, why) = asked("host", DEFAULT, &[not(Herror::TryAgain, true)]);
    assert_eq!((names.len(), why), (3, Err(Herror::TryAgain)));
    let (names, _) = asked("host", DEFAULT, &[not(Herror::TryAgain, false)]);
    assert_eq!(names, ["one.test", "-"]);
}

#[test]
fn an_answers_head_is_judged_as_res_query_does() {
    let message = |code: u8, answers: u8| [0, 1, 0x80, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0];
    let judged = |code, answers| head(&message(code, answers)).map(|head| head.judge(50));
    assert_eq!(judged(0, 1), Some(Tried::Found(50)));
    for (code, answers, why) in [
        (0, 0, Herror::NoData),
        (1, 0, Herror::NoRecovery),
        (2, 0, Herror::TryAgain),
        (3, 1, Herror::NotFound),
        (9, 0, Herror::NoRecovery),
    ] {
        assert_eq!(judged(code, answers), Some(not(why, true)), "{code}");
    }
    assert_eq!(judged(5, 0), Some(not(Herror::TryAgain, false)));
    let rejected = |code| head(&message(code, 0)).map(Head::is_rejection);
    assert_eq!(
        [0, 1, 2, 3, 4, 5].map(|code| rejected(code) == Some(true)),
        [false, false, true, false, true, true]
    );
    assert_eq!(head(&message(0, 1)[..11]), None);
}

#[test]
fn the_option_record_is_appended_where_it_fits() {
    let mut message = [0; 40];
    let edns = Edns { signatures: true, room: 70_000 };
    assert_eq!(edns.append(&mut message, 29), Some(40));
    assert_eq!(message[29..], [0, 0, 41, 4, 0xb0, 0, 0, 0x80, 0, 0, 0]);
    assert_eq!(message[10..12], [0, 1]);
    assert_eq!(edns.append(&mut message, 30), None);
    assert_eq!(message[10..12], [0, 1]);
}

#[test]
fn a_long_answer_is_marked_as_cut_and_a_short_one_is_not() {
    assert_eq!(told(100, 100), (100, false));
    assert_eq!(told(100, 60), (60, false));
    assert_eq!(told(512, 100), (100, false));
    assert_eq!(told(513, 100), (513, true));
    assert_eq!(told(65_535, 4096), (65_535, true));
}
