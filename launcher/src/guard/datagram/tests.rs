//! Sockets as a program has them, with an agent that does what a test says.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use underpass_core::session_env::SessionEnv;
use underpass_core::wire::{MAX_FRAME, Reply, Request, Token};

use super::*;

const TOKEN: Token = Token([5; 16]);

/// Answers each question; how many there were.
struct FakeAgent {
    path: std::path::PathBuf,
    asked: Arc<AtomicUsize>,
}

impl FakeAgent {
    fn new(name: &str, answer: impl Fn(SocketAddr) -> Option<Reply<'static>> + Send + 'static) -> Self {
        let path = std::env::temp_dir().join(format!("underpass-pump-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        rustix::net::bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&listener, 64).unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            while let Ok(connection) = rustix::net::accept(&listener) {
                let mut frame = [0; MAX_FRAME];
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                let mut ancillary = RecvAncillaryBuffer::new(&mut space);
                let mut parts = [IoSliceMut::new(&mut frame)];
                let flags = RecvFlags::CMSG_CLOEXEC;
                let length =
                    rustix::net::recvmsg(&connection, &mut parts, &mut ancillary, flags).unwrap().bytes;
                let passed = ancillary.drain().filter(|m| matches!(m, RecvAncillaryMessage::ScmRights(_)));
                assert_eq!(passed.count(), 1);
                let Ok((TOKEN, Request::SupervisedDatagram { process, address, program })) =
                    Request::decode(&frame[..length])
                else {
                    panic!("no such question was expected");
                };
                let own = std::env::current_exe().unwrap();
                assert_eq!((process, program), (std::process::id(), own.as_os_str().as_bytes()));
                count.fetch_add(1, Ordering::SeqCst);
                if let Some(reply) = answer(address) {
                    let reply = reply.encode();
                    let parts = [IoSlice::new(reply.as_bytes())];
                    rustix::net::sendmsg(&connection, &parts, &mut Default::default(), SendFlags::NOSIGNAL)
                        .unwrap();
                }
            }
        });
        Self { path, asked }
    }

    fn datagrams(&self) -> Datagrams {
        let socket = self.path.as_os_str().as_bytes();
        let (token, auto, supervised) = (TOKEN, false, true);
        let listens = false;
        let (loopback, asks_resolver, refuses_foreign) = (false, false, false);
        let session =
            SessionEnv { token, loopback, asks_resolver, refuses_foreign, listens, auto, supervised, socket };
        Datagrams::new(Session::parse(&session.to_value()).unwrap())
    }
}

impl Drop for FakeAgent {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A socket of a program's, which gives up after a while.
fn socket(datagrams: &mut Datagrams, like: SocketAddr) -> UdpSocket {
    let domain = if like.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let socket = UdpSocket::from(datagrams.socket(std::process::id(), domain, libc::SOCK_DGRAM, 0).unwrap());
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// Sends back what comes, on this machine, for ever.
fn echo(host: &str) -> SocketAddr {
    let socket = UdpSocket::bind(format!("{host}:0")).unwrap();
    let at = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
    at
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

const FAR: [&str; 2] = ["203.0.113.5:7", "[2001:db8::5]:7"];

#[test]
fn datagrams_go_where_the_agent_says_and_answers_come_from_whom_was_asked() {
    let ats = [echo("127.0.0.1"), echo("[::1]")];
    let agent =
        FakeAgent::new("via", move |to| Some(Reply::Via { at: ats[usize::from(to.is_ipv6())], ready: true }));
    let mut datagrams = agent.datagrams();
    for far in FAR.map(address) {
        let socket = socket(&mut datagrams, far);
        let mut buffer = [0; 65_536];
        for payload in [&b""[..], b"x", &[7; 1200], &[9; 65_487]] {
            socket.send_to(payload, far).unwrap();
            assert_eq!(socket.recv_from(&mut buffer).unwrap(), (payload.len(), far));
            assert_eq!(&buffer[..payload.len()], payload);
        }
        socket.connect(far).unwrap();
        socket.send(b"connected").unwrap();
        assert_eq!(socket.recv(&mut buffer).unwrap(), 9);
    }
    assert_eq!(agent.asked.load(Ordering::SeqCst), 2, "once for each flow");
    datagrams.finish();
}

#[test]
fn a_refusal_reaches_a_connected_socket() {
    let agent = FakeAgent::new("refused", |to| {
        // No answer at all, or one of three errors.
        let errno = [0, libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::ENETUNREACH];
        let errno = errno[usize::from(to.port())];
        (errno != 0).then_some(Reply::Refuse { errno })
    });
    let mut datagrams = agent.datagrams();
    let v4 = [libc::ENETUNREACH, libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::ENETUNREACH];
    let v6 = [libc::EACCES, libc::ECONNREFUSED, libc::EACCES, libc::EACCES];
    for (host, errnos) in [("203.0.113.5", v4), ("[2001:db8::5]", v6)] {
        for port in 1..4u16 {
            let far = address(&format!("{host}:{port}"));
            let socket = socket(&mut datagrams, far);
            socket.connect(far).unwrap();
            for _ in 0..2 {
                socket.send(b"hello").unwrap();
                let error = socket.recv(&mut [0; 9]).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(errnos[usize::from(port)]), "{far}");
            }
        }
    }
    datagrams.finish();
}

#[test]
fn without_an_agent_nothing_is_sent_and_the_program_is_told() {
    let agent = FakeAgent::new("gone", |_| None);
    let mut datagrams = agent.datagrams();
    drop(agent);
    let socket = socket(&mut datagrams, address(FAR[0]));
    socket.connect(FAR[0]).unwrap();
    socket.send(b"hello").unwrap();
    assert_eq!(socket.recv(&mut [0; 9]).unwrap_err().raw_os_error(), Some(libc::ENETUNREACH));
    datagrams.finish();
}

#[test]
fn loopback_is_first_the_programs_own_and_then_this_machines() {
    let agent = FakeAgent::new("loopback", |_| Some(Reply::Direct));
    let mut datagrams = agent.datagrams();
    let mut buffer = [0; 99];
    for host in ["127.0.0.1", "[::1]"] {
        let outside = echo(host);
        let before = agent.asked.load(Ordering::SeqCst);
        let client = socket(&mut datagrams, outside);
        client.send_to(b"to the machine", outside).unwrap();
        assert_eq!(client.recv_from(&mut buffer).unwrap(), (14, outside));
        assert_eq!(agent.asked.load(Ordering::SeqCst), before + 1);

        // The same port, within: a socket of the program's own.
        let within = address(&format!("{host}:{}", outside.port()));
        let server = socket(&mut datagrams, within);
        rustix::net::bind(&server, &within).unwrap();
        let client = socket(&mut datagrams, within);
        rustix::net::bind(&client, &address(&format!("{host}:0"))).unwrap();
        for _ in 0..100 {
            client.send_to(b"hello", within).unwrap();
            let (length, from) = server.recv_from(&mut buffer).unwrap();
            assert_eq!((length, from), (5, client.local_addr().unwrap()));
            server.send_to(b"hello yourself", from).unwrap();
            assert_eq!(client.recv_from(&mut buffer).unwrap(), (14, within));
        }
        assert_eq!(agent.asked.load(Ordering::SeqCst), before + 1, "the pump had no part in it");

        // Once it has gone nobody outside gets what was for it.
        drop(server);
        client.connect(within).unwrap();
        // The supervisor's copy of it goes a little later.
        let is_refused = |_| {
            let received = client.send(b"anybody?").and_then(|_| client.recv(&mut buffer));
            received.unwrap_err().raw_os_error() == Some(libc::ECONNREFUSED)
        };
        assert!((0..5).any(is_refused));
        assert_eq!(agent.asked.load(Ordering::SeqCst), before + 1);
    }
    // Nobody listens outside either.
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    let free = nobody.local_addr().unwrap();
    nobody.connect(free).unwrap();
    let client = socket(&mut datagrams, free);
    client.connect(free).unwrap();
    client.send(b"anybody?").unwrap();
    assert_eq!(client.recv(&mut buffer).unwrap_err().raw_os_error(), Some(libc::ECONNREFUSED));
    datagrams.finish();
}

#[test]
fn what_is_sent_last_still_goes() {
    let far = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = far.local_addr().unwrap();
    let agent = FakeAgent::new("last", move |_| {
        // The way takes its time.
        std::thread::sleep(Duration::from_millis(200));
        Some(Reply::Via { at, ready: true })
    });
    let mut datagrams = agent.datagrams();
    let socket = socket(&mut datagrams, address(FAR[0]));
    for word in [b"one", b"two"] {
        socket.send_to(word, FAR[0]).unwrap();
    }
    drop(socket);
    datagrams.finish();
    far.set_nonblocking(true).unwrap();
    let mut buffer = [0; 9];
    for word in [b"one", b"two"] {
        let length = far.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], word);
    }
}
