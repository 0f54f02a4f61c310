//! Relays that end while they carry. What is cut is a reset at the program, never an end.

use underpass_tests::servers::port;

use crate::place::{GREETED, NAME, greeter};
use crate::relays::row;

/// Reads until something happens, and says what.
const READER: &str = r#"
import errno, socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
print(s.recv(6).decode().strip(), flush=True)
try:
    print("an end" if s.recv(1) == b"" else "a byte", flush=True)
except OSError as error:
    print(errno.errorcode[error.errno], flush=True)
"#;

#[test]
fn a_relay_that_is_killed_is_a_reset_wherever_it_stands() {
    let row = row(3);
    let well = greeter();
    for dead in [0, 1, 2] {
        let port = port::GREETER.to_string();
        let mut reader = row.place.through(&row.urls(), "python3").args(["-c", READER, NAME, &port]).spawn();
        assert_eq!(reader.next_line(), "hello");
        row.relays[dead].real.kill();
        assert_eq!(reader.next_line(), "ECONNRESET", "relay {dead}");
        row.relays[dead].real.revive(&row.place.world);
        // And what comes next has a session of its own.
        row.place.visit(&row.urls(), &[(&well, GREETED)]);
    }
}

/// The session has been idle when its relay is started anew: the first connection afterwards finds that out by
/// itself.
#[test]
fn a_relay_that_has_been_restarted_serves_the_next_connection() {
    let row = row(2);
    let well = greeter();
    let script = r#"
import socket, sys
for line in sys.stdin:
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    print(s.recv(6).decode().strip(), flush=True)
"#;
    let port = port::GREETER.to_string();
    let mut program = row.place.through(&row.urls(), "python3").args(["-c", script, NAME, &port]).spawn();
    program.say("");
    assert_eq!(program.next_line(), "hello");
    for dead in [1, 0] {
        row.relays[dead].real.kill();
        row.relays[dead].real.revive(&row.place.world);
        program.say("");
        assert_eq!(program.next_line(), "hello", "relay {dead}");
    }
    row.place.visit(&row.urls(), &[(&well, GREETED)]);
}
