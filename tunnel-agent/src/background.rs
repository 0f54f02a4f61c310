//! Into the background, with the news whether it worked brought to whoever started us.
//!
//! The process that was started waits for its child to be ready and ends with that news, so the
//! launcher, which is about to become the program, is left with no child to reap.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};

use underpass_core::failure::without_numbers;

use crate::sys;

const READY: &[u8] = b"ready";

/// Runs `serve` in a background process; it calls its argument once it can be used. Returns in the
/// process that was started, when that has happened or failed.
pub(crate) fn start(
    serve: impl FnOnce(Box<dyn FnOnce() -> io::Result<()>>) -> io::Result<()>,
) -> io::Result<()> {
    let (news, ready) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    match sys::fork()? {
        sys::Fork::Parent => {
            drop(ready);
            // Each piece of news is one write; the child keeps its end open for as long as it serves.
            let mut said = [0; 1024];
            match File::from(news).read(&mut said)? {
                0 => Err(io::Error::other("ended before it was ready")),
                _ if said.starts_with(READY) => Ok(()),
                len => Err(io::Error::other(String::from_utf8_lossy(&said[..len]).into_owned())),
            }
        }
        sys::Fork::Child => {
            drop(news);
            let ended = detach(&ready).and_then(|()| {
                let ready = File::from(ready.try_clone()?);
                serve(Box::new(move || (&ready).write_all(READY)))
            });
            if let Err(error) = ended {
                // Read by the parent unless it has had its news already.
                let _ = File::from(ready).write_all(without_numbers(&error.to_string()).as_bytes());
            }
            std::process::exit(0)
        }
    }
}

/// No terminal, no directory, no descriptor of the launcher's.
fn detach(keep: &OwnedFd) -> io::Result<()> {
    rustix::process::setsid()?;
    std::env::set_current_dir("/")?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    drop(null);
    sys::close_from(3, keep.as_raw_fd())
}
