//! Whether this system has what the guard tier needs, said in words.

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::Pid;

use super::sockets::Copies;
use super::{kept, listener};
use crate::kernel;

/// socket(7); by number.
const SO_BINDTOIFINDEX: i32 = 62;

/// How the tier can be had; an error is why not, as far as one process can tell.
pub(crate) fn check() -> Result<Copies, String> {
    listener::knows_listener_flags().map_err(|error| match error {
        Errno::INVAL => "this kernel lets nobody supervise system calls safely (Linux 5.19 does)".to_owned(),
        error => refused("seccomp", error),
    })?;
    let ours = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(|error| refused("a TCP socket", error))?;
    // What a supervisor gives is bound already.
    if kernel::option::<i32>(&ours, libc::SOL_SOCKET, SO_BINDTOIFINDEX).is_ok_and(|device| device != 0) {
        return Err("this process is under guard already, by another launcher".to_owned());
    }
    kernel::bind_to_loopback(&ours).map_err(|error| match error {
        Errno::PERM => "this kernel lets only root bind a socket to a device (Linux 5.7 does)".to_owned(),
        error => refused("binding a socket to lo", error),
    })?;
    look_at(rustix::process::getpid(), 0, None)
}

/// Whether this process may look at that one, by a descriptor that it has and a byte of its memory.
pub(crate) fn look_at(process: Pid, descriptor: i32, memory: Option<&u8>) -> Result<Copies, String> {
    let copied = kernel::process_of(process)
        .and_then(|pidfd| kernel::descriptor_of(std::os::fd::AsFd::as_fd(&pidfd), descriptor));
    let copies = match copied {
        Ok(_) | Err(Errno::BADF) => Copies::Taken,
        Err(error) => match kept::socket_behind(process, descriptor) {
            Ok(_) => Copies::Kept,
            Err(_) => return Err(refused("pidfd_getfd", error)),
        },
    };
    let here = 0x5a;
    let byte = memory.unwrap_or(&here);
    let mut found = [0];
    kernel::read_memory(process, std::ptr::from_ref(byte) as u64, &mut found)
        .map_err(|error| refused("process_vm_readv", error))?;
    Ok(copies)
}

fn refused(what: &str, error: Errno) -> String {
    let why = match error {
        Errno::NOSYS => "this kernel does not have it",
        Errno::PERM | Errno::ACCESS => "it is refused here, as in containers and under ptrace_scope 2 and 3",
        Errno::MFILE | Errno::NFILE => "no descriptor is left",
        _ => return format!("{what}: errno {}", error.raw_os_error()),
    };
    format!("{what}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_look_at_itself() {
        assert_eq!(look_at(rustix::process::getpid(), 0, None), Ok(Copies::Taken));
    }

    #[test]
    fn what_is_refused_is_said_in_words() {
        assert_eq!(refused("x", Errno::NOSYS), "x: this kernel does not have it");
        assert_eq!(refused("x", Errno::IO), "x: errno 5");
    }
}
