//! An association at a door (RFC 1928 section 7): one socket, where the client's datagrams come with a header, and from
//! which answers go to it. It lasts as long as the connection on which it was asked for.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncReadExt;
use underpass_core::destination::{Destination, canonical};
use underpass_core::failure::Failure;
use underpass_core::wire::Token;

use super::asked::named;
use crate::agent::Agent;
use crate::datagram::Own;
use crate::plan::Plan;
use crate::socket::{network_of, remote_address};
use crate::sys::MANY;
use crate::upstream::hop::Client;
use crate::upstream::socks5_udp::{self, Sender};
use crate::upstream::stream::Bare;

/// An association.
pub(super) struct Association {
    agent: Arc<Agent>,
    session: Token,
    own: Own,
    /// Where the connection comes from: no answer goes to another machine than the one that has asked.
    ip: IpAddr,
    /// Where the client's datagrams come from: as it has said, or as its first one has shown.
    port: Option<u16>,
}

impl Association {
    /// Makes one for a client that says to send `from` there.
    pub(super) fn open(
        agent: &Arc<Agent>,
        (plan, session): (&Plan, Token),
        stream: &Bare<OwnedFd>,
        from: SocketAddr,
    ) -> Result<Self, Failure> {
        let (Ok(peer), Some(local)) = (remote_address(stream.get().get_ref()), stream.local()) else {
            return Err(Failure::Socket("who comes by a Unix socket has no address to send datagrams from"));
        };
        let (ip, said) = (canonical(peer).ip(), canonical(from));
        // Behind a translator what the client knows of itself is wrong.
        let is_true = said.ip() == ip || said.ip().is_unspecified();
        let port = Some(said.port()).filter(|port| *port != 0 && is_true);
        if network_of(stream.get().get_ref()) != agent.network {
            return Err(Failure::Socket("its door is in another network, which has no relay of ours"));
        }
        if !plan.carries_datagrams() {
            return Err(Failure::Socket("no chain of this configuration carries datagrams"));
        }
        let own = Own::open(agent, &Client::default(), canonical(local).ip())?;
        Ok(Self { agent: Arc::clone(agent), session, own, ip, port })
    }

    /// Where the client sends its datagrams.
    pub(super) fn place(&self) -> SocketAddr {
        self.own.local()
    }

    /// Carries datagrams until the client ends the connection. What it says on it means nothing.
    pub(super) async fn serve(mut self, mut stream: Bare<OwnedFd>) -> io::Result<()> {
        // A client that has gone without a word is noticed within two minutes.
        let keep = TcpKeepalive::new().with_time(Duration::from_secs(60));
        let keep = keep.with_interval(Duration::from_secs(15)).with_retries(4);
        let _ = SockRef::from(stream.get().get_ref()).set_tcp_keepalive(&keep);
        let mut said = [0; 256];
        loop {
            tokio::select! {
                said = stream.read(&mut said) => if said? == 0 { return Ok(()) },
                passed = self.pass() => passed?,
            }
        }
    }

    /// Passes on what is there.
    async fn pass(&mut self) -> io::Result<()> {
        let agent = Arc::clone(&self.agent);
        let watched = self.own.watched();
        let mut ready = watched.readable().await?;
        // A reload gives the session another plan.
        let plan = agent.sessions.plan(&self.session).ok_or(io::ErrorKind::NotConnected)?;
        let mut batch = agent.datagrams.batch.lock();
        match batch.receive_from(ready.get_inner()) {
            Ok(count) => {
                if count < MANY {
                    ready.clear_ready();
                }
                batch.pass_on(ready.get_inner(), |from, bytes, header| {
                    self.onward(&plan, from, bytes, header)
                });
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready.clear_ready();
                Ok(())
            }
            // Told of one that was sent.
            Err(_) => Ok(()),
        }
    }

    /// Where a datagram goes, without how much of its beginning, behind which header.
    fn onward(
        &mut self,
        plan: &Arc<Plan>,
        from: SocketAddr,
        bytes: &[u8],
        header: &mut Vec<u8>,
    ) -> Option<(SocketAddr, usize)> {
        let from = canonical(from);
        if self.own.header_from(from, header).is_some() {
            // Nobody has said yet where the client is: then nothing has been asked for, either.
            return Some((SocketAddr::new(self.ip, self.port?), 0));
        }
        if from.ip() != self.ip || self.port.is_some_and(|port| port != from.port()) {
            return None;
        }
        let (to, payload) = socks5_udp::open(bytes)?;
        let to = match to {
            Sender::Address(address) => Destination::Address(address),
            Sender::Name(name, port) => named(name, port)?,
        };
        let at = self.own.at(plan, to)?;
        self.port = Some(from.port());
        Some((at, bytes.len() - payload.len()))
    }
}
