//! Launchers open sessions here. Only the agent's own user is heard.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use underpass_core::control::{ControlReply, ControlRequest, MAX_LINE};

use crate::agent::Agent;
use crate::lifetime::Lifetime;
use crate::session::Opened;
use crate::{check, processes, reload, status};

/// How long a launcher may take to say what it wants, or to read the answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Serves launchers for ever.
pub(crate) async fn accept(agent: &Arc<Agent>, listener: &UnixListener) -> io::Result<()> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let agent = Arc::clone(agent);
                tokio::spawn(async move {
                    if let Err(error) = serve(&agent, stream).await {
                        tracing::debug!(%error, "a launcher went away");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "launchers wait");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Forgets sessions, where there are too many, of which nothing lives. One thread does so at a time, and none while a
/// successor reads them.
fn thin_out(agent: &Arc<Agent>) {
    if !agent.sessions.are_crowded() {
        return;
    }
    let Ok(alone) = Arc::clone(&agent.writing).try_lock_owned() else { return };
    let agent = Arc::clone(agent);
    tokio::task::spawn_blocking(move || {
        let _alone = alone;
        let alive = processes::sessions(&agent.sessions.socket, &agent.lifetime.seen_and_alive());
        let has_programs = |token: &_| alive.as_ref().is_none_or(|alive| alive.contains(token));
        if let Err(error) = agent.sessions.thin_out(has_programs) {
            tracing::warn!(%error, "the file of sessions is not written anew");
        }
    });
}

async fn serve(agent: &Arc<Agent>, stream: UnixStream) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    if peer.uid() != agent.uid {
        return Ok(());
    }
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    let mut bounded = (&mut stream).take(MAX_LINE as u64);
    tokio::time::timeout(DEADLINE, bounded.read_line(&mut line)).await??;
    if agent.has_given.load(Ordering::Relaxed) {
        // Whoever asks again asks the successor.
        return Ok(());
    }
    let reply = match line.strip_suffix('\n').map(ControlRequest::from_line) {
        Some(Ok(ControlRequest::OpenSession { config, linger, source, for_process })) => {
            let process = for_process.map_or(peer.pid(), |pid| pid.try_into().ok()).unwrap_or(0);
            let metrics = || agent.metrics.open(agent, config.metrics.as_ref());
            let opened = agent.names.add(&config.pool).and_then(|()| metrics()).and_then(|()| {
                let (value, keeper) = match agent.sessions.open_session(*config, source) {
                    Ok(Opened { value, keeper }) => (Ok(value), Some(keeper)),
                    Err(why) => (Err(why), None),
                };
                Lifetime::watch(agent, process, linger, keeper);
                value
            });
            thin_out(agent);
            match opened {
                Ok(environment) => ControlReply::Session { environment },
                Err(message) => ControlReply::Error { message },
            }
        }
        Some(Ok(ControlRequest::Check { config })) => {
            let _usage = Lifetime::begin(agent);
            let (tell, mut told) = mpsc::channel(1);
            let check = tokio::spawn(check::check(*config, tell));
            while let Some(told) = told.recv().await {
                stream.write_all(told.to_line().as_bytes()).await?;
            }
            match check.await.map_err(io::Error::other)? {
                Ok(()) => ControlReply::Done,
                Err(message) => ControlReply::Error { message },
            }
        }
        Some(Ok(ControlRequest::Status)) => {
            // Told by a thread that waits until each piece is taken.
            let (tell, mut told) = mpsc::channel(64);
            let agent = Arc::clone(agent);
            let telling = tokio::task::spawn_blocking(move || status::tell(&agent, &tell));
            while let Some(told) = told.recv().await {
                tokio::time::timeout(DEADLINE, stream.write_all(told.to_line().as_bytes())).await??;
            }
            match telling.await.map_err(io::Error::other)? {
                Ok(()) => ControlReply::Done,
                Err(message) => ControlReply::Error { message },
            }
        }
        Some(Ok(ControlRequest::Reload)) => reload::reload(agent).await?,
        Some(Ok(_)) => ControlReply::Error { message: "this agent does not know the request".to_owned() },
        Some(Err(why)) => ControlReply::Error { message: format!("not a request: {why}") },
        None => ControlReply::Error { message: format!("a request is one line of at most {MAX_LINE} bytes") },
    };
    tokio::time::timeout(DEADLINE, stream.write_all(reply.to_line().as_bytes())).await?
}
