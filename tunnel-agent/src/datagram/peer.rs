//! One remote address of a program's socket: the agent's socket on loopback that stands for it, `at`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::net::RecvFlags;
use socket2::{Domain, Protocol, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use underpass_core::destination::Destination;

use super::facts::program_end;
use crate::sys;
use crate::upstream::socks5_udp;

/// Datagrams that wait at an `at`, in bytes as the kernel counts them.
const BUFFER: usize = 1 << 20;
/// How long the library may still send to an `at` that is given up: as long the port is nobody else's.
const AFTERLIFE: Duration = Duration::from_secs(2);

/// An `at` and whom it stands for.
pub(super) struct Peer {
    /// As the program gave it, in canonical form.
    pub(super) given: SocketAddr,
    pub(super) destination: Destination,
    pub(super) at: SocketAddr,
    socket: AsyncFd<OwnedFd>,
    /// Where the program's socket is.
    program: Mutex<SocketAddr>,
    /// What the relay is told; what comes of the name, once it is known.
    header: Mutex<Vec<u8>>,
    /// Whether the program's socket is connected to it.
    connected: AtomicBool,
    /// In milliseconds of the process's life.
    used: AtomicU64,
    task: Mutex<Option<AbortHandle>>,
    room: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Peer {
    /// Makes the `at` on `ip` for a program's socket at `local`.
    pub(super) fn new(
        given: SocketAddr,
        destination: Destination,
        ip: IpAddr,
        local: SocketAddr,
        room: OwnedSemaphorePermit,
    ) -> io::Result<Self> {
        let domain = if ip.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let socket = socket2::Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        socket.bind(&SocketAddr::new(ip, 0).into())?;
        // No more than the system allows is had, which is no fault.
        let _ = socket.set_recv_buffer_size(BUFFER);
        let program = program_end(local, ip);
        socket.connect(&program.into())?;
        let at = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let socket = OwnedFd::from(socket);
        // What somebody else sent before it was connected.
        while rustix::net::recv(&socket, &mut [0; 1], RecvFlags::DONTWAIT | RecvFlags::TRUNC).is_ok() {}
        Ok(Self {
            given,
            header: Mutex::new(socks5_udp::header(&destination)),
            destination,
            at,
            socket: sys::watch(socket, Interest::READABLE)?,
            program: Mutex::new(program),
            connected: AtomicBool::new(false),
            used: AtomicU64::new(now()),
            task: Mutex::default(),
            room: Mutex::new(Some(room)),
        })
    }

    pub(super) fn socket(&self) -> &AsyncFd<OwnedFd> {
        &self.socket
    }

    /// Gives the header before its datagrams, for the last hop, to `use_it`.
    pub(super) fn with_header<T>(&self, use_it: impl FnOnce(&[u8]) -> T) -> T {
        use_it(&self.header.lock())
    }

    /// From now on the name is this address: all that belongs together goes to one.
    pub(super) fn learn(&self, address: SocketAddr) {
        *self.header.lock() = socks5_udp::header(&Destination::Address(address));
    }

    /// The task that carries its datagrams.
    pub(super) fn begin(&self, task: AbortHandle) {
        *self.task.lock() = Some(task);
    }

    /// The program's socket may have another address by now: disconnected, it gives up its port.
    pub(super) fn follow(&self, local: SocketAddr) {
        let program = program_end(local, self.at.ip());
        let before = std::mem::replace(&mut *self.program.lock(), program);
        if before != program {
            self.listen();
        }
    }

    /// Takes datagrams of the program's socket.
    pub(super) fn listen(&self) {
        let _ = rustix::net::connect(self.socket.get_ref(), &*self.program.lock());
    }

    /// Takes no datagrams, and lets the kernel say so (ECONNREFUSED, if the program's socket is connected
    /// here). The port stays ours.
    pub(super) fn refuse(&self) {
        let _ = rustix::net::connect(self.socket.get_ref(), &self.at);
    }

    pub(super) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    pub(super) fn touch(&self) {
        self.used.store(now(), Ordering::Relaxed);
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether nothing carries its datagrams any more.
    pub(super) fn has_ended(&self) -> bool {
        self.task.lock().is_none()
    }

    /// Ends its task. The port is kept as long as the library may still know it.
    pub(super) fn end(self: &Arc<Self>) {
        let room = self.stop();
        let peer = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(AFTERLIFE).await;
            drop((peer, room));
        });
    }

    /// Ends its task, where nobody is left who knows the port.
    pub(super) fn end_at_once(&self) {
        drop(self.stop());
    }

    fn stop(&self) -> Option<OwnedSemaphorePermit> {
        self.refuse();
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
        self.room.lock().take()
    }
}

/// In milliseconds, from a moment of this process's life on.
pub(super) fn now() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64
}
