//! A SOCKS5 proxy of datagrams alone, for faults: `fake-relay PORT`.
//!
//! Reads commands, answers each with `ok`, and writes a note of what happens.
//! `underpass_tests::proxies::datagrams` drives it.
//!
//! | command | means |
//! | --- | --- |
//! | `hold` | requests for associations are not answered |
//! | `answer CODE` | they are, with this code; at first with 0 |
//! | `sync` | nothing |
//!
//! | note | says |
//! | --- | --- |
//! | `associated` | an association was made |
//! | `for HOST:PORT WORD` | a datagram has come |
//!
//! Nothing goes further: what comes to a relay is sent back, from whatever it was for. A datagram may ask for
//! something else: `from ADDRESS …` is answered from there, `fragment …` with the first of several fragments,
//! and then whole.

use std::io::{self, BufRead, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use underpass_tests::listening::{self, say, take, take_vec};

/// Where its relays are: where the world lets those of Dante be.
const RELAYS: std::ops::Range<u16> = 41_000..41_999;

/// The code of the next answer; none while they are held.
type Gate = Arc<(Mutex<Option<u8>>, Condvar)>;

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("a port");
    let gate = Gate::new((Mutex::new(Some(0)), Condvar::new()));
    let served = Arc::clone(&gate);
    let listener = listening::listen(port)?;
    listening::serve(listener, move || {
        let gate = Arc::clone(&served);
        move |client| serve(client, &gate)
    });
    say("ready");
    for line in io::stdin().lock().lines() {
        let code = match line?.split(' ').collect::<Vec<_>>()[..] {
            ["hold"] => Some(None),
            ["answer", code] => Some(Some(code.parse().expect("a code"))),
            _ => None,
        };
        if let Some(code) = code {
            *gate.0.lock().expect("no holder panics") = code;
            gate.1.notify_all();
        }
        say("ok");
    }
    Ok(())
}

fn serve(mut client: TcpStream, gate: &Gate) -> io::Result<()> {
    let [_, count] = take(&mut client)?;
    take_vec(&mut client, count)?;
    client.write_all(&[5, 0])?;
    let [_, command, _, _] = take(&mut client)?;
    let _: [u8; 6] = take(&mut client)?;
    let closed = gate.1.wait_while(gate.0.lock().expect("no holder panics"), |code| code.is_none());
    let code = if command == 3 { closed.expect("no holder panics").unwrap_or(1) } else { 7 };
    if code != 0 {
        return client.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]);
    }
    let IpAddr::V4(own) = client.local_addr()?.ip().to_canonical() else { return Ok(()) };
    let taken = || io::Error::from(io::ErrorKind::AddrInUse);
    let relay = RELAYS.clone().find_map(|port| UdpSocket::bind((own, port)).ok()).ok_or_else(taken)?;
    say("associated");
    let port = relay.local_addr()?.port();
    thread::spawn(move || answer(&relay));
    client.write_all(&[&[5, 0, 0, 1][..], &own.octets(), &port.to_be_bytes()].concat())?;
    io::copy(&mut client, &mut io::sink()).map(drop)
}

fn answer(relay: &UdpSocket) -> io::Result<()> {
    let mut buffer = [0; 65536];
    loop {
        let Ok((length, client)) = relay.recv_from(&mut buffer) else { continue };
        let (header, host, word) = parts(&buffer[..length]);
        say(&format!("for {host} {}", String::from_utf8_lossy(word)));
        let text = std::str::from_utf8(word).unwrap_or("");
        let mut answers = Vec::new();
        if let Some(from) = text.strip_prefix("from ") {
            let from: SocketAddr = from.split(' ').next().and_then(|a| a.parse().ok()).expect("an address");
            answers.push([&head(from), word].concat());
        } else {
            if text.starts_with("fragment") {
                answers.push([&[0, 0, 1], &header[3..], b"in pieces"].concat());
            }
            answers.push([header, word].concat());
        }
        for answer in answers {
            relay.send_to(&answer, client)?;
        }
    }
}

/// The header of a datagram, for whom it is, and what it says.
fn parts(datagram: &[u8]) -> (&[u8], String, &[u8]) {
    let size = match datagram[3] {
        1 => 4,
        4 => 16,
        _ => 1 + usize::from(datagram[4]),
    };
    let (header, word) = datagram.split_at(4 + size + 2);
    let port = u16::from_be_bytes([header[4 + size], header[5 + size]]);
    let host = &header[4..4 + size];
    let host = match datagram[3] {
        1 => Ipv4Addr::from(<[u8; 4]>::try_from(host).expect("four")).to_string(),
        4 => format!("[{}]", Ipv6Addr::from(<[u8; 16]>::try_from(host).expect("sixteen"))),
        _ => String::from_utf8_lossy(&host[1..]).into_owned(),
    };
    (header, format!("{host}:{port}"), word)
}

fn head(from: SocketAddr) -> Vec<u8> {
    let mut head = vec![0, 0, 0];
    match from.ip() {
        IpAddr::V4(ip) => head.extend([&[1][..], &ip.octets()].concat()),
        IpAddr::V6(ip) => head.extend([&[4][..], &ip.octets()].concat()),
    }
    head.extend(from.port().to_be_bytes());
    head
}
