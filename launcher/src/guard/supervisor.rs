//! The loop of the supervisor: one thread that waits for calls, for the agent's answers, and for its children.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use underpass_core::wire::MAX_FRAME;

use super::begun::Begun;
use super::bind;
use super::connect::{self, Connecting, Look};
use super::datagram::Datagrams;
use super::datagram::namespace::Namespace;
use super::family::Family;
use super::link::{Link, Session};
use super::memory;
use super::notification::{Answer, Notification};
use super::pair;
use super::sealed::{self, Seal, Sealed};
use super::socket;
use super::sockets::{Copies, Sockets};
use super::truth::{self, Asking};
use crate::guard::listener::Listener;

/// What the events are about; greater numbers are calls that wait.
const FRONT: u64 = 1;
const CHILDREN: u64 = 2;
const FIRST: u64 = 16;

/// How often in a row the loop may fail before the supervisor ends, and how long it waits each time.
const MOST_FAILURES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(10);

/// A call that waits for the agent.
struct Waiting {
    call: Notification,
    link: Link,
    what: What,
}

/// What it waits for.
pub(crate) enum What {
    Connect(Connecting),
    Truth(Asking),
}

pub(crate) struct Supervisor {
    listener: Arc<Listener>,
    session: Session,
    begun: Begun,
    sockets: Sockets,
    datagrams: Datagrams,
    sealed: Option<Sealed>,
    /// All that is waited for but the listener: through an epoll set the kernel would forget that who is told of a call
    /// is to go on where the program has just stopped, and wake us on another processor.
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
        copies: Copies,
    ) -> io::Result<Self> {
        let events = epoll::create(CreateFlags::CLOEXEC)?;
        let (session, datagrams, sealed) = match sealed {
            None => (session.clone(), Datagrams::new(session), None),
            Some((namespace, seal)) => {
                let session = sealed::session(session, &namespace, seal)?;
                let sealed = Sealed::new(&namespace, seal)?;
                (session.clone(), Datagrams::within(session, namespace)?, Some(sealed))
            }
        };
        let (listener, begun, sockets) = (Arc::new(listener), Begun::default(), Sockets::new(copies));
        let (waiting, next) = (HashMap::new(), FIRST);
        Ok(Self { listener, session, begun, sockets, datagrams, sealed, events, waiting, next })
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
        // Until nobody is left to ask.
        let (mut asked, mut failures) = (true, 0);
        while asked || family.has_program() {
            match self.turn(family, &mut asked) {
                Ok(true) => return Ok(()),
                Ok(false) => failures = 0,
                // What the system has no memory for now it may have in a moment.
                Err(_) if failures < MOST_FAILURES => {
                    failures += 1;
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(error),
            }
            self.end_waits();
        }
        Ok(())
    }

    /// Waits for what is next, and deals with it; whether nobody is left.
    fn turn(&mut self, family: &mut Family, asked: &mut bool) -> Result<bool, Errno> {
        let patience = self.patience();
        let mut ready =
            [PollFd::new(&self.events, PollFlags::IN), PollFd::new(&self.listener, PollFlags::IN)];
        let watched = if *asked { &mut ready[..] } else { &mut ready[..1] };
        match poll(watched, patience.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(false),
            Err(error) => return Err(error),
        }
        let [others, calls] = ready.map(|fd| fd.revents());
        if calls.contains(PollFlags::IN) {
            if let Some(call) = self.listener.receive()? {
                self.judge(call, family);
            }
        } else if !calls.is_empty() {
            // How the last has ended is still to be learnt.
            *asked = false;
        }
        Ok(!others.is_empty() && self.others(family)?)
    }

    /// The agent, the front or a child has said something; whether nobody is left.
    fn others(&mut self, family: &mut Family) -> Result<bool, Errno> {
        let mut room = [MaybeUninit::<epoll::Event>::uninit(); 64];
        let (events, _) = match epoll::wait(&self.events, &mut room, Some(&Timespec::default())) {
            Ok(events) => events,
            Err(Errno::INTR) => return Ok(false),
            Err(error) => return Err(error),
        };
        for event in events.iter() {
            match event.data.u64() {
                FRONT => {
                    if family.front_said() {
                        // Nothing more will come.
                        let _ = epoll::delete(&self.events, family.front());
                    }
                }
                CHILDREN => {
                    let was_there = family.has_program();
                    if family.children_changed() {
                        return Ok(true);
                    }
                    if was_there && !family.has_program() {
                        self.session.stay();
                    }
                }
                number => self.answered(number),
            }
        }
        Ok(false)
    }

    fn judge(&mut self, call: Notification, family: &mut Family) {
        let Self { listener, session, begun, sockets, datagrams, sealed, .. } = self;
        let truth = |(link, asking)| (link, What::Truth(asking));
        let asked = match call.number {
            libc::SYS_socket => Err(socket::answer(datagrams, sockets, &call)),
            libc::SYS_socketpair => Err(pair::answer(listener, &call)),
            libc::SYS_connect => {
                let still_waits = || listener.waits(call.id);
                match (sealed, datagrams.namespace()) {
                    (Some(sealed), Some(namespace)) => {
                        sealed::begin(sealed, namespace, session, &call, still_waits)
                            .map(|(link, connecting)| (link, What::Connect(connecting)))
                    }
                    _ => connect::begin(session, sockets, &call, still_waits),
                }
            }
            libc::SYS_getsockopt => truth::error(session, begun, sockets, &call).map(truth),
            libc::SYS_getpeername | libc::SYS_getsockname => truth::name(session, sockets, &call).map(truth),
            libc::SYS_bind => Err(bind::answer(session, sockets, &call, || listener.waits(call.id))),
            // listen(2), where it is asked about at all.
            _ => {
                sockets.let_go(&call);
                Err(Answer::Continue)
            }
        };
        match asked {
            Ok((link, what)) => self.wait(Waiting { call, link, what }),
            Err(answer) => {
                let is_refused = matches!(answer, Answer::Fail(libc::EACCES));
                if is_refused && call.number == libc::SYS_connect && memory::is_hidden(&call) {
                    family.tell_of_hidden(call.thread);
                }
                self.answer(call.id, answer);
            }
        }
    }

    fn wait(&mut self, waiting: Waiting) {
        if let What::Connect(connecting) = &waiting.what {
            self.begun.note(connecting.cookie);
        }
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
            What::Connect(connecting) => connecting.replied(&mut self.begun, reply),
            What::Truth(asking) => {
                let still_waits = self.listener.waits(waiting.call.id);
                Some(asking.replied(&mut self.begun, &mut self.sockets, &waiting.call, reply, still_waits))
            }
        };
        match answer {
            Some(answer) => self.finish(waiting, answer),
            None => drop(self.waiting.insert(number, waiting)),
        }
    }

    /// Copies of the socket go first: as long as there is one, closing the program's own does not end it.
    fn finish(&mut self, waiting: Waiting, answer: Answer) {
        let id = waiting.call.id;
        match waiting.what {
            What::Connect(connecting) => self.sockets.ended(connecting.copy, &answer),
            What::Truth(asking) => drop(asking),
        }
        self.answer(id, answer);
    }

    fn answer(&self, id: u64, answer: Answer) {
        match answer {
            Answer::Here(connect) => connect.answer(&self.listener, id),
            answer => self.listener.answer(id, answer),
        }
    }

    /// Until the first wait ends that a program has bounded, or one is to be looked at.
    fn patience(&self) -> Option<Timespec> {
        let first = self.waiting.values().filter_map(Waiting::next).min()?;
        let left = first.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        Timespec::try_from(left).ok()
    }

    fn end_waits(&mut self) {
        let now = Instant::now();
        if self.waiting.values().filter_map(Waiting::next).all(|next| now < next) {
            return;
        }
        let mut ended = Vec::new();
        for (&number, Waiting { call, link, what }) in &mut self.waiting {
            let What::Connect(connecting) = what else { continue };
            if connecting.until.is_some_and(|until| until <= now) {
                ended.push((number, libc::EINPROGRESS));
                continue;
            }
            match connecting.look(call, now) {
                Look::Wait => {}
                Look::Interrupted => self.session.convert(link),
                Look::Ended(errno) => {
                    self.begun.told(connecting.cookie);
                    ended.push((number, errno));
                }
            }
        }
        for (number, errno) in ended {
            if let Some(waiting) = self.waiting.remove(&number) {
                self.finish(waiting, Answer::Fail(errno));
            }
        }
    }
}

impl Waiting {
    /// When something is to be done about it, unless the agent says something before.
    fn next(&self) -> Option<Instant> {
        match &self.what {
            What::Connect(connecting) => connecting.next(),
            What::Truth(_) => None,
        }
    }
}
