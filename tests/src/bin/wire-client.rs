//! What no library of ours would send to the agent: `wire-client SESSION FAULT`. Writes what came
//! back: `closed`, a reply, or `silent`. `wire-client control SOCKET` sends its input to an agent's
//! control socket and writes the answer.

use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use underpass_core::session_env::SessionEnv;
use underpass_core::wire::{Family, MAX_FRAME, Reply, Request, Token};
use underpass_tests::servers::{V4, port};

/// The agent gives up on a silent connection after 5 s.
const LIMIT: Timespec = Timespec { tv_sec: 50, tv_nsec: 0 };

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let session = arguments.next().expect("a session");
    let fault = arguments.next().expect("a fault");
    if session == "control" {
        return control(&fault);
    }
    let client = Client::new(SessionEnv::parse(session.as_bytes()).expect("a session"));
    let answer = client.commit(&fault)?;
    writeln!(io::stdout(), "{answer}")
}

/// The agent may close before it has read everything, or without an answer.
fn control(path: &str) -> io::Result<()> {
    let mut socket = UnixStream::connect(path)?;
    socket.set_read_timeout(Some(Duration::from_secs(50)))?;
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input)?;
    if socket.write_all(&input).is_ok() {
        socket.shutdown(Shutdown::Write)?;
    }
    let _ = io::copy(&mut socket, &mut io::stdout());
    Ok(())
}

struct Client {
    path: Vec<u8>,
    token: Token,
}

impl Client {
    fn new(session: SessionEnv<'_>) -> Self {
        Self { path: session.socket.to_vec(), token: session.token }
    }

    fn connect(&self) -> io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(&self.path[..])?)?;
        Ok(socket)
    }

    fn commit(&self, fault: &str) -> io::Result<String> {
        let request = Request::Connect { address: (V4, port::ECHO).into(), watched: false, held_at: 0 };
        let frame = request.encode(&self.token);
        let frame = frame.as_bytes();
        let program = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        let with = |fd: BorrowedFd<'_>| self.exchange(frame, &[fd]);
        match fault {
            "nothing" => self.answer(&self.connect()?),
            "empty" => self.exchange(&[], &[]),
            "one-byte-each" => {
                let connection = self.connect()?;
                for byte in frame {
                    let _ = send(&connection, &[*byte], &[]);
                }
                self.answer(&connection)
            }
            "too-long" => self.exchange(&[frame, &[0; MAX_FRAME]].concat(), &[program.as_fd()]),
            "huge" => self.exchange(&[0x55; 60_000], &[]),
            "trailing" => self.exchange(&[frame, &[0]].concat(), &[program.as_fd()]),
            "prefixes" => {
                let answers = (1..frame.len()).map(|cut| self.exchange(&frame[..cut], &[program.as_fd()]));
                same(answers.collect::<io::Result<_>>()?)
            }
            "garbage" => {
                let noise = |seed: u64| (0..200u64).map(move |i| (seed.wrapping_mul(i * i + 7) >> 3) as u8);
                let answers =
                    (1..200).map(|seed| self.exchange(&noise(seed * 0x9e37_79b9).collect::<Vec<_>>(), &[]));
                same(answers.collect::<io::Result<_>>()?)
            }
            "garbage-after-a-good-start" => {
                // The kinds that there are are left out: the rest can be good for another one.
                let answers = (0..=255u8)
                    .flat_map(|byte| [(4, byte), (21, byte), (24, byte)])
                    .filter(|(at, byte)| *at != 4 || !(1..=10).contains(byte))
                    .filter_map(|(at, byte)| {
                        let mut bytes = frame.to_vec();
                        let same = std::mem::replace(&mut bytes[at], byte) == byte;
                        (!same).then(|| self.exchange(&bytes, &[]))
                    });
                same(answers.collect::<io::Result<_>>()?)
            }
            // Asks only when it is told to, if the agent still waits for it then.
            "late" => {
                let begun = Instant::now();
                let connection = self.connect()?;
                writeln!(io::stdout(), "connected")?;
                io::stdin().read_line(&mut String::new())?;
                let request = Request::Resolve { name: b"late.test", family: Family::Any };
                let sent = send(&connection, request.encode(&self.token).as_bytes(), &[]);
                match sent {
                    _ if begun.elapsed() > Duration::from_secs(4) => Ok("late".to_owned()),
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok("closed".to_owned()),
                    sent => sent.and_then(|()| self.answer(&connection)),
                }
            }
            "other-version" => {
                let mut bytes = frame.to_vec();
                bytes[3] = bytes[3].wrapping_add(1);
                self.exchange(&bytes, &[program.as_fd()])
            }
            "other-token" => {
                let frame = request.encode(&Token([0; 16]));
                self.exchange(frame.as_bytes(), &[program.as_fd()])
            }
            "other-token-name" => {
                let request = Request::Resolve { name: b"secret.test", family: Family::Any };
                self.exchange(request.encode(&Token([0; 16])).as_bytes(), &[])
            }
            "good-name" => {
                let request = Request::Resolve { name: b"secret.test", family: Family::Any };
                self.exchange(request.encode(&self.token).as_bytes(), &[])
            }
            "no-descriptor" => self.exchange(frame, &[]),
            "two-descriptors" => self.exchange(frame, &[program.as_fd(), program.as_fd()]),
            "many-descriptors" => self.exchange(frame, &[program.as_fd(); 200]),
            "descriptor-for-nothing" => {
                let request = Request::Peer { cookie: 1 };
                self.exchange(request.encode(&self.token).as_bytes(), &[program.as_fd()])
            }
            "convert-alone" => self.exchange(Request::Convert.encode(&self.token).as_bytes(), &[]),
            "a-file" => with(std::fs::File::open("/dev/null")?.as_fd()),
            "a-unix-socket" => with(UnixDatagram::unbound()?.as_fd()),
            "a-datagram-socket" => with(UdpSocket::bind("127.0.0.1:0")?.as_fd()),
            "a-listener" => with(TcpListener::bind("127.0.0.1:0")?.as_fd()),
            "a-connected-socket" => {
                let listener = TcpListener::bind("127.0.0.1:0")?;
                with(TcpStream::connect(listener.local_addr()?)?.as_fd())
            }
            // Answered by nobody: the library does not wait then.
            "held-nowhere" => {
                let request =
                    Request::Connect { address: (V4, port::ECHO).into(), watched: false, held_at: 1 };
                self.exchange(request.encode(&self.token).as_bytes(), &[program.as_fd()])
            }
            "vanish" => {
                for _ in 0..200 {
                    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
                    send(&self.connect()?, frame, &[socket.as_fd()])?;
                }
                Ok("gone".to_owned())
            }
            "crowd" => {
                let crowd = (0..500).map(|_| self.connect()).collect::<io::Result<Vec<_>>>()?;
                std::thread::sleep(Duration::from_millis(200));
                let good = Request::Resolve { name: b"crowd.test", family: Family::Any };
                let served = self.exchange(good.encode(&self.token).as_bytes(), &[])?;
                drop(crowd);
                Ok(if served.starts_with("Resolved") { "served".to_owned() } else { served })
            }
            _ => panic!("unknown fault {fault:?}"),
        }
    }

    fn exchange(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<String> {
        let connection = self.connect()?;
        match send(&connection, bytes, fds) {
            // The agent may have closed already.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok("closed".to_owned()),
            other => other?,
        }
        self.answer(&connection)
    }

    fn answer(&self, connection: &OwnedFd) -> io::Result<String> {
        let mut poll = [PollFd::new(connection, PollFlags::IN)];
        if rustix::event::poll(&mut poll, Some(&LIMIT))? == 0 {
            return Ok("silent".to_owned());
        }
        let mut bytes = [0; MAX_FRAME];
        Ok(match rustix::net::recv(connection, &mut bytes, RecvFlags::empty()) {
            Ok((0, _)) | Err(Errno::CONNRESET) => "closed".to_owned(),
            Ok((length, _)) => match Reply::decode(&bytes[..length]) {
                Ok(reply) => format!("{reply:?}"),
                Err(error) => format!("{error:?}"),
            },
            Err(error) => return Err(error.into()),
        })
    }
}

fn send(connection: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(fds)), "there is room for 253");
    }
    rustix::net::sendmsg(connection, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// One answer where all were the same.
fn same(mut answers: Vec<String>) -> io::Result<String> {
    answers.sort();
    answers.dedup();
    Ok(answers.join(", "))
}
