//! What relays know, while they carry and afterwards: all of their memory, their records and their logs.

use underpass_tests::{Running, artifacts};

use crate::line::{Line, NAME, WORD, name};
use crate::relays::written;

/// How often each word is in a process's memory.
fn found(line: &Line, process: &Running, words: &[&str]) -> Vec<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).expect("it runs");
    let inside =
        status.lines().find_map(|l| l.strip_prefix("NSpid:")).and_then(|l| l.split_whitespace().last());
    let script = artifacts::workspace().join("tests/programs/memory.py");
    // By root of the world: nobody else may look.
    let scan = line.world.client("/usr/bin/python3").arg(script).arg(inside.expect("it has a number"));
    let said = scan.args(words).run().success();
    let mut lines = said.lines();
    let total: usize = lines.next().and_then(|total| total.parse().ok()).expect("a number");
    assert!(total > 4 << 20, "{total} bytes are not all");
    let counts = lines.map(|line| line.rsplit_once(' ').and_then(|(_, n)| n.parse().ok()).expect("a number"));
    let counts: Vec<usize> = counts.collect();
    assert_eq!(counts.len(), words.len(), "{said}");
    counts
}

#[test]
fn a_relay_knows_its_neighbours_alone() {
    let line = Line::new(3);
    let mut program = line.carries();
    let [entry, middle, exit] = line.relays.as_slice() else { panic!("there are three") };
    let (client, destination) = ("10.88.0.1", "10.88.3.2");
    let [next, last] = [2, 3].map(name);

    let unknown = [NAME, WORD, destination];
    assert_eq!(found(&line, middle, &[NAME, WORD, destination, client]), [0; 4]);
    assert_eq!(found(&line, entry, &[NAME, WORD, destination, &last]), [0; 4]);
    assert_eq!(found(&line, exit, &[client, &next]), [0; 2]);
    // What is looked for would have been found.
    assert!(found(&line, exit, &[NAME])[0] > 0, "the exit has forgotten where it connects to");
    assert!(found(&line, middle, &[&last])[0] > 0, "the middle has forgotten where it connects to");
    assert!(found(&line, entry, &[&next])[0] > 0, "the entry has forgotten where it connects to");

    // Records have a line for what has ended; tunnels between relays end with the agent.
    program.say("");
    assert_eq!(program.next_line(), "ended");
    for agent in line.world.agents() {
        let pid = i32::try_from(agent).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is ours");
    }
    let neighbours = [next.as_str(), last.as_str(), NAME];
    for (number, neighbour) in (1..).zip(neighbours) {
        let limit = std::time::Instant::now() + underpass_tests::PATIENCE;
        while !written(&line.world, &name(number), "audit").contains(neighbour) {
            assert!(std::time::Instant::now() < limit, "relay {number} has written nothing down");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    for number in 1..=3 {
        let [audit, log] = ["audit", "log"].map(|end| written(&line.world, &name(number), end));
        assert!(!log.is_empty(), "relay {number} has said nothing");
        let foreign: Vec<&str> = match number {
            1 => unknown.iter().copied().chain([last.as_str()]).collect(),
            2 => unknown.iter().copied().chain([client]).collect(),
            _ => vec![client, &next, WORD],
        };
        for word in foreign {
            assert!(!audit.contains(word), "{word} in the record of relay {number}:\n{audit}");
            assert!(!log.contains(word), "{word} in the log of relay {number}:\n{log}");
        }
    }
}
