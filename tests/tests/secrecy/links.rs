//! Whoever watches a cable learns who its neighbours are. No cable but the last carries the destination's name or
//! address, or what is said to it.

use underpass_tests::servers::port;

use crate::capture::{Capture, Captured};
use crate::line::{Line, NAME, WORD, name, port_of};

fn through(length: usize) {
    let line = Line::new(length);
    let captures: Vec<_> = (0..=length).map(|cable| Capture::new(&line, cable)).collect();
    let mut program = line.carries();
    program.say("");
    assert_eq!(program.next_line(), "ended");
    let captured: Vec<_> = captures.into_iter().map(Capture::end).collect();
    let (last, others) = captured.split_last().expect("there is one more than relays");
    for (cable, captured) in others.iter().enumerate() {
        joins_neighbours(captured, cable, port_of(cable + 1));
        let text = line.destination().map(|byte| byte.to_string()).join(".");
        let beyond = (cable + 2..=length).map(name);
        for word in [NAME.to_owned(), WORD.to_owned(), text].into_iter().chain(beyond) {
            assert!(!captured.holds(word.as_bytes()), "{word} on cable {cable}");
        }
        assert!(!captured.holds(&line.destination()), "the destination's address on cable {cable}");
    }
    // What is looked for would have been found.
    joins_neighbours(last, length, port::GREETER);
    assert!(last.holds(NAME.as_bytes()) && last.holds(WORD.as_bytes()) && last.holds(&line.destination()));
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
