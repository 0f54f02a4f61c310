use std::time::{Duration, Instant};

use underpass_core::config::Kind;
use underpass_core::control::{ConnectionStatus, FailureStatus, HopStatus, ListenerStatus, Mechanism};
use unicode_width::UnicodeWidthStr;

use super::keys::Action;
use super::screen::{Line, Look, lines};
use super::view::{Order, Rate, View};
use crate::ask::{Snapshot, Unanswered};

fn connection(id: u64, program: &str, up: u64, down: u64) -> ConnectionStatus {
    ConnectionStatus {
        id,
        program: Some(format!("/usr/bin/{program}")),
        pid: 4_194_303,
        destination: format!("host-{id}.downloads.example.org:443"),
        route: None,
        chain: Some("main".to_owned()),
        configuration: 1,
        mechanism: Mechanism::Relayed,
        age_seconds: id,
        bytes_up: up,
        bytes_down: down,
    }
}

fn snapshot(connections: Vec<ConnectionStatus>) -> Snapshot {
    let hop = |hop| HopStatus {
        chain: "main".to_owned(),
        kind: Kind::Strict,
        configuration: 1,
        hop,
        of: 20,
        url: "socks5h://a-very-long-name.proxies.example.org:1080".to_owned(),
        passed_over_seconds: (hop == 1).then_some(44),
        tried_seconds_ago: Some(1),
        round_trip_microseconds: Some(20_480),
        failures: u32::from(hop == 1),
        last_failure: None,
        dialled_by: None,
    };
    let failure = |errno| FailureStatus {
        chain: None,
        configuration: 1,
        hop: None,
        of: None,
        url: None,
        reason: "no answer within the deadline and more than fits the line\x1b[0m".to_owned(),
        hint: None,
        errno,
        count: 100_000,
        seconds_ago: 3,
        destination: "例え.テスト:443".to_owned(),
        program: None,
        pid: 0,
    };
    let listener = |port| ListenerStatus {
        at: (port != 1).then_some(([192, 0, 2, 1], port).into()),
        to: "db.internal:5432".to_owned(),
        program: None,
        pid: None,
        chain: "main".to_owned(),
        configuration: 1,
        listens: port != 1,
        age_seconds: 3,
        connections: 12,
    };
    Snapshot {
        connections,
        listeners: (1..=20).map(listener).collect(),
        hops: (1..=20).map(hop).collect(),
        failures: (1..=20).map(failure).collect(),
        unhooked: Vec::new(),
    }
}

fn view() -> View {
    View::new(snapshot((1..=50).map(|id| connection(id, "curl", 10 * id, 0)).collect()), Instant::now())
}

fn text(lines: &[Line]) -> String {
    lines.iter().map(|line| format!("{}\n", line.text)).collect()
}

#[test]
fn every_size_is_filled_and_never_more() {
    let view = view();
    for columns in [0, 1, 10, 40, 80, 81, 200] {
        for rows in [0, 1, 2, 3, 5, 10, 24, 60] {
            let lines = lines(&view, (columns, rows));
            assert!(lines.len() <= rows && (rows < 4 || lines.len() == rows), "{rows}: {}", text(&lines));
            assert!(lines.iter().all(|line| line.text.width() <= columns), "{columns}: {}", text(&lines));
            assert!(lines.iter().all(|line| !line.text.contains(char::is_control)), "{}", text(&lines));
        }
    }
}

#[test]
fn eighty_columns_and_twenty_four_rows_are_enough() {
    let lines = lines(&view(), (80, 24));
    let text = text(&lines);
    for part in [
        "\nPROGRAM     PID     DESTINATION           CHAIN     AGE    UP  DOWN  UP/S DOWN/S\n",
        "\ncurl ",
        " 4194303 host-1.downloads.exa… main ",
        "\nCHAIN    HOP     UPSTREAM ",
        "passed over for 44 s   20.5 ms      1\n",
        "\nLISTENS AT               LEADS TO                 CHAIN    STATE      AGE   CAME\n",
        "\n-                        db.internal:5432         main     asked for   3s     12\n",
        "\n192.0.2.1:2              db.internal:5432         main     up          3s     12\n",
        "\nERRORS    TIMES  AGO LAST DESTINATION, REASON\n",
        "例え.テスト:443: no answer within the deadline",
        "\n… 15 more: underpass-agent status\n",
        "\n q quit  s sort  r reverse  / filter  p pause  arrows scroll",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(lines.iter().any(|line| line.look == Look::Bad && line.text.contains("passed over")));
    assert_eq!(lines.iter().filter(|line| line.look == Look::Bar).count(), 2);
}

/// With room for them, errors have all their words, and the hint.
#[test]
fn errors_are_told_in_full_where_there_is_room() {
    let mut few = snapshot(Vec::new());
    few.hops.truncate(2);
    few.listeners.truncate(0);
    few.failures.truncate(2);
    few.failures[0].hint =
        Some("check USER:PASSWORD in the proxy's URL, or the file of ?login-file=".to_owned());
    let view = View::new(few, Instant::now());
    let shown = text(&lines(&view, (80, 24)));
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        words.matches("no answer within the deadline and more than fits the line?[0m").count(),
        2,
        "{shown}"
    );
    assert!(
        words.contains("hint: check USER:PASSWORD in the proxy's URL, or the file of ?login-file="),
        "{shown}"
    );
    let shown = text(&lines(&view, (80, 10)));
    assert!(
        shown.contains("no answer within the deadline and more th…\n") && !shown.contains("hint"),
        "{shown}"
    );
}

#[test]
fn rates_are_those_since_the_last_answer() {
    let begin = Instant::now();
    let mut view = View::new(snapshot(vec![connection(1, "a", 100, 0), connection(2, "b", 0, 0)]), begin);
    assert_eq!(view.rate(), Rate::default());
    let next = vec![connection(1, "a", 100, 0), connection(2, "b", 0, 2048), connection(3, "c", 4096, 0)];
    view.take(Ok(snapshot(next)), begin + Duration::from_secs(2));
    assert_eq!(view.rate(), Rate { up: 2048.0, down: 1024.0 });
    let order: Vec<u64> = view.matching().map(|shown| shown.status.id).collect();
    assert_eq!(order, [3, 2, 1]);
    view.act(Action::Pause);
    view.take(Ok(Snapshot::default()), begin + Duration::from_secs(3));
    assert_eq!(view.connections.len(), 3);
    view.act(Action::Pause);
    view.take(Err(Unanswered::NoAgent), begin + Duration::from_secs(4));
    assert!(text(&lines(&view, (80, 24))).starts_with(" no agent is running "));
    // What another agent has carried before it was asked has no rate; what comes to one that had nothing has.
    let (first, second) = (vec![connection(1, "a", 512, 0)], vec![connection(2, "a", 512, 0)]);
    for (second_of, connections, rate) in [(5, first, 0.0), (6, Vec::new(), 0.0), (7, second, 512.0)] {
        view.take(Ok(snapshot(connections)), begin + Duration::from_secs(second_of));
        assert_eq!(view.rate().up, rate);
    }
}

#[test]
fn what_is_shown_can_be_sorted_and_filtered() {
    let mut view = View::new(
        snapshot(vec![connection(1, "wget", 5, 0), connection(2, "curl", 9, 0), connection(3, "ssh", 7, 0)]),
        Instant::now(),
    );
    let order = |view: &View| view.matching().map(|shown| shown.status.id).collect::<Vec<_>>();
    view.act(Action::Sort);
    assert_eq!((view.order, order(&view)), (Order::Bytes, vec![2, 3, 1]));
    view.act(Action::Reverse);
    assert_eq!(order(&view), [1, 3, 2]);
    view.act(Action::Reverse);
    view.act(Action::Sort);
    assert_eq!((view.order, order(&view)), (Order::Age, vec![3, 2, 1]));
    view.act(Action::Sort);
    assert_eq!((view.order, order(&view)), (Order::Program, vec![2, 3, 1]));
    for action in [Action::Filter, Action::Letter('G'), Action::Letter('e'), Action::Done] {
        view.act(action);
    }
    assert_eq!(order(&view), [1]);
    assert!(text(&lines(&view, (80, 24))).contains("\n filter: Ge   Esc clear"));
    view.act(Action::Clear);
    assert_eq!(order(&view).len(), 3);
    view.act(Action::Scroll(100));
    assert_eq!(view.above, 2);
    view.act(Action::Scroll(-100));
    assert_eq!(view.above, 0);
}
