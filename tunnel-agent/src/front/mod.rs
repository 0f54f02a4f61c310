//! The front door: a SOCKS5 and an HTTP `CONNECT` listener on loopback, for what the library cannot be loaded
//! into. What comes in is carried by the routes and chains of one session, as a program's connections are.
//!
//! # Layout
//!
//! - [`door`]: where it listens; [`configuration`]: which session it serves; [`given`]: a launcher says both.
//! - [`socks5`], [`http`]: what is asked, and how it is answered; [`visit`]: one connection from its first byte
//!   to its last.
//!
//! It carries connections only: `BIND`, `UDP ASSOCIATE` and HTTP's other methods are refused.

pub(crate) mod configuration;
pub(crate) mod door;
mod given;
mod http;
mod socks5;
mod visit;

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use underpass_core::session_env::SessionEnv;
use underpass_core::wire::Token;

use crate::agent::Agent;
use crate::lifetime::Lifetime;
use crate::listening;
use configuration::Chosen;
use door::{Door, Kind};

/// How long accepting waits when there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

/// Doors that listen, and what is behind them.
pub(crate) struct Front {
    doors: Vec<(Kind, std::net::TcpListener)>,
    chosen: Chosen,
    /// Serves as long as this launcher wants it.
    launcher: Option<UnixStream>,
}

impl Front {
    /// Begins to listen; nothing is accepted before [`serve`].
    pub(crate) fn open(doors: &[Door], chosen: Chosen) -> io::Result<Self> {
        let opened = doors.iter().map(|door| {
            let listener = listening::bind(door.address, false)
                .map_err(|error| io::Error::new(error.kind(), format!("{door}: {error}")))?;
            Ok((door.kind, listener))
        });
        Ok(Self { doors: opened.collect::<io::Result<_>>()?, chosen, launcher: None })
    }

    /// What the launcher that has started us gives by standard input.
    pub(crate) fn given() -> io::Result<Self> {
        given::receive()
    }
}

/// Serves the doors for ever, or as long as their launcher is there; without any it waits for ever.
pub(crate) async fn serve(agent: &Arc<Agent>, front: Option<Front>) -> io::Result<()> {
    let Some(Front { doors, chosen, launcher }) = front else { return std::future::pending().await };
    let _usage = Lifetime::begin(agent);
    agent.names.add(&chosen.config.pool).map_err(io::Error::other)?;
    let value = agent.sessions.open_session(chosen.config, chosen.source, None).map_err(io::Error::other)?;
    let session = SessionEnv::parse(value.as_bytes())
        .ok_or_else(|| io::Error::other("the session has no valid name"))?
        .token;
    for (kind, listener) in doors {
        let listener = TcpListener::from_std(listener)?;
        if let Ok(address) = listener.local_addr() {
            tracing::info!(at = %Door { kind, address }, "listening");
        }
        tokio::spawn(accept(Arc::clone(agent), kind, listener, session));
    }
    match launcher {
        Some(launcher) => given::until_left(launcher).await,
        None => std::future::pending().await,
    }
}

async fn accept(agent: Arc<Agent>, kind: Kind, listener: TcpListener, session: Token) {
    loop {
        // What waits for room waits in the kernel's queue.
        let Ok(room) = Arc::clone(&agent.room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                // A reload gives the session another plan.
                let Some(plan) = agent.sessions.plan(&session) else { return };
                visit::begin(&agent, kind, stream, plan, room);
            }
            Err(error) => {
                tracing::warn!(%error, "the front door waits");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
