//! The agent outside: it has the user's configuration, and a door whose listener is in the program's network.

use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use underpass_core::config::Config;
use underpass_core::control::ControlRequest;
use underpass_core::session_env::{OUTSIDE, VARIABLE};

use crate::agent::BINARY;
use crate::messages::{Failure, reason};
use crate::session;

/// It is served for as long as this lives.
pub(super) struct Door {
    pub(super) agent: Child,
    _life: UnixStream,
}

impl Door {
    /// Closes it; the agent, which goes then.
    pub(super) fn close(self) -> Child {
        self.agent
    }
}

/// Opens it.
pub(super) fn open(listener: OwnedFd, config: &Config) -> Result<Door, Failure> {
    let binary = session::binaries()?.join(BINARY);
    let begun = || -> io::Result<Door> {
        let (life, theirs) = UnixStream::pair()?;
        let agent = Command::new(&binary)
            .args(["run", "--given"])
            // It is none of the programs of a session that we may be in.
            .env_remove("LD_PRELOAD")
            .env(VARIABLE, OUTSIDE)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()?;
        give(&life, &listener)?;
        let config = Box::new(config.clone());
        let request = ControlRequest::OpenSession { config, linger: false, source: None, for_process: None };
        (&life).write_all(request.to_line().as_bytes())?;
        Ok(Door { agent, _life: life })
    };
    begun().map_err(|error| Failure::setup(format_args!("{}: {}", binary.display(), reason(&error))))
}

fn give(agent: &UnixStream, listener: &OwnedFd) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let passed = [listener.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&passed));
    rustix::net::sendmsg(agent, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}
