use underpass_core::config::Kind;
use underpass_core::control::Mechanism;

use super::*;

fn connection(configuration: u32) -> ConnectionStatus {
    ConnectionStatus {
        id: 1,
        program: Some("/usr/bin/cu\x1brl".to_owned()),
        pid: 4_194_303,
        destination: "downloads.example.org:443".to_owned(),
        route: Some(1),
        chain: Some("main".to_owned()),
        configuration,
        mechanism: Mechanism::HandedOff,
        age_seconds: 4000,
        bytes_up: 1023,
        bytes_down: 5 << 30,
    }
}

fn hop(configuration: u32) -> HopStatus {
    HopStatus {
        chain: "main".to_owned(),
        kind: Kind::Strict,
        configuration,
        hop: 1,
        of: 3,
        url: "socks5h://10.0.0.1:1080".to_owned(),
        passed_over_seconds: Some(4),
        tried_seconds_ago: Some(1),
        round_trip_microseconds: Some(20_480),
        failures: 3,
        last_failure: None,
        dialled_by: None,
    }
}

fn shown(configurations: &[u32]) -> String {
    let mut table = Table::default();
    for &number in configurations {
        table.connection(&connection(number));
        table.hop(&hop(number));
    }
    let mut out = Vec::new();
    table.print(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_tables_fit_eighty_columns() {
    let text = shown(&[1]);
    assert_eq!(
        text,
        "PROGRAM  PID      DESTINATION                CHAIN  HOW         AGE  UP    DOWN\n\
         cu?rl    4194303  downloads.example.org:443  main   handed off  66m  1023  5.0G\n\
         \n\
         CHAIN  HOP     UPSTREAM                 STATE              ROUND TRIP  FAILED\n\
         main   1 of 3  socks5h://10.0.0.1:1080  passed over for 4 s  20.5 ms     3\n"
            .replace("STATE              ROUND", "STATE                ROUND")
    );
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
}

#[test]
fn chains_of_several_configurations_are_told_apart() {
    assert!(!shown(&[1, 1]).contains('#'));
    let text = shown(&[1, 2]);
    assert_eq!((text.matches("main#1").count(), text.matches("main#2").count()), (2, 2), "{text}");
    assert_eq!(shown(&[]), "no connection is carried\n");
}

#[test]
fn who_goes_through_the_first_hop_twice_is_named() {
    let mut table = Table::default();
    table.hop(&HopStatus { dialled_by: Some(42), ..hop(1) });
    let mut out = Vec::new();
    table.print(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("\n\nchain main: process 42 connects to the first hop itself, "), "{text}");
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
}

#[test]
fn failures_have_their_reasons_in_words() {
    let mut table = Table::default();
    table.failure(&FailureStatus {
        chain: Some("main".to_owned()),
        configuration: 1,
        hop: Some(2),
        of: Some(2),
        url: Some("socks5h://10.0.0.1:1080".to_owned()),
        reason: "the upstream accepts none of the offered authentication methods".to_owned(),
        hint: Some("no\x1bne".to_owned()),
        errno: 13,
        count: 12,
        seconds_ago: 100,
        destination: "db.internal:5432".to_owned(),
        program: None,
        pid: 7,
    });
    table.hop(&HopStatus { last_failure: Some("no answer within the deadline".to_owned()), ..hop(1) });
    let mut out = Vec::new();
    table.print(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let shown = "\n\nFAILED  HOP     TIMES  AGO  LAST DESTINATION\n\
                 main    2 of 2  12     1m   db.internal:5432\n  \
                 socks5h://10.0.0.1:1080: the upstream accepts none of the offered\n  \
                 authentication methods\n  hint: no?ne\n";
    assert!(text.contains(shown), "{text}");
    assert!(text.ends_with("\n\nchain main, hop 1: no answer within the deadline\n"), "{text}");
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
}

#[test]
fn listeners_have_a_table_of_their_own() {
    let forward = ListenerStatus {
        at: Some(([192, 0, 2, 1], 8000).into()),
        to: "db.internal:5432".to_owned(),
        program: None,
        pid: None,
        chain: "main".to_owned(),
        configuration: 1,
        listens: true,
        age_seconds: 100,
        connections: 12,
    };
    let program = ListenerStatus {
        at: None,
        to: "127.0.0.1:80".to_owned(),
        program: Some("/usr/sbin/nginx".to_owned()),
        pid: Some(7),
        listens: false,
        ..forward.clone()
    };
    let mut table = Table::default();
    table.listener(&forward);
    table.listener(&program);
    let mut out = Vec::new();
    table.print(&mut out).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "no connection is carried\n\n\
         LISTENS AT      LEADS TO            CHAIN  STATE      AGE  CAME\n\
         192.0.2.1:8000  db.internal:5432    main   up         1m   12\n\
         -               nginx 127.0.0.1:80  main   asked for  1m   12\n"
    );
}

#[test]
fn programs_that_are_not_carried_come_last() {
    let mut table = Table::default();
    table.unhooked(&UnhookedStatus { program: Some("/bin/busy\nbox".to_owned()), pid: 42 });
    let mut out = Vec::new();
    table.print(&mut out).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "no connection is carried\n\nNOT CARRIED  PID\nbusy?box     42\n"
    );
}

#[test]
fn numbers_are_short() {
    for (count, text) in [
        (0, "0"),
        (1023, "1023"),
        (1024, "1.0K"),
        (10_189, "10K"),
        (1_047_999, "1023K"),
        (1_048_064, "1.0M"),
        (u64::MAX, "16E"),
    ] {
        assert_eq!(bytes(count), text);
    }
    for (seconds, text) in [(0, "0s"), (99, "99s"), (100, "1m"), (6000, "1h"), (360_000, "4d")] {
        assert_eq!(age(seconds), text);
    }
}
