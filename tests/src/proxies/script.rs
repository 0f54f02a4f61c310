//! A proxy of any protocol that follows a script, byte by byte: what faults are made of.
//!
//! `src/bin/fake-script.rs` is its other half.

use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;

use crate::{Running, World, artifacts};

/// What requests look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// SOCKS4, and 4a.
    Socks4,
    /// RFC 1928.
    Socks5,
    /// `CONNECT`.
    Http,
}

/// One thing that a scripted proxy does with a connection. After the last one it closes. What follows
/// [`Self::NextTime`] is for later connections, and for all of them if it does not stand there again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reads a SOCKS5 greeting.
    Greeting,
    /// Reads a user name and password (RFC 1929).
    Login,
    /// Reads a request and notes it.
    Request,
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends them one at a time.
    Slowly(Vec<u8>),
    /// Sends them without end.
    Flood(Vec<u8>),
    /// Connects to what was requested.
    Connect,
    /// Sends them and the first bytes of the destination in one segment.
    Coalesced(Vec<u8>),
    /// Passes the first bytes of the destination on, and waits for the first of the client.
    PassSome,
    /// Carries both directions to their ends.
    Relay,
    /// Reads to the client's end and says nothing.
    Hold,
    /// Resets the connection.
    Reset,
    /// Parts the script of one connection from that of the next.
    NextTime,
}

use Step::*;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, bytes) = match self {
            Greeting => return f.write_str("greeting"),
            Login => return f.write_str("login"),
            Request => return f.write_str("request"),
            Connect => return f.write_str("connect"),
            PassSome => return f.write_str("pass-some"),
            Relay => return f.write_str("relay"),
            Hold => return f.write_str("hold"),
            Reset => return f.write_str("reset"),
            NextTime => return f.write_str("next-time"),
            Send(bytes) => ("send", bytes),
            Slowly(bytes) => ("slowly", bytes),
            Flood(bytes) => ("flood", bytes),
            Coalesced(bytes) => ("coalesced", bytes),
        };
        write!(f, "{word}=")?;
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("unknown step {text:?}");
        let (word, hex) = text.split_once('=').unwrap_or((text, ""));
        let byte =
            |at: usize| u8::from_str_radix(hex.get(at..at + 2).unwrap_or(""), 16).map_err(|_| unknown());
        let bytes = (0..hex.len()).step_by(2).map(byte).collect::<Result<Vec<u8>, String>>()?;
        Ok(match word {
            "greeting" => Greeting,
            "login" => Login,
            "request" => Request,
            "connect" => Connect,
            "pass-some" => PassSome,
            "relay" => Relay,
            "hold" => Hold,
            "reset" => Reset,
            "next-time" => NextTime,
            "send" => Send(bytes),
            "slowly" => Slowly(bytes),
            "flood" => Flood(bytes),
            "coalesced" => Coalesced(bytes),
            _ => return Err(unknown()),
        })
    }
}

/// One process with any number of scripted proxies, each on a port of its own.
pub struct Scripted {
    process: Mutex<(Running, Vec<String>)>,
}

/// Starts it.
pub fn start(world: &World) -> Scripted {
    let mut process = world.far(artifacts::helper("fake-script")).limit(Duration::MAX).spawn();
    assert_eq!(process.next_line(), "ready");
    Scripted { process: Mutex::new((process, Vec::new())) }
}

impl Scripted {
    /// Listens on a port, on all addresses. [`World::allow_proxy`] opens it to the client side.
    pub fn listen(&self, port: u16, protocol: Protocol, steps: &[Step]) {
        let protocol = match protocol {
            Protocol::Socks4 => "socks4",
            Protocol::Socks5 => "socks5",
            Protocol::Http => "http",
        };
        let steps: String = steps.iter().map(|step| format!(" {step}")).collect();
        self.command(&format!("listen {port} {protocol}{steps}"));
    }

    /// The requests so far that came to a port, in their order: `HOST:PORT`.
    pub fn requests(&self, port: u16) -> Vec<String> {
        self.command("sync");
        let start = format!("{port} ");
        let (_, notes) = &*self.lock();
        notes.iter().filter_map(|note| note.strip_prefix(&start).map(String::from)).collect()
    }

    fn command(&self, command: &str) {
        let (process, notes) = &mut *self.lock();
        process.say(command);
        loop {
            let line = process.next_line();
            match line.strip_prefix("request ") {
                Some(note) => notes.push(note.to_owned()),
                None if line == "ok" => return,
                None => panic!("the scripted proxy says {line:?} to {command:?}"),
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Running, Vec<String>)> {
        self.process.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_survive_the_round_trip() {
        let all = [
            Greeting,
            Login,
            Request,
            Connect,
            PassSome,
            Relay,
            Hold,
            Reset,
            NextTime,
            Send(vec![0, 0x7f, 0xff]),
            Slowly(b"a b\r\n".to_vec()),
            Flood(vec![1]),
            Coalesced(Vec::new()),
        ];
        for step in all {
            assert_eq!(step.to_string().parse(), Ok(step));
        }
    }
}
