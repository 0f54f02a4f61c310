//! A door that a launcher gives us, with its configuration (`underpass --leaktest`): its listener was made in another
//! network namespace and stays there, while what comes in is carried from here.

use std::io::{self, BufRead, BufReader, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use underpass_core::config::listen::{Kind, Service};
use underpass_core::control::{ControlRequest, MAX_LINE};

use super::configuration::Chosen;
use super::visit::Threshold;
use super::{Front, Opened};
use crate::listening::Listener;

/// From standard input, a Unix socket: a byte with the listener of a SOCKS5 door, and a line. The launcher keeps its
/// end for as long as the door is to be served.
pub(super) fn receive() -> io::Result<Front> {
    let launcher = UnixStream::from(rustix::stdio::stdin().try_clone_to_owned()?);
    let listener = listener(&launcher)?;
    listener.set_nonblocking(true)?;
    let mut line = String::new();
    BufReader::new((&launcher).take(MAX_LINE as u64)).read_line(&mut line)?;
    let config = match ControlRequest::from_line(&line).map_err(io::Error::other)? {
        ControlRequest::OpenSession { config, .. } => *config,
        _ => return Err(io::Error::other("the launcher has not opened a session")),
    };
    launcher.set_nonblocking(true)?;
    let chosen = Chosen { config, source: None };
    let threshold = Threshold { service: Service::Proxy(Kind::Socks), login: None, held: None };
    let opened = Opened::Connections(Arc::new(Listener::of(listener)), Arc::new(threshold));
    let doors = vec![(String::new(), opened)];
    let (reverses, served) = Default::default();
    let launcher = Some(launcher);
    Ok(Front { doors, reverses, chosen: Some(chosen), fixed: None, session: None, launcher, served })
}

fn listener(launcher: &UnixStream) -> io::Result<TcpListener> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut byte)];
    rustix::net::recvmsg(launcher.as_fd(), &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let passed = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    });
    passed.map(TcpListener::from).ok_or_else(|| io::Error::other("the launcher has given no listener"))
}

/// Until the launcher has let go.
pub(super) async fn until_left(launcher: &UnixStream) -> io::Result<()> {
    let launcher = tokio::net::UnixStream::from_std(launcher.try_clone()?)?;
    loop {
        launcher.readable().await?;
        match launcher.try_read(&mut [0]) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
