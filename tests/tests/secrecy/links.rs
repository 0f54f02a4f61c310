//! Whoever watches a cable learns who its neighbours are. No cable but the last carries the destination's name or
//! address, or what is said to it.

use underpass_tests::servers::port;

use crate::capture::{Capture, Captured};
use crate::line::{Line, NAME, WORD, name, port_of};

fn through(length: usize) {
    let last = watched(length, |line| {
        let mut program = line.carries();
        program.say("");
        assert_eq!(program.next_line(), "ended");
    });
    joins_neighbours(&last, length, port::GREETER);
}

/// The same by datagrams, which end at the last relay as such.
fn datagrams_through(length: usize) {
    let echo = r#"
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7007))
print("ready", flush=True)
while True:
    s.sendto(*s.recvfrom(200))
"#;
    let script = r#"
import socket, sys
host, port, word = sys.argv[1:]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
place = (socket.gethostbyname(host), int(port))
said = f"Host: {host} {word}".encode()
for _ in range(64):
    s.sendto(said, place)
    assert s.recvfrom(200) == (said, place)
print("carried")
"#;
    watched(length, |line| {
        let server = line.at_destination("/usr/bin/python3").args(["-c", echo]);
        let mut server = server.limit(std::time::Duration::MAX).spawn();
        assert_eq!(server.next_line(), "ready");
        let python = line.through("python3").args(["-c", script, NAME, &port::ECHO.to_string(), WORD]);
        assert_eq!(python.run().success(), "carried\n");
    });
}

/// What goes over the last cable while the others are watched.
fn watched(length: usize, carry: impl FnOnce(&Line)) -> Captured {
    let line = Line::new(length);
    let captures: Vec<_> = (0..=length).map(|cable| Capture::new(&line, cable)).collect();
    carry(&line);
    let mut captured: Vec<_> = captures.into_iter().map(Capture::end).collect();
    let last = captured.pop().expect("there is one more than relays");
    for (cable, captured) in captured.iter().enumerate() {
        joins_neighbours(captured, cable, port_of(cable + 1));
        let text = line.destination().map(|byte| byte.to_string()).join(".");
        let beyond = (cable + 2..=length).map(name);
        for word in [NAME.to_owned(), WORD.to_owned(), text].into_iter().chain(beyond) {
            assert!(!captured.holds(word.as_bytes()), "{word} on cable {cable}");
        }
        assert!(!captured.holds(&line.destination()), "the destination's address on cable {cable}");
    }
    // What is looked for would have been found.
    assert!(last.holds(NAME.as_bytes()) && last.holds(WORD.as_bytes()) && last.holds(&line.destination()));
    last
}

/// Everything goes from one end to the other, and there is no little of it.
fn joins_neighbours(captured: &Captured, cable: usize, port: u16) {
    let ends = [1, 2].map(|end| [10, 88, u8::try_from(cable).expect("lines are short"), end]);
    let segments = captured.segments();
    for segment in &segments {
        let forth = segment.hosts == ends && segment.ports[1] == port;
        let back = segment.hosts == [ends[1], ends[0]] && segment.ports[0] == port;
        assert!(forth || back, "{:?} {:?} on cable {cable}", segment.hosts, segment.ports);
    }
    // The word was said 64 times, and came back as often.
    let bytes: usize = segments.iter().map(|segment| segment.payload.len()).sum();
    assert!(bytes > 2 * 64 * WORD.len(), "{bytes} bytes on cable {cable}");
}

underpass_tests::through_chains!(through);

#[test]
fn of_datagrams_through_one_relay() {
    datagrams_through(1);
}

#[test]
fn of_datagrams_through_three_relays() {
    datagrams_through(3);
}
