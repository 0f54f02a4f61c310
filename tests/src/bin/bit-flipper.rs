//! A middle box that changes one bit of each connection. PORT TARGET
//!
//! Its input says which one: `forth OFFSET BIT`, `back OFFSET BIT`, or `none`, for all connections that begin from
//! now on; those that are there are cut first. It answers with `ok`. To `count` it answers with the bytes that the
//! newest connection has carried forth and back, how many bits have been changed since the last order, and how many
//! of these were nothing to TLS 1.3: of a record's version, which receivers ignore (RFC 8446 section 5.1), or of its
//! outer type, which is always the same where there is a secret (section 5.2); rustls takes it for what it must be.

use std::io::{self, BufRead, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::net::sockopt::set_socket_linger;
use underpass_tests::listening;

/// The bit of a direction, forth or back: which byte and what is changed in it.
type Change = Option<(usize, u64, u8)>;

#[derive(Default)]
struct State {
    change: Change,
    carried: Arc<[AtomicU64; 2]>,
    /// All, and those that TLS ignores.
    changed: Arc<[AtomicU64; 2]>,
    there: Vec<TcpStream>,
}

/// Where the records of a direction begin.
#[derive(Default)]
struct Records {
    header: Vec<u8>,
    /// What is to come of the record.
    left: usize,
}

impl Records {
    /// Takes a byte, as it was before it was changed. Whether it is an outer type or part of a version.
    fn says_nothing(&mut self, byte: u8) -> bool {
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        self.header.push(byte);
        let length = self.header.len();
        if let [_, _, _, high, low] = self.header[..] {
            self.left = usize::from(u16::from_be_bytes([high, low]));
            self.header.clear();
        }
        // 23 is the type of what is encrypted.
        matches!(length, 2 | 3) || length == 1 && byte == 23
    }
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, target] = arguments.as_slice() else { return Err(io::Error::other("PORT TARGET")) };
    let port = port.parse().map_err(io::Error::other)?;
    let state = Arc::new(Mutex::new(State::default()));
    let (target, shared) = (target.clone(), Arc::clone(&state));
    listening::serve(listening::listen(port)?, move || {
        let (target, state) = (target.clone(), Arc::clone(&shared));
        move |client| carry(client, TcpStream::connect(&*target)?, &state)
    });
    listening::say("ready");
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let words: Vec<&str> = line.split(' ').collect();
        state.change = match words[..] {
            ["count"] => {
                let [forth, back] = [0, 1].map(|way| state.carried[way].load(SeqCst));
                let [changed, ignored] = [0, 1].map(|which| state.changed[which].load(SeqCst));
                listening::say(&format!("{forth} {back} {changed} {ignored}"));
                continue;
            }
            ["none"] => None,
            [way, offset, bit] => {
                let offset = offset.parse().map_err(io::Error::other)?;
                let bit: u8 = bit.parse().map_err(io::Error::other)?;
                Some((usize::from(way == "back"), offset, 1 << bit))
            }
            _ => return Err(io::Error::other(line)),
        };
        for stream in state.there.drain(..) {
            let _ = set_socket_linger(&stream, Some(std::time::Duration::ZERO));
            let _ = stream.shutdown(Shutdown::Both);
        }
        state.changed = Arc::default();
        listening::say("ok");
    }
    Ok(())
}

fn carry(client: TcpStream, relay: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    relay.set_nodelay(true)?;
    let (change, carried, changed) = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.carried = Arc::default();
        state.there.extend([client.try_clone()?, relay.try_clone()?]);
        (state.change, Arc::clone(&state.carried), Arc::clone(&state.changed))
    };
    let ends = [(client.try_clone()?, relay.try_clone()?), (relay, client)];
    let ways = ends.into_iter().enumerate().map(|(way, (from, to))| {
        let (carried, changed) = (Arc::clone(&carried), Arc::clone(&changed));
        let change = change.filter(|change| change.0 == way).map(|(_, offset, bit)| (offset, bit));
        thread::spawn(move || one_way(from, to, change, &carried[way], &changed))
    });
    for way in ways.collect::<Vec<_>>() {
        let _ = way.join();
    }
    Ok(())
}

/// Ends and cuts are passed on as what they are.
fn one_way(
    mut from: TcpStream,
    mut to: TcpStream,
    change: Option<(u64, u8)>,
    carried: &AtomicU64,
    changed: &[AtomicU64; 2],
) {
    let mut records = Records::default();
    let mut buffer = vec![0; 65536];
    loop {
        let ended = match from.read(&mut buffer) {
            Ok(0) => return drop(to.shutdown(Shutdown::Write)),
            Ok(length) => {
                let before = carried.fetch_add(length as u64, SeqCst);
                if let Some((offset, bit)) = change {
                    for (byte, at) in buffer[..length].iter_mut().zip(before..) {
                        let says_nothing = records.says_nothing(*byte);
                        if at == offset {
                            *byte ^= bit;
                            changed[0].fetch_add(1, SeqCst);
                            changed[1].fetch_add(u64::from(says_nothing), SeqCst);
                        }
                    }
                }
                to.write_all(&buffer[..length])
            }
            Err(error) => Err(error),
        };
        if ended.is_err() {
            for stream in [&from, &to] {
                let _ = set_socket_linger(stream, Some(std::time::Duration::ZERO));
                let _ = stream.shutdown(Shutdown::Both);
            }
            return;
        }
    }
}
