//! What carries datagrams between the namespace and the agent: a thread beside the supervisor, which answers the program's
//! calls. Where it ends, datagrams are lost, and none leaves.
//!
//! The path of a datagram: a packet comes out of the cable ([`super::cable`]), or passes by on loopback where no socket
//! takes it ([`super::takers`]); it belongs to a flow ([`super::flow`]), for which the agent is asked once
//! ([`super::question`]); it is sent to what the agent has answered. What comes from there is put into the cable or onto
//! loopback, as a packet from the destination.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use libc::{AF_INET, AF_INET6, AF_PACKET, IPPROTO_RAW, SOCK_RAW, SOL_SOCKET};
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use underpass_core::destination::DNS_PORT;

use super::cable::{self, Own, V0_ADDRESS, V1_ADDRESS};
use super::flow::{Flow, State};
use super::flows::Flows;
use super::makers::{Makers, Sender};
use super::namespace::Namespace;
use super::ours::Ours;
use super::packet::{self, Ends};
use super::question::{self, Way};
use super::system;
use super::takers::Takers;
use crate::guard::link::Session;

/// The head of a packet at a card: two addresses, and what is in it.
const LINK: usize = 14;
/// Longer than any packet with its head.
const BUFFER: usize = LINK + 65_536;
/// Packets that wait for the pump, in bytes as the kernel counts them.
const WAITING: i32 = 4 << 20;
/// Packets of one place that are taken before others have their turn.
const TURN: usize = 64;
/// How often flows are looked through, as long as there are any.
const INTERVAL: Duration = Duration::from_secs(1);

/// What the kernel tells of; from [`FLOWS`] on two things of each flow.
const CABLE: u64 = 0;
const LOOPBACK: u64 = 1;
const END: u64 = 2;
const FLOWS: u64 = 3;
const SOCKET: u64 = 0;
const ANSWER: u64 = 1;

/// Whose loopback a datagram is for that nobody in the namespace takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loopback {
    /// The machine's.
    Ours,
    /// That of the namespace, but for the port of names.
    Theirs,
}

pub(super) struct Pump {
    epoll: OwnedFd,
    cable: OwnedFd,
    loopback: OwnedFd,
    /// By which packets are put onto loopback.
    onto_loopback: [Option<OwnedFd>; 2],
    own: Own,
    of_loopback: Loopback,
    takers: Takers,
    makers: Makers,
    session: Session,
    flows: Flows,
    ours: Ours,
    /// How many datagrams have passed by on loopback.
    passed: u64,
    /// The packet that is being made.
    packet: Vec<u8>,
    swept: Instant,
    ends: bool,
}

impl Pump {
    /// One that ends once `end` is readable, and what waits for the agent then has been sent.
    pub(super) fn new(
        namespace: &Namespace,
        session: Session,
        makers: Makers,
        end: &OwnedFd,
        of_loopback: Loopback,
    ) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let at_card = |index, data| {
            // Without a protocol nothing comes before it is bound; to bind one that has had any takes the kernel 9 ms.
            let socket = namespace.socket(AF_PACKET, SOCK_RAW, 0)?;
            system::take_datagrams_alone(&socket)?;
            system::bind_to_card(&socket, index)?;
            // Only root may have more than the system allows everybody.
            let _ = system::set(&socket, SOL_SOCKET, libc::SO_RCVBUFFORCE, WAITING)
                .or_else(|_| system::set(&socket, SOL_SOCKET, libc::SO_RCVBUF, WAITING));
            epoll::add(&epoll, &socket, EventData::new_u64(data), EventFlags::IN)?;
            io::Result::Ok(socket)
        };
        epoll::add(&epoll, end, EventData::new_u64(END), EventFlags::IN | EventFlags::ONESHOT)?;
        let raw = |family| namespace.socket(family, SOCK_RAW, IPPROTO_RAW);
        Ok(Self {
            cable: at_card(cable::V1, CABLE)?,
            loopback: at_card(cable::LOOPBACK, LOOPBACK)?,
            onto_loopback: [Some(raw(AF_INET)?), raw(AF_INET6).ok()],
            own: namespace.own,
            of_loopback,
            takers: Takers::new(namespace)?,
            makers,
            session,
            flows: Flows::new(),
            ours: Ours::default(),
            passed: 0,
            packet: Vec::with_capacity(BUFFER),
            swept: Instant::now(),
            ends: false,
            epoll,
        })
    }

    /// Carries until the end.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        let mut events = Vec::with_capacity(64);
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        while !self.ends || self.flows.ask() {
            events.clear();
            let patience = (!self.flows.is_empty()).then_some(&second);
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), patience) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.data.u64() {
                    CABLE => self.take_from_cable(&mut buffer, TURN),
                    LOOPBACK => self.take_from_loopback(&mut buffer, TURN),
                    END => self.end(&mut buffer),
                    flow => match ((flow - FLOWS) / 2, (flow - FLOWS) % 2) {
                        (number, ANSWER) => self.answered(number),
                        (number, _) => self.bring(number, &mut buffer),
                    },
                }
            }
            self.sweep();
        }
        Ok(())
    }

    /// The program has ended; what it has sent is taken, and waits at most for the agent.
    fn end(&mut self, buffer: &mut [u8]) {
        self.take_from_cable(buffer, usize::MAX);
        self.take_from_loopback(buffer, usize::MAX);
        self.ends = true;
    }

    /// Takes what has come by the cable.
    fn take_from_cable(&mut self, buffer: &mut [u8], turn: usize) {
        for _ in 0..turn {
            let Some(length) = next(&self.cable, buffer) else { return };
            if let Some((ends, payload)) = packet::read(&buffer[LINK..length]) {
                self.carry(ends, payload);
            }
        }
    }

    /// Takes what has passed by on loopback, and nobody there takes. Whether it was taken is seen late: the socket may
    /// be closed by now. But if an address that it was for has said something since, it has been taken.
    fn take_from_loopback(&mut self, buffer: &mut [u8], turn: usize) {
        let now = Instant::now();
        let mut untaken = Vec::new();
        for _ in 0..turn {
            let Some(length) = next(&self.loopback, buffer) else { break };
            let Some((ends, payload)) = packet::read(&buffer[LINK..length]) else { continue };
            // What we have put there ourselves.
            if self.flows.find(ends.back()).is_some() {
                continue;
            }
            self.passed += 1;
            self.ours.saw(ends.from, self.passed, now);
            if self.takers.take(ends) {
                self.ours.saw(ends.to, self.passed, now);
            } else {
                untaken.push((self.passed, ends, Box::<[u8]>::from(payload)));
            }
        }
        for (datagram, ends, payload) in untaken {
            match self.ours.last(ends.to, now) {
                Some(last) if last > datagram => {}
                // It was there, and has gone.
                Some(_) => self.refuse(ends, Errno::CONNREFUSED),
                None if self.of_loopback == Loopback::Theirs && ends.to.port() != DNS_PORT => {
                    self.refuse(ends, Errno::CONNREFUSED);
                }
                None => self.carry(ends, &payload),
            }
        }
    }

    /// Sends a datagram of the program's.
    fn carry(&mut self, ends: Ends, payload: &[u8]) {
        let now = Instant::now();
        let number = match self.flows.find(ends) {
            Some(number) => number,
            None => match self.open(ends, now) {
                Ok(number) => number,
                Err(_) => return self.refuse(ends, Errno::NETUNREACH),
            },
        };
        if let Some(flow) = self.flows.get(number)
            && let Err(error) = flow.send(payload, now)
        {
            self.give_up(number, error);
        }
    }

    /// A new flow, for which the agent is asked.
    fn open(&mut self, ends: Ends, now: Instant) -> Result<u64, Errno> {
        let socket = Flow::open(ends.to)?;
        let taker = self.takers.taker(ends.back());
        let sender = taker.map_or_else(|_| Sender::default(), |taker| self.makers.of(taker));
        let link = question::ask(&self.session, &socket, ends.to, &sender)?;
        let state = State::Asking { link, waiting: Vec::new() };
        let number = self.flows.add(Flow { ends, socket, state, used: now });
        if let Some(Flow { state: State::Asking { link, .. }, .. }) = self.flows.get(number)
            && let Err(error) = epoll::add(&self.epoll, &*link, data(number, ANSWER), EventFlags::IN)
        {
            self.flows.remove(number);
            return Err(error);
        }
        Ok(number)
    }

    /// The agent has answered.
    fn answered(&mut self, number: u64) {
        let Some(flow) = self.flows.get(number) else { return };
        let State::Asking { link, .. } = &flow.state else { return };
        let now = Instant::now();
        let begun = match question::answer(link) {
            Way::Via(at) => flow.begin(at, now),
            Way::Direct => flow.begin(flow.ends.to, now),
            Way::Refused(error) => Err(error),
        };
        let watched =
            begun.and_then(|()| epoll::add(&self.epoll, &flow.socket, data(number, SOCKET), EventFlags::IN));
        if let Err(error) = watched {
            self.give_up(number, error);
        }
    }

    /// Brings the program what has come for it.
    fn bring(&mut self, number: u64, buffer: &mut [u8]) {
        for _ in 0..TURN {
            let Some(flow) = self.flows.get(number) else { return };
            match flow.receive(buffer) {
                Ok(Some(length)) => {
                    flow.used = Instant::now();
                    let ends = flow.ends.back();
                    self.put(ends, |packet| packet::datagram(ends, &buffer[..length], packet));
                }
                Ok(None) => return,
                Err(error) => return self.give_up(number, error),
            }
        }
    }

    /// Ends a flow, and says why. The next datagram begins another, for which the agent is asked again.
    fn give_up(&mut self, number: u64, error: Errno) {
        if let Some(flow) = self.flows.remove(number) {
            self.refuse(flow.ends, error);
        }
    }

    /// Tells the program why a datagram does not arrive.
    fn refuse(&mut self, ends: Ends, error: Errno) {
        self.put(ends.back(), |packet| packet::refusal(ends, error.raw_os_error(), packet));
    }

    /// Puts a packet with these ends where the program takes it.
    fn put(&mut self, ends: Ends, make: impl FnOnce(&mut Vec<u8>) -> bool) {
        let on_loopback = self.own.is_within(ends.from.ip());
        self.packet.clear();
        if !on_loopback {
            self.packet.extend_from_slice(&V0_ADDRESS);
            self.packet.extend_from_slice(&V1_ADDRESS);
            let kind = if ends.to.is_ipv4() { libc::ETH_P_IP } else { libc::ETH_P_IPV6 };
            self.packet.extend_from_slice(&(kind as u16).to_be_bytes());
        }
        if !make(&mut self.packet) {
            return;
        }
        // What has no room is lost, as on a network.
        if !on_loopback {
            let _ = rustix::net::send(&self.cable, &self.packet, SendFlags::DONTWAIT);
        } else if let Some(socket) = &self.onto_loopback[usize::from(ends.to.is_ipv6())] {
            let to = SocketAddr::new(ends.to.ip(), 0);
            let _ = rustix::net::sendto(socket, &self.packet, SendFlags::DONTWAIT, &to);
        }
    }

    fn sweep(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.swept) >= INTERVAL {
            self.swept = now;
            self.flows.sweep(now, |ends| !self.takers.take(ends.back()));
        }
    }
}

/// By what the kernel tells of something of a flow.
fn data(number: u64, what: u64) -> EventData {
    EventData::new_u64(FLOWS + 2 * number + what)
}

/// The next packet with its head; its length.
fn next(socket: &OwnedFd, buffer: &mut [u8]) -> Option<usize> {
    loop {
        match rustix::net::recv(socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((length, _)) if length >= LINK => return Some(length),
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}
