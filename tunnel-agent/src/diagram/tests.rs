use underpass_core::control::Mechanism;

use super::*;

fn connection(program: &str, chain: Option<&str>, destination: &str) -> ConnectionStatus {
    ConnectionStatus {
        id: 1,
        program: Some(format!("/usr/bin/{program}")),
        pid: 1,
        destination: destination.to_owned(),
        route: None,
        chain: chain.map(str::to_owned),
        configuration: 1,
        mechanism: Mechanism::Relayed,
        age_seconds: 1,
        bytes_up: 1024,
        bytes_down: 5,
    }
}

fn hop(kind: Kind, hop: usize, of: usize) -> HopStatus {
    HopStatus {
        chain: "main".to_owned(),
        kind,
        configuration: 1,
        hop,
        of,
        url: format!("socks5h://h{hop}:1080"),
        passed_over_seconds: (hop == 2).then_some(4),
        tried_seconds_ago: Some(1),
        round_trip_microseconds: (hop == 1).then_some(20_480),
        failures: u32::from(hop == 2),
        last_failure: None,
        dialled_by: None,
    }
}

fn drawn(kind: Kind, language: Language) -> String {
    let mut diagram = Diagram::default();
    diagram.connection(&connection("curl", Some("main"), "a.test:443"));
    diagram.connection(&connection("curl", Some("main"), "b.test:443"));
    diagram.connection(&connection("we\"ird]\\", None, "c.test:443"));
    (1..=2).for_each(|place| diagram.hop(hop(kind, place, 2)));
    let mut out = Vec::new();
    diagram.print(language, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn hops_of_a_strict_chain_are_in_a_row_and_those_of_others_side_by_side() {
    let strict = drawn(Kind::Strict, Language::Dot);
    for line in [
        "  chain1 -> hop1_1;\n",
        "  hop1_1 -> hop1_2;\n",
        "  hop1_2 -> destinations1;\n",
        "label=\"hop 1 of 2\\nsocks5h://h1:1080\\nup, 20.5 ms\"];\n",
        "fontcolor=\"#cc0000\", label=\"exit 2 of 2\\nsocks5h://h2:1080\\npassed over for 4 s\"];\n",
        "label=\"2 destinations\"];\n",
        "  program0 -> chain1 [label=\"2 connections\\nup 2.0K, down 10\"];\n",
        "  chain0 -> destinations0;\n",
    ] {
        assert!(strict.contains(line), "{line}: {strict}");
    }
    let failover = drawn(Kind::Failover, Language::Dot);
    for line in ["  chain1 -> hop1_1;\n", "  chain1 -> hop1_2;\n", "  hop1_1 -> destinations1;\n"] {
        assert!(failover.contains(line), "{line}: {failover}");
    }
    assert!(!failover.contains("hop1_1 -> hop1_2"), "{failover}");
}

#[test]
fn nothing_in_a_name_has_a_meaning() {
    let dot = drawn(Kind::Strict, Language::Dot);
    assert!(dot.contains("label=\"we\\\"ird]\\\\\"];\n"), "{dot}");
    let mermaid = drawn(Kind::Strict, Language::Mermaid);
    assert!(mermaid.contains("(\"we#34;ird#93;#92;\")\n"), "{mermaid}");
    assert!(
        mermaid.contains("  hop1_2[\"exit 2 of 2<br/>socks5h://h2:1080<br/>passed over for 4 s\"]:::down\n")
    );
    let plain = Drawn { language: Language::Mermaid, out: &mut Vec::new() };
    assert_eq!(plain.quoted("a\u{1b}<b>"), "\"a?#60;b#62;\"");
}

#[test]
fn of_very_many_programs_most_are_one_box() {
    let mut diagram = Diagram::default();
    for number in 0..100 {
        diagram.connection(&connection(&format!("p{number}"), Some("main"), "a.test:1"));
    }
    let mut out = Vec::new();
    diagram.print(Language::Dot, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.contains("label=\"76 other programs\"]") && text.contains("label=\"76 connections\\n"),
        "{text}"
    );
    assert_eq!(text.matches("style=rounded").count(), PROGRAMS + 1);
}
