//! Chains of one to eight relays.

use underpass_tests::servers::port;

use crate::place::{ADDRESS, GREETED, MODES, NAME, greeter, greeter_address};
use crate::relays::row;

fn through(length: u16) {
    let row = row(length);
    let (by_name, by_address) = (greeter(), greeter_address());
    row.place.visit(&row.urls(), &[(&by_name, GREETED), (&by_address, GREETED)]);
    row.place.curl(&row.urls());
    let exit = &row.relays.last().expect("it has relays").real;
    exit.wait_served(NAME, port::GREETER, MODES.len());
    exit.wait_served(ADDRESS, port::GREETER, MODES.len());
    exit.wait_served(NAME, port::BANNER, 1);
    // The exit knows where the connection goes, and not whose it is; the others know the next one.
    assert!(!exit.log().contains("10.77.0.2"), "{}", exit.log());
    // A tunnel between relays is written down when it ends, with the agent.
    row.end_agents();
    row.knows_neighbours_alone(&[port::GREETER, port::BANNER]);
}

underpass_tests::through_chains!(through);

/// All of it, and nothing else, both ways, and each end's end.
#[test]
fn bytes_arrive_as_they_were_sent() {
    let row = row(3);
    let script = format!(
        r#"
import socket, sys
def connect(port):
    return socket.create_connection(("{NAME}", port))
def rest(s):
    return b"".join(iter(lambda: s.recv(1 << 16), b""))
big = rest(connect({big}))
assert len(big) == {length}, len(big)
assert all(big[i] == i % 251 for i in range(0, len(big), 97)), "other bytes"
up = connect({after})
sent = bytes(i % 251 for i in range(251)) * 20000
up.sendall(sent)
up.shutdown(socket.SHUT_WR)
count, rest_ = rest(up).split(b"\n", 1)
assert int(count) == len(sent), count
assert rest_ == b"x" * 100000, len(rest_)
slow = connect({slow})
slow.sendall(b"y" * (1 << 20))
slow.shutdown(socket.SHUT_WR)
assert int(rest(slow)) == 1 << 20
reset = connect({reset})
reset.sendall(b"z")
try:
    print(reset.recv(1))
except ConnectionResetError:
    print("reset")
"#,
        big = port::BIG_SENDER,
        length = port::BIG,
        after = port::AFTER_END,
        slow = port::SLOW_READER,
        // The relays deny its other port.
        reset = port::slow(port::RESET),
    );
    let done = row.place.through(&row.urls(), "python3").args(["-c", &script]).run();
    assert_eq!(done.success(), "reset\n");
}
