//! A SOCKS5 proxy (RFC 1928, 1929) that can be told to misbehave: `fake-socks5 PORT [USER PASSWORD]`.
//!
//! Reads commands (`default BEHAVIOUR`, `on PORT BEHAVIOUR`, `sync`), answers each with `ok`, and
//! writes `connect KIND HOST PORT` for each request. `underpass_tests::proxies::Fake` drives it.

use std::collections::HashMap;
use std::io::{self, BufRead, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use underpass_tests::behaviour::Behaviour::{self, *};
use underpass_tests::listening::{self, say, take, take_vec};
use underpass_tests::servers::{V4, V6};

/// How long a dial may take before the reply is 6, time to live expired.
const DIAL_LIMIT: Duration = Duration::from_secs(2);
/// What requests for the slow ports wait unless told otherwise.
const SLOW: Duration = Duration::from_secs(1);
/// And those for the late ones.
const LATE: Duration = Duration::from_secs(2);
/// A bound address that no test uses for anything else.
const BOUND: [u8; 7] = [1, 192, 0, 2, 1, 0x12, 0x34];

#[derive(Default)]
struct Orders {
    default: Option<Behaviour>,
    ports: HashMap<u16, Behaviour>,
}

struct Proxy {
    orders: Mutex<Orders>,
    credentials: Option<(Vec<u8>, Vec<u8>)>,
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().and_then(|port| port.parse().ok()).expect("a port");
    let credentials = arguments.next().zip(arguments.next());
    let credentials = credentials.map(|(user, password)| (user.into_bytes(), password.into_bytes()));
    let proxy = Arc::new(Proxy { orders: Mutex::default(), credentials });
    let (listener, served) = (listening::listen(port)?, Arc::clone(&proxy));
    say("ready");
    listening::serve(listener, move || {
        let proxy = Arc::clone(&served);
        move |client| proxy.serve(client)
    });
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut orders = proxy.orders.lock().expect("no holder panics");
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["default", behaviour] => orders.default = Some(behaviour.parse().expect("a behaviour")),
            ["on", port, behaviour] => {
                let port = port.parse().expect("a port");
                orders.ports.insert(port, behaviour.parse().expect("a behaviour"));
            }
            ["sync"] => {}
            _ => panic!("unknown command {line:?}"),
        }
        say("ok");
    }
    Ok(())
}

impl Proxy {
    fn default(&self) -> Behaviour {
        self.orders.lock().expect("no holder panics").default.unwrap_or(Normal)
    }

    fn for_port(&self, port: u16) -> Behaviour {
        let orders = self.orders.lock().expect("no holder panics");
        match (orders.ports.get(&port), orders.default) {
            (Some(behaviour), _) => *behaviour,
            (None, None | Some(Normal)) if (8000..9000).contains(&port) => Delay(SLOW),
            (None, None | Some(Normal)) if (9000..10_000).contains(&port) => Delay(LATE),
            (None, default) => default.unwrap_or(Normal),
        }
    }

    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let behaviour = self.default();
        match behaviour {
            Silent => return drain(&mut client),
            AcceptClose => return Ok(()),
            AcceptReset => return reset(&client),
            _ => {}
        }
        let [version, count] = take(&mut client)?;
        let mut methods = vec![0; usize::from(count)];
        client.read_exact(&mut methods)?;
        let method = if self.credentials.is_some() { 2 } else { 0 };
        match behaviour {
            Garbage => {
                client.write_all(b"HTTP/1.0 400 this is no SOCKS proxy\r\n\r\n")?;
                return drain(&mut client);
            }
            Flood => loop {
                client.write_all(&[0x41; 65536])?;
            },
            BadMethod => return answer_and_hold(&mut client, &[5, 0x7b]),
            MethodLie => return answer_and_hold(&mut client, &[5, 2]),
            NoMethod => return client.write_all(&[5, 0xff]),
            Version4 => return answer_and_hold(&mut client, &[4, 0]),
            _ if version != 5 || !methods.contains(&method) => return client.write_all(&[5, 0xff]),
            Bytewise => slowly(&mut client, &[5, method])?,
            _ => client.write_all(&[5, method])?,
        }
        if let Some((user, password)) = &self.credentials {
            let [_, length] = take(&mut client)?;
            let given_user = take_vec(&mut client, length)?;
            let [length] = take(&mut client)?;
            let good = given_user == *user && take_vec(&mut client, length)? == *password;
            client.write_all(&[1, u8::from(!good)])?;
            if !good {
                return Ok(());
            }
        }
        match behaviour {
            CloseAfterMethod => Ok(()),
            ResetAfterMethod => reset(&client),
            _ => self.request(client),
        }
    }

    fn request(&self, mut client: TcpStream) -> io::Result<()> {
        let [version, command, _, kind] = take(&mut client)?;
        let host = match kind {
            1 => Host::Ip(take::<4>(&mut client)?.into()),
            4 => Host::Ip(take::<16>(&mut client)?.into()),
            3 => {
                let [length] = take(&mut client)?;
                Host::Name(String::from_utf8_lossy(&take_vec(&mut client, length)?).into_owned())
            }
            _ => return client.write_all(&reply(8)),
        };
        let port = u16::from_be_bytes(take(&mut client)?);
        say(&format!("connect {host} {port}"));
        if version != 5 || command != 1 {
            return client.write_all(&reply(7));
        }
        let behaviour = self.for_port(port);
        match behaviour {
            Delay(time) => thread::sleep(time),
            Reply(code) => return client.write_all(&reply(code)),
            SilentReply => return drain(&mut client),
            BadAddressType => return answer_and_hold(&mut client, &[5, 0, 0, 0x7f, 0, 0, 0, 0, 0, 0]),
            ReplyVersion4 => return answer_and_hold(&mut client, &[&[4, 0, 0], &BOUND[..]].concat()),
            CloseAfter(bytes) => return client.write_all(&reply(0)[..usize::from(bytes).min(10)]),
            ResetAfter(bytes) => {
                client.write_all(&reply(0)[..usize::from(bytes).min(10)])?;
                // Else the reset may overtake the bytes.
                thread::sleep(Duration::from_millis(30));
                return reset(&client);
            }
            _ => {}
        }
        let mut far = match host.dial(port) {
            Ok(far) => far,
            Err(code) => return client.write_all(&reply(code)),
        };
        far.set_nodelay(true)?;
        match behaviour {
            Bytewise => slowly(&mut client, &reply(0))?,
            Coalesced => {
                let mut first = vec![0; 4096];
                let length = far.read(&mut first)?;
                client.write_all(&[&reply(0), &first[..length]].concat())?;
            }
            BoundV6 => client.write_all(&[&[5, 0, 0, 4][..], &[0x26; 16], &[1, 2]].concat())?,
            BoundName => client.write_all(&[&[5, 0, 0, 3, 255][..], &[b'b'; 255], &[1, 2]].concat())?,
            BoundEmptyName => client.write_all(&[5, 0, 0, 3, 0, 1, 2])?,
            ResetMidStream => {
                client.write_all(&reply(0))?;
                let mut first = vec![0; 4096];
                let length = far.read(&mut first)?;
                client.write_all(&first[..length])?;
                while self.for_port(port) == ResetMidStream {
                    thread::sleep(Duration::from_millis(5));
                }
                return reset(&client);
            }
            _ => client.write_all(&reply(0))?,
        }
        relay(client, far)
    }
}

enum Host {
    Ip(IpAddr),
    Name(String),
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(ip @ IpAddr::V4(_)) => write!(f, "ipv4 {ip}"),
            Self::Ip(ip @ IpAddr::V6(_)) => write!(f, "ipv6 {ip}"),
            Self::Name(name) => write!(f, "name {name}"),
        }
    }
}

impl Host {
    /// Connects, or says which reply it is to be.
    fn dial(&self, port: u16) -> Result<TcpStream, u8> {
        let ip = match self {
            Self::Ip(ip) => *ip,
            Self::Name(name) => match name.as_str() {
                "v6.test" => V6,
                name if name.starts_with("missing") => return Err(4),
                name if name.ends_with(".test") => V4,
                name => name
                    .parse::<Ipv4Addr>()
                    .map(IpAddr::V4)
                    .or(name.parse::<Ipv6Addr>().map(IpAddr::V6))
                    .map_err(|_| 4u8)?,
            },
        };
        TcpStream::connect_timeout(&SocketAddr::new(ip, port), DIAL_LIMIT).map_err(|error| {
            match error.kind() {
                io::ErrorKind::ConnectionRefused => 5,
                io::ErrorKind::HostUnreachable => 4,
                io::ErrorKind::NetworkUnreachable => 3,
                io::ErrorKind::TimedOut => 6,
                _ => 1,
            }
        })
    }
}

/// Both directions until both have ended; a reset of either side resets the other.
fn relay(client: TcpStream, far: TcpStream) -> io::Result<()> {
    let (client_too, far_too) = (client.try_clone()?, far.try_clone()?);
    let up = thread::spawn(move || pass(&client_too, &far_too));
    pass(&far, &client);
    let _ = up.join();
    Ok(())
}

fn pass(mut from: &TcpStream, mut to: &TcpStream) {
    if io::copy(&mut from, &mut to).is_ok() {
        let _ = to.shutdown(Shutdown::Write);
        return;
    }
    for side in [from, to] {
        let _ = set_socket_linger(side, Some(Duration::ZERO));
        // Wakes the other thread; the close that then follows is the reset.
        let _ = side.shutdown(Shutdown::Read);
    }
}

fn reply(code: u8) -> Vec<u8> {
    [&[5, code, 0], &BOUND[..]].concat()
}

/// Closing with SO_LINGER 0 is a reset.
fn reset(client: &TcpStream) -> io::Result<()> {
    Ok(set_socket_linger(client, Some(Duration::ZERO))?)
}

/// Sends, and then leaves it to the client to end: a close would end what only a deadline ends else.
fn answer_and_hold(client: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    client.write_all(bytes)?;
    drain(client)
}

fn drain(client: &mut TcpStream) -> io::Result<()> {
    io::copy(client, &mut io::sink()).map(drop)
}

fn slowly(client: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    for byte in bytes {
        client.write_all(&[*byte])?;
        thread::sleep(Duration::from_millis(3));
    }
    Ok(())
}
