//! The loop of the supervisor: one thread that waits for calls, for the agent's answers, and for its children.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use underpass_core::wire::MAX_FRAME;

use super::connect::{self, Connecting};
use super::datagram::Datagrams;
use super::datagram::namespace::Namespace;
use super::kernel::Listener;
use super::life::Family;
use super::link::{Link, Session};
use super::notification::{Answer, Notification};
use super::sealed::{self, Seal, Sealed};
use super::socket;
use super::truth::{self, Asking};

/// What the events are about; greater numbers are calls that wait.
const CALLS: u64 = 0;
const FRONT: u64 = 1;
const CHILDREN: u64 = 2;
const FIRST: u64 = 16;

/// A call that waits for the agent.
struct Waiting {
    call: Notification,
    link: Link,
    what: What,
}

enum What {
    Connect(Connecting),
    Truth(Asking),
}

pub(crate) struct Supervisor {
    listener: Arc<Listener>,
    session: Session,
    datagrams: Datagrams,
    sealed: Option<Sealed>,
    events: OwnedFd,
    waiting: HashMap<u64, Waiting>,
    next: u64,
}

impl Supervisor {
    /// For a program that is in this namespace, if it is in one of its own.
    pub(crate) fn new(
        listener: Listener,
        session: Session,
        sealed: Option<(Namespace, Seal<'_>)>,
    ) -> io::Result<Self> {
        let events = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&events, &listener, EventData::new_u64(CALLS), EventFlags::IN)?;
        let (session, datagrams, sealed) = match sealed {
            None => (session.clone(), Datagrams::new(session), None),
            Some((namespace, seal)) => {
                let session = sealed::session(session, &namespace, seal)?;
                let sealed = Sealed::new(&namespace, seal)?;
                (session.clone(), Datagrams::within(session, namespace)?, Some(sealed))
            }
        };
        let (listener, waiting) = (Arc::new(listener), HashMap::new());
        Ok(Self { listener, session, datagrams, sealed, events, waiting, next: FIRST })
    }

    /// Serves until no process is left that could ask (whatever the program starts is a descendant of ours), and what the
    /// last one has sent has gone.
    pub(crate) fn run(mut self, mut family: Family) -> Result<(), Errno> {
        let served = self.serve(&mut family);
        self.datagrams.finish();
        served
    }

    fn serve(&mut self, family: &mut Family) -> Result<(), Errno> {
        epoll::add(&self.events, family.front(), EventData::new_u64(FRONT), EventFlags::IN)?;
        epoll::add(&self.events, family.signals(), EventData::new_u64(CHILDREN), EventFlags::IN)?;
        let mut nobody_asks = false;
        while !nobody_asks || family.has_program() {
            let patience = self.patience();
            let mut room = [MaybeUninit::<epoll::Event>::uninit(); 64];
            let (events, _) = match epoll::wait(&self.events, &mut room, patience.as_ref()) {
                Ok(events) => events,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error),
            };
            for event in events.iter() {
                let flags = event.flags;
                match event.data.u64() {
                    // Nobody is left to ask; how the last has ended is still to be learnt.
                    CALLS if !flags.contains(EventFlags::IN) => {
                        epoll::delete(&self.events, &self.listener)?;
                        nobody_asks = true;
                    }
                    CALLS => {
                        if let Some(call) = self.listener.receive()? {
                            self.judge(call);
                        }
                    }
                    FRONT => {
                        if family.front_said() {
                            // Nothing more will come.
                            let _ = epoll::delete(&self.events, family.front());
                        }
                    }
                    CHILDREN => {
                        let was_there = family.has_program();
                        if family.children_changed() {
                            return Ok(());
                        }
                        if was_there && !family.has_program() {
                            self.session.stay();
                        }
                    }
                    number => self.answered(number),
                }
            }
            self.end_waits();
        }
        Ok(())
    }

    fn judge(&mut self, call: Notification) {
        let listener = &self.listener;
        let asked = match call.number {
            libc::SYS_socket => Err(socket::answer(&mut self.datagrams, &call)),
            libc::SYS_connect => {
                let still_waits = || listener.waits(call.id);
                match (&mut self.sealed, self.datagrams.namespace()) {
                    (Some(sealed), Some(namespace)) => {
                        sealed::begin(sealed, namespace, &self.session, &call, still_waits)
                    }
                    _ => connect::begin(&self.session, &call, still_waits),
                }
                .map(|(link, connecting)| (link, What::Connect(connecting)))
            }
            libc::SYS_getsockopt => {
                truth::error(&self.session, &call).map(|(link, asking)| (link, What::Truth(asking)))
            }
            libc::SYS_getpeername | libc::SYS_getsockname => {
                truth::name(&self.session, &call).map(|(link, asking)| (link, What::Truth(asking)))
            }
            _ => Err(Answer::Continue),
        };
        match asked {
            Ok((link, what)) => self.wait(Waiting { call, link, what }),
            Err(answer) => self.answer(call.id, answer),
        }
    }

    fn wait(&mut self, waiting: Waiting) {
        let number = self.next;
        self.next += 1;
        match epoll::add(&self.events, &waiting.link, EventData::new_u64(number), EventFlags::IN) {
            Ok(()) => drop(self.waiting.insert(number, waiting)),
            Err(_) => self.finish(waiting, Answer::Fail(libc::ENETUNREACH)),
        }
    }

    /// The agent has said something about a call that waits, or has gone.
    fn answered(&mut self, number: u64) {
        let Some(mut waiting) = self.waiting.remove(&number) else { return };
        let mut buffer = [0; MAX_FRAME];
        let reply = waiting.link.reply(&mut buffer);
        let answer = match &mut waiting.what {
            What::Connect(connecting) => connecting.replied(reply),
            What::Truth(asking) => {
                let still_waits = self.listener.waits(waiting.call.id);
                Some(asking.replied(&waiting.call, reply, still_waits))
            }
        };
        match answer {
            Some(answer) => self.finish(waiting, answer),
            None => drop(self.waiting.insert(number, waiting)),
        }
    }

    /// Copies of the socket go first: as long as there is one, closing the program's own does not end it.
    fn finish(&self, waiting: Waiting, answer: Answer) {
        let id = waiting.call.id;
        drop(waiting);
        self.answer(id, answer);
    }

    fn answer(&self, id: u64, answer: Answer) {
        match answer {
            Answer::Here(connect) => connect.answer(&self.listener, id),
            answer => self.listener.answer(id, answer),
        }
    }

    /// Until the first wait ends that a program has bounded.
    fn patience(&self) -> Option<Timespec> {
        let first = self.waiting.values().filter_map(|waiting| waiting.until()).min()?;
        let left = first.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        Timespec::try_from(left).ok()
    }

    fn end_waits(&mut self) {
        let now = Instant::now();
        let ended: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.until().is_some_and(|until| until <= now))
            .map(|(&number, _)| number)
            .collect();
        for number in ended {
            if let Some(waiting) = self.waiting.remove(&number) {
                self.finish(waiting, Answer::Fail(libc::EINPROGRESS));
            }
        }
    }
}

impl Waiting {
    fn until(&self) -> Option<Instant> {
        match &self.what {
            What::Connect(connecting) => connecting.until,
            What::Truth(_) => None,
        }
    }
}
