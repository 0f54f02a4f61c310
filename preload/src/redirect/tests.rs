use std::cell::{Cell, RefCell};

use super::*;

struct Fake {
    state: Result<State, c_int>,
    kind: Result<Kind, c_int>,
    blocking: bool,
    loopback: bool,
    asks_resolver: bool,
    answer: Connected,
    failure: Option<c_int>,
    known: Option<SocketAddr>,
    way: Way,
    purpose: Purpose,
    dissolved: Cell<bool>,
    asked: RefCell<Vec<SocketAddr>>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            state: Ok(State::Closed),
            kind: Ok(Kind::OtherInet),
            blocking: true,
            loopback: false,
            asks_resolver: false,
            answer: Connected::HandedOff,
            failure: None,
            known: None,
            way: Way::Via(AT),
            purpose: Purpose::Send,
            dissolved: Cell::default(),
            asked: RefCell::default(),
        }
    }
}

impl Socket for Fake {
    fn state(&self) -> Result<State, c_int> {
        self.state
    }
    fn kind(&self) -> Result<Kind, c_int> {
        self.kind
    }
    fn is_blocking(&self) -> bool {
        self.blocking
    }
    fn loopback_is_routed(&self) -> bool {
        self.loopback
    }
    fn asks_resolver(&self) -> bool {
        self.asks_resolver
    }
    fn ask(&self, address: SocketAddr) -> Connected {
        self.asked.borrow_mut().push(address);
        self.answer
    }
    fn known_way(&self, address: SocketAddr) -> Option<Way> {
        (self.known == Some(address)).then_some(Way::Via(AT))
    }
    fn way(&self, address: SocketAddr, purpose: Purpose) -> Way {
        self.asked.borrow_mut().push(address);
        assert_eq!(purpose, self.purpose);
        self.way
    }
    fn dissolve(&self) {
        self.dissolved.set(true);
    }
    fn clear_error(&self) {}
    fn failure(&self) -> Option<c_int> {
        self.failure
    }
}

fn inet(text: &str) -> Given {
    Given::Inet(text.parse().unwrap())
}

const UDP: Result<State, c_int> = Err(libc::ENOPROTOOPT);

#[test]
fn loopback_passes_unless_it_is_dns() {
    let fake = Fake::default();
    for address in ["127.0.0.1:80", "[::1]:80", "[::ffff:127.9.9.9]:80", "0.0.0.0:80"] {
        assert_eq!(connect(&fake, inet(address)), Outcome::Pass(Bypass::Loopback));
    }
    assert!(fake.asked.borrow().is_empty());
    for address in ["127.0.0.53:53", "[::1]:53", "[::ffff:127.0.0.1]:53"] {
        assert_eq!(connect(&fake, inet(address)), Outcome::Done);
    }
    assert_eq!(fake.asked.borrow().len(), 3);
}

#[test]
fn the_agent_is_asked_about_loopback_where_a_route_names_it() {
    let fake = Fake { loopback: true, ..Fake::default() };
    for address in ["127.0.0.1:80", "[::1]:80", "[::ffff:127.9.9.9]:80", "0.0.0.0:80"] {
        assert_eq!(connect(&fake, inet(address)), Outcome::Done);
        let to = address.parse().unwrap();
        assert_eq!(send(&fake, inet(address), libc::MSG_FASTOPEN), Send::ConnectFirst(to));
        assert_eq!(send(&fake, inet(address), 0), Send::Pass(Bypass::Loopback));
    }
    assert_eq!(fake.asked.borrow().len(), 4);
    let udp = Fake { loopback: true, ..udp() };
    assert_eq!(connect(&udp, inet("127.0.0.1:80")), Outcome::Pass(Bypass::Loopback));
    assert_eq!(send(&udp, inet("127.0.0.1:80"), libc::MSG_FASTOPEN), Send::Pass(Bypass::Loopback));
}

#[test]
fn a_resolver_is_not_there_unless_names_are_for_it() {
    let unix = || Fake { state: UDP, kind: Ok(Kind::NotInet), ..Fake::default() };
    let passes = Outcome::Pass(Bypass::NotInet);
    assert_eq!(connect(&unix(), Given::Resolver), Outcome::Fail(ENOENT));
    assert_eq!(connect(&Fake { asks_resolver: true, ..unix() }, Given::Resolver), passes);
    for kind in [Ok(Kind::OtherInet), Ok(Kind::Datagram), Err(libc::EBADF)] {
        assert_eq!(connect(&Fake { kind, ..unix() }, Given::Resolver), passes, "{kind:?}");
    }
    assert_eq!(send(&unix(), Given::Resolver, 0), Send::Pass(Bypass::NotInet));
}

#[test]
fn what_the_agent_says_is_what_the_program_gets() {
    let table = [
        (Connected::Direct, Outcome::Pass(Bypass::Route)),
        (Connected::HandedOff, Outcome::Done),
        (Connected::Held { blocking: false }, Outcome::Fail(EINPROGRESS)),
        (Connected::Held { blocking: true }, Outcome::Wait(Waiting::First)),
        (Connected::Failed(libc::ETIMEDOUT), Outcome::Fail(libc::ETIMEDOUT)),
        (Connected::Interrupted, Outcome::Fail(EINTR)),
        (Connected::Lost, Outcome::Fail(ENETUNREACH)),
    ];
    for (answer, outcome) in table {
        let fake = Fake { answer, ..Fake::default() };
        assert_eq!(connect(&fake, inet("10.0.0.1:80")), outcome);
        assert_eq!(fake.dissolved.get(), answer == Connected::Lost);
    }
}

#[test]
fn a_second_connect_follows_the_state_of_the_socket() {
    let address = inet("10.0.0.1:80");
    let connecting = Fake { state: Ok(State::Connecting), blocking: false, ..Fake::default() };
    assert_eq!(connect(&connecting, address), Outcome::Fail(EALREADY));
    let connected = Fake { state: Ok(State::Other), ..Fake::default() };
    assert_eq!(connect(&connected, address), Outcome::Wait(Waiting::Later));
    let blocking = Fake { state: Ok(State::Connecting), ..Fake::default() };
    assert_eq!(connect(&blocking, address), Outcome::Wait(Waiting::Later));
    assert!(connecting.asked.borrow().is_empty() && connected.asked.borrow().is_empty());
}

#[test]
fn an_ended_wait_tells_the_true_errno() {
    use Waiting::{First, Later};
    let waited =
        |waiting, kernel, failure| waited(&Fake { failure, ..Fake::default() }, waiting, Err(kernel));
    assert_eq!(waited(First, EPIPE, Some(libc::EHOSTUNREACH)), Outcome::Fail(libc::EHOSTUNREACH));
    assert_eq!(waited(First, EPIPE, None), Outcome::Fail(ENETUNREACH));
    assert_eq!(waited(First, libc::ETIMEDOUT, None), Outcome::Fail(libc::ETIMEDOUT));
    assert_eq!(waited(First, EINTR, Some(1)), Outcome::Fail(EINTR));
    assert_eq!(waited(First, EALREADY, Some(1)), Outcome::Fail(EINPROGRESS));
    assert_eq!(waited(First, EISCONN, None), Outcome::Done);
    assert_eq!(waited(Later, EALREADY, None), Outcome::Fail(EALREADY));
    assert_eq!(waited(Later, EISCONN, None), Outcome::Fail(EISCONN));
}

/// A UDP socket.
fn udp() -> Fake {
    Fake { state: UDP, kind: Ok(Kind::Datagram), ..Fake::default() }
}

const AT: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(underpass_core::wire::AT, 9));

#[test]
fn datagrams_go_where_the_agent_says() {
    let table = [
        (Way::Direct, Send::Pass(Bypass::Route), Outcome::Pass(Bypass::Route)),
        (Way::Via(AT), Send::Via(AT), Outcome::ConnectTo(AT)),
        (Way::Refused(libc::EPERM), Send::Fail(libc::EPERM), Outcome::Fail(libc::EPERM)),
    ];
    for (way, sent, connected) in table {
        for address in ["10.0.0.1:9", "10.0.0.1:53", "127.0.0.1:53", "[::1]:53"] {
            assert_eq!(send(&Fake { way, ..udp() }, inet(address), 0), sent);
            let at_once = Fake { way, purpose: Purpose::SendAtOnce, ..udp() };
            assert_eq!(send(&at_once, inet(address), libc::MSG_DONTWAIT), sent);
            assert_eq!(connect(&Fake { way, purpose: Purpose::Connect, ..udp() }, inet(address)), connected);
        }
        // A datagram socket takes AF_UNSPEC for AF_INET.
        let unspecified = Given::Unspecified(Some("10.0.0.1:9".parse().unwrap()));
        assert_eq!(send(&Fake { way, ..udp() }, unspecified, 0), sent);
    }
}

#[test]
fn datagrams_for_loopback_and_for_no_port_are_the_kernels() {
    let fake = udp();
    assert_eq!(send(&fake, inet("127.0.0.1:9"), 0), Send::Pass(Bypass::Loopback));
    assert_eq!(connect(&fake, inet("[::1]:9")), Outcome::Pass(Bypass::Loopback));
    assert_eq!(send(&fake, inet("10.0.0.1:0"), 0), Send::Pass(Bypass::Malformed));
    assert!(fake.asked.borrow().is_empty());
}

#[test]
fn what_is_known_is_not_asked_for() {
    let known = Some("10.0.0.1:9".parse().unwrap());
    let fake = Fake { known, ..udp() };
    assert_eq!(send(&fake, inet("10.0.0.1:9"), 0), Send::Via(AT));
    assert!(fake.asked.borrow().is_empty());
    send(&fake, inet("10.0.0.1:10"), 0);
    assert_eq!(fake.asked.borrow().len(), 1);
}

#[test]
fn other_sockets_of_the_network_are_no_way_out() {
    let raw = Fake { state: UDP, ..Fake::default() };
    assert_eq!(connect(&raw, inet("10.0.0.1:53")), Outcome::Fail(ENETUNREACH));
    assert_eq!(send(&raw, inet("10.0.0.1:9"), 0), Send::Fail(ENETUNREACH));
    assert_eq!(send(&raw, inet("127.0.0.1:9"), 0), Send::Pass(Bypass::Loopback));
}

#[test]
fn other_sockets_and_families_pass() {
    let unix = Fake { state: Err(libc::EOPNOTSUPP), kind: Ok(Kind::NotInet), ..Fake::default() };
    assert_eq!(connect(&unix, inet("10.0.0.1:9")), Outcome::Pass(Bypass::NotInet));
    let no_socket = Fake { state: Err(libc::ENOTSOCK), kind: Err(libc::ENOTSOCK), ..Fake::default() };
    assert_eq!(connect(&no_socket, inet("10.0.0.1:9")), Outcome::Pass(Bypass::NotInet));
    assert_eq!(connect(&unix, Given::Foreign), Outcome::Pass(Bypass::NotInet));
    assert_eq!(connect(&unix, Given::Unspecified(None)), Outcome::Pass(Bypass::Disconnect));
    assert_eq!(send(&unix, Given::Foreign, 0), Send::Pass(Bypass::NotInet));
}

#[test]
fn fast_open_connects_first() {
    let tcp = Fake::default();
    let address = "10.0.0.1:80".parse().unwrap();
    assert_eq!(send(&tcp, Given::Inet(address), libc::MSG_FASTOPEN), Send::ConnectFirst(address));
    assert_eq!(send(&tcp, Given::Inet(address), 0), Send::Pass(Bypass::NotInet));
}
