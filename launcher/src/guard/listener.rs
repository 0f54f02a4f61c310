//! The filter's other end: where the kernel asks, and is answered (seccomp_unotify(2)).

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use libc::{c_int, c_long, c_ulong, c_void, sock_filter, sock_fprog};
use rustix::io::Errno;
use rustix::process::Pid;

use super::notification::{Answer, ERESTARTSYS, Notification};
use crate::kernel::{checked, leave, owned};

const LISTENER_FLAGS: c_ulong =
    libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
/// How often the kernel is told, or asked, what it refuses for no reason of the call's.
const TRIES: usize = 3;
/// linux/seccomp.h: who answers wakes the program on its own processor (Linux 6.6).
const SYNC_WAKE_UP: u64 = 1;

/// Whether the kernel knows the flags that the filter is installed with.
pub(crate) fn knows_listener_flags() -> Result<(), Errno> {
    // SAFETY: without a filter nothing is installed: a null pointer is EFAULT once the flags are accepted.
    let returned = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, LISTENER_FLAGS, ptr::null::<c_void>())
    };
    match checked(returned) {
        Ok(_) | Err(Errno::FAULT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Installs the filter on this process, for good; whoever holds the descriptor is asked. It is close-on-exec.
pub(crate) fn install(filter: &mut [sock_filter]) -> Result<OwnedFd, Errno> {
    let len = u16::try_from(filter.len()).map_err(|_| Errno::INVAL)?;
    let program = sock_fprog { len, filter: filter.as_mut_ptr() };
    // SAFETY: the program and its instructions outlive the call, which copies them.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            LISTENER_FLAGS,
            ptr::from_ref(&program).cast::<c_void>(),
        )
    };
    // SAFETY: with a listener asked for, success is its number.
    checked(returned).map(|number| unsafe { owned(number) })
}

/// Where the kernel asks.
#[derive(Debug)]
pub(crate) struct Listener(OwnedFd);

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Listener {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        let listener = Self(fd);
        // An older kernel does without.
        // SAFETY: the request takes its flags by value.
        unsafe { libc::ioctl(listener.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
        listener
    }

    /// The next call; `None` if it is not there any more.
    pub(crate) fn receive(&self) -> Result<Option<Notification>, Errno> {
        // SAFETY: all zero bytes are a valid value, and what the kernel asks for.
        let mut raw: libc::seccomp_notif = unsafe { MaybeUninit::zeroed().assume_init() };
        match self.request(libc::SECCOMP_IOCTL_NOTIF_RECV, &mut raw) {
            Ok(_) => {}
            Err(Errno::NOENT | Errno::INTR | Errno::AGAIN) => return Ok(None),
            Err(error) => return Err(error),
        }
        // A thread of a process namespace that is not ours is 0.
        let Some(thread) = Pid::from_raw(raw.pid as i32) else {
            self.fail(raw.id, libc::EACCES);
            return Ok(None);
        };
        let number = raw.data.nr.into();
        Ok(Some(Notification { id: raw.id, thread, number, arguments: raw.data.args }))
    }

    /// Whether the call still waits: what was read of its process by number is of that process then.
    pub(crate) fn waits(&self, id: u64) -> bool {
        let mut id = id;
        self.insists(libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &mut id)
    }

    /// Answers a call; nothing if the program does not wait any more.
    pub(crate) fn answer(&self, id: u64, answer: Answer) {
        match answer {
            Answer::Continue => self.send(id, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
            Answer::Done => self.send(id, 0, 0),
            Answer::Fail(errno) => self.fail(id, errno),
            Answer::Descriptor { socket, close_on_exec } => {
                if let Err(error) = self.give(id, &socket, close_on_exec) {
                    // The program's own limit on descriptors, as a rule.
                    self.fail(id, error.raw_os_error());
                }
            }
            Answer::Restart => self.fail(id, ERESTARTSYS),
            Answer::Later | Answer::Here(_) => {}
        }
    }

    fn fail(&self, id: u64, errno: c_int) {
        self.send(id, -errno, 0);
    }

    fn send(&self, id: u64, error: c_int, flags: u32) {
        let mut answer = libc::seccomp_notif_resp { id, val: 0, error, flags };
        self.insists(libc::SECCOMP_IOCTL_NOTIF_SEND, &mut answer);
    }

    /// Whether the call of the request still waits for what it is. Without a word of the kernel's we end, which answers
    /// everybody: whoever is never answered waits for ever.
    fn insists<T>(&self, request: libc::Ioctl, value: &mut T) -> bool {
        for _ in 0..TRIES {
            match self.request(request, value) {
                Ok(_) => return true,
                Err(Errno::NOENT | Errno::INPROGRESS) => return false,
                Err(_) => {}
            }
        }
        leave(crate::messages::SETUP);
    }

    /// The program gets the descriptor as what its call returns.
    fn give(&self, id: u64, socket: &OwnedFd, close_on_exec: bool) -> Result<(), Errno> {
        match self.add(id, socket, close_on_exec, libc::SECCOMP_ADDFD_FLAG_SEND as u32) {
            // It does not wait any more.
            Err(Errno::NOENT | Errno::INPROGRESS) => Ok(()),
            other => other.map(drop),
        }
    }

    /// The program gets the descriptor, at this number, while its call waits.
    pub(crate) fn put(&self, id: u64, socket: &OwnedFd, close_on_exec: bool) -> Result<c_int, Errno> {
        self.add(id, socket, close_on_exec, 0)
    }

    fn add(&self, id: u64, socket: &OwnedFd, close_on_exec: bool, flags: u32) -> Result<c_int, Errno> {
        let mut descriptor = libc::seccomp_notif_addfd {
            id,
            flags,
            srcfd: socket.as_raw_fd() as u32,
            newfd: 0,
            newfd_flags: if close_on_exec { libc::O_CLOEXEC as u32 } else { 0 },
        };
        self.request(libc::SECCOMP_IOCTL_NOTIF_ADDFD, &mut descriptor).map(|number| number as c_int)
    }

    fn request<T>(&self, request: libc::Ioctl, value: &mut T) -> Result<c_long, Errno> {
        // SAFETY: each caller passes the structure that the request's number says.
        let returned = unsafe { libc::ioctl(self.0.as_raw_fd(), request, ptr::from_mut(value)) };
        checked(returned.into())
    }
}
