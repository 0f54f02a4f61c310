//! The system calls that rustix does not have: the memory and the descriptors of another process, signals as a descriptor,
//! options of sockets.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use libc::{c_int, c_long, c_void, iovec, sigset_t};
use rustix::io::Errno;
use rustix::process::Pid;

/// What a system call has returned, or errno.
pub(crate) fn checked(returned: c_long) -> Result<c_long, Errno> {
    if returned < 0 {
        Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO))
    } else {
        Ok(returned)
    }
}

/// # Safety
///
/// The number must be that of a new descriptor that nothing else owns.
pub(crate) unsafe fn owned(number: c_long) -> OwnedFd {
    // SAFETY: the caller's promise; the kernel's numbers fit.
    unsafe { OwnedFd::from_raw_fd(number as c_int) }
}

/// A descriptor of another process.
pub(crate) fn descriptor_of(process: BorrowedFd<'_>, number: c_int) -> Result<OwnedFd, Errno> {
    // SAFETY: scalars only.
    let returned = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) };
    // SAFETY: success is a new descriptor, close-on-exec.
    checked(returned).map(|number| unsafe { owned(number) })
}

/// A descriptor for a thread, which pidfd_open(2) knows since Linux 6.9, or the leader of a process. With the flag
/// (`PIDFD_THREAD`) it is EINVAL before.
pub(crate) fn process_of(thread: Pid) -> Result<OwnedFd, Errno> {
    let open = |flags: c_int| {
        // SAFETY: scalars only.
        let returned = unsafe { libc::syscall(libc::SYS_pidfd_open, thread.as_raw_nonzero().get(), flags) };
        // SAFETY: success is a new descriptor.
        checked(returned).map(|number| unsafe { owned(number) })
    };
    open(0).or_else(|_| open(libc::O_EXCL))
}

/// Reads from the memory of another process, as much as there is room for; EFAULT if it is not all there.
pub(crate) fn read_memory(process: Pid, from: u64, to: &mut [u8]) -> Result<(), Errno> {
    let local = iovec { iov_base: to.as_mut_ptr().cast(), iov_len: to.len() };
    let remote = iovec { iov_base: from as *mut c_void, iov_len: to.len() };
    // SAFETY: `local` is room of ours; what is remote is the other process's, and its kernel checks it.
    let returned =
        unsafe { libc::process_vm_readv(process.as_raw_nonzero().get(), &local, 1, &remote, 1, 0) };
    whole(returned, to.len())
}

/// Writes into the memory of another process.
pub(crate) fn write_memory(process: Pid, to: u64, from: &[u8]) -> Result<(), Errno> {
    let local = iovec { iov_base: from.as_ptr().cast_mut().cast(), iov_len: from.len() };
    let remote = iovec { iov_base: to as *mut c_void, iov_len: from.len() };
    // SAFETY: `local` is only read; what is remote is the other process's.
    let returned =
        unsafe { libc::process_vm_writev(process.as_raw_nonzero().get(), &local, 1, &remote, 1, 0) };
    whole(returned, from.len())
}

fn whole(returned: isize, wanted: usize) -> Result<(), Errno> {
    let moved = checked(returned as c_long)?;
    if moved as usize == wanted { Ok(()) } else { Err(Errno::FAULT) }
}

/// The two halves of a fork(2).
pub(crate) enum Forked {
    Child,
    Parent(Pid),
}

/// A copy of this process. The launcher has no second thread.
pub(crate) fn fork() -> Result<Forked, Errno> {
    // SAFETY: with one thread no lock is left held in the child, so it may do whatever it likes.
    let returned = unsafe { libc::fork() };
    let number = checked(returned.into())?;
    Ok(Pid::from_raw(number as i32).map_or(Forked::Child, Forked::Parent))
}

/// Puts this process into namespaces of its own (unshare(2)).
pub(crate) fn unshare(namespaces: c_int) -> Result<(), Errno> {
    // SAFETY: the launcher has no second thread, and nothing of ours depends on the namespaces that are left.
    checked(unsafe { libc::unshare(namespaces) }.into()).map(drop)
}

/// A set of signals.
#[derive(Clone, Copy)]
pub(crate) struct Signals(sigset_t);

impl Signals {
    pub(crate) fn of(numbers: &[c_int]) -> Self {
        let mut set = MaybeUninit::<sigset_t>::uninit();
        // SAFETY: sigemptyset initialises it.
        let mut set = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            set.assume_init()
        };
        for &number in numbers {
            // SAFETY: an initialised set; a number that is none is refused.
            unsafe { libc::sigaddset(&mut set, number) };
        }
        Self(set)
    }

    pub(crate) fn every() -> Self {
        let mut set = Self::of(&[]);
        // SAFETY: an initialised set.
        unsafe { libc::sigfillset(&mut set.0) };
        set
    }

    /// Blocks these and no others; gives those that were blocked before.
    pub(crate) fn block(&self) -> Self {
        let mut before = Self::of(&[]);
        // SAFETY: both are sets, and nothing else is touched.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &self.0, &mut before.0) };
        before
    }

    /// A descriptor from which those of them that are blocked can be read.
    pub(crate) fn descriptor(&self) -> Result<OwnedFd, Errno> {
        // SAFETY: an initialised set.
        let returned = unsafe { libc::signalfd(-1, &self.0, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        // SAFETY: success is a new descriptor.
        checked(returned.into()).map(|number| unsafe { owned(number) })
    }
}

/// A signal that has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Came {
    pub(crate) number: c_int,
    /// By the kernel's own hand, as a terminal's.
    from_kernel: bool,
}

impl Came {
    /// Whether the program has not had it itself. What a terminal sends has its whole process group; but for the hangup, and the
    /// SIGCONT after it, which the leader of the session has alone.
    pub(crate) fn is_ours_alone(self) -> bool {
        let leads = || rustix::process::getsid(None) == Ok(rustix::process::getpid());
        !self.from_kernel || [libc::SIGHUP, libc::SIGCONT].contains(&self.number) && leads()
    }
}

/// The next signal of a [`Signals::descriptor`].
pub(crate) fn next_signal(descriptor: &impl AsFd) -> Option<Came> {
    let mut bytes = [0; size_of::<libc::signalfd_siginfo>()];
    let read = rustix::io::read(descriptor, &mut bytes).ok()?;
    if read != bytes.len() {
        return None;
    }
    // SAFETY: the kernel writes whole structures, of integers alone.
    let info: libc::signalfd_siginfo = unsafe { ptr::read_unaligned(bytes.as_ptr().cast()) };
    Some(Came { number: info.ssi_signo as c_int, from_kernel: info.ssi_code > 0 })
}

/// What a signal did before; [`Disposition::restore`] puts it back.
pub(crate) struct Disposition(c_int, libc::sigaction);

impl Disposition {
    /// Makes the signal do what it does by default.
    pub(crate) fn default(number: c_int) -> Self {
        // SAFETY: all zero bytes are a sigaction of SIG_DFL.
        let (default, mut before): (libc::sigaction, libc::sigaction) =
            unsafe { (MaybeUninit::zeroed().assume_init(), MaybeUninit::zeroed().assume_init()) };
        // SAFETY: both are structures of ours.
        unsafe { libc::sigaction(number, &default, &mut before) };
        Self(number, before)
    }

    pub(crate) fn restore(&self) {
        // SAFETY: a disposition that was in force.
        unsafe { libc::sigaction(self.0, &self.1, ptr::null_mut()) };
    }
}

/// Ends, or stops, this process by a signal.
pub(crate) fn raise(number: c_int) {
    Disposition::default(number);
    let signal = Signals::of(&[number]);
    // SAFETY: sets of ours. The others stay blocked: what comes during a stop is for the program.
    unsafe {
        libc::raise(number);
        libc::sigprocmask(libc::SIG_UNBLOCK, &signal.0, ptr::null_mut());
        // It was a stop, or the signal is one that does nothing.
        libc::sigprocmask(libc::SIG_BLOCK, &signal.0, ptr::null_mut());
    }
}

/// Ends this process without running anything else: for the copies that [`fork`] makes.
pub(crate) fn leave(status: u8) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status.into()) }
}

/// An option of a socket that is an integer.
pub(crate) fn option<T: Copy + Default>(socket: &impl AsFd, level: c_int, name: c_int) -> Result<T, Errno> {
    let (mut value, mut len) = (T::default(), size_of::<T>() as libc::socklen_t);
    // SAFETY: `value` has `len` bytes, and any bytes are a value of the integers that it is called with.
    let returned = unsafe {
        libc::getsockopt(socket.as_fd().as_raw_fd(), level, name, ptr::from_mut(&mut value).cast(), &mut len)
    };
    checked(returned.into()).map(|_| value)
}

/// Keeps a socket on the loopback device (socket(7), SO_BINDTODEVICE): unbound ones may be bound by anybody, and
/// afterwards by nobody without CAP_NET_RAW.
pub(crate) fn bind_to_loopback(socket: &impl AsFd) -> Result<(), Errno> {
    let name = b"lo\0";
    // SAFETY: the name's bytes, which are copied.
    let returned = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_BINDTODEVICE,
            name.as_ptr().cast(),
            name.len() as libc::socklen_t,
        )
    };
    checked(returned.into()).map(drop)
}

/// bind(2) with an address as it was given.
pub(crate) fn bind(socket: &impl AsFd, address: &[u8]) -> Result<(), Errno> {
    // SAFETY: the address has that length.
    let returned = unsafe {
        libc::bind(socket.as_fd().as_raw_fd(), address.as_ptr().cast(), address.len() as libc::socklen_t)
    };
    checked(returned.into()).map(drop)
}

/// Makes a connecting socket unconnected (connect(2), AF_UNSPEC).
pub(crate) fn dissolve(socket: &impl AsFd) {
    connect_without_address(socket, libc::AF_UNSPEC, size_of::<libc::sockaddr>());
}

/// What `connect()` does at the end of a wait: of a connected socket the kernel knows then that this was told.
pub(crate) fn settle(socket: &impl AsFd) {
    connect_without_address(socket, libc::AF_INET, size_of::<libc::sa_family_t>());
}

fn connect_without_address(socket: &impl AsFd, family: c_int, len: usize) {
    let address = libc::sockaddr { sa_family: family as libc::sa_family_t, sa_data: [0; 14] };
    // SAFETY: an address of at least that length.
    unsafe { libc::connect(socket.as_fd().as_raw_fd(), &address, len as libc::socklen_t) };
}

/// Closes every descriptor but these; the standard ones lead to /dev/null instead. What is behind an [`OwnedFd`] of the
/// caller's callers is gone too: for a copy of this process that never returns to them.
pub(crate) fn keep_only(kept: &[c_int]) {
    let mut kept: Vec<c_int> = kept.to_vec();
    kept.sort_unstable();
    let mut first = 3;
    for &number in kept.iter().filter(|&&number| number >= 3).chain([&c_int::MAX]) {
        if number > first {
            // SAFETY: nobody uses them any more (see above).
            unsafe { libc::syscall(libc::SYS_close_range, first, number - 1, 0) };
        }
        first = number.saturating_add(1);
    }
    // SAFETY: a string.
    let null = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
    for standard in (0..3).filter(|standard| !kept.contains(standard)) {
        // SAFETY: without /dev/null it is closed, which is as good.
        unsafe { if null < 0 { libc::close(standard) } else { libc::dup2(null, standard) } };
    }
    if null > 2 {
        // SAFETY: opened above.
        unsafe { libc::close(null) };
    }
}
