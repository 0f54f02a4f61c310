//! The other end of a program's connection to port 53: its socket is held and completed as any other, and
//! what it says is answered here, whichever server it has asked for.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use underpass_core::destination::{DNS_PORT, Destination, is_local};
use underpass_core::failure::{Failure, errno};

use super::{Over, answer};
use crate::agent::Agent;
use crate::plan::{Plan, Way};
use crate::upstream::Far;
use crate::upstream::hop::Client;
use crate::upstream::stream::{Bare, Stream};

/// Questions of one connection that are answered at once; the next ones are not read meanwhile.
const PIPELINE: usize = 16;
/// How long a program may say nothing, or not read.
const IDLE: Duration = Duration::from_secs(30);

/// Whether a connection is to be answered here: to DNS, unless a route sends it direct. On loopback it is a
/// stub's, which would carry names out.
pub(crate) fn is_served(destination: &Destination, way: &Way<'_>) -> bool {
    let is_here = match destination {
        Destination::Address(address) => is_local(address.ip()),
        Destination::Name { .. } => false,
    };
    destination.port() == DNS_PORT && (is_here || matches!(way, Way::Chain(_)))
}

/// One end of a stream whose other end is served here.
pub(crate) fn far(
    agent: &Arc<Agent>,
    plan: &Arc<Plan>,
    client: &Client,
    asked: SocketAddr,
) -> Result<Far, Failure> {
    let pair = || -> io::Result<_> {
        let (far, near) = UnixStream::pair()?;
        Ok((Bare::new(far.into_std()?.into())?, near))
    };
    let (far, near) = pair().map_err(|e| Failure::Dial(e.raw_os_error().unwrap_or(errno::ENETUNREACH)))?;
    let asker = Asker { agent: Arc::clone(agent), plan: Arc::clone(plan), client: client.clone(), asked };
    tokio::spawn(async move {
        if let Err(error) = serve(Arc::new(asker), near).await {
            tracing::debug!(%error, "a connection for names ended early");
        }
    });
    Ok(Far { stream: Stream::Bare(far), local: None, exit: None, one_flight: false })
}

struct Asker {
    agent: Arc<Agent>,
    plan: Arc<Plan>,
    client: Client,
    asked: SocketAddr,
}

/// Answers questions until the program closes; each answer as soon as it is known (RFC 7766 section 6.2.1.1).
async fn serve(asker: Arc<Asker>, stream: UnixStream) -> io::Result<()> {
    let (mut from, mut to) = stream.into_split();
    let mut bytes = Vec::new();
    let mut answers = JoinSet::new();
    let mut is_open = true;
    loop {
        while answers.len() < PIPELINE
            && let Some(question) = take(&mut bytes)
        {
            let asker = Arc::clone(&asker);
            answers.spawn(async move {
                let Asker { agent, plan, client, asked } = &*asker;
                answer(agent, plan, client, &question, *asked, Over::Tcp).await
            });
        }
        let may_read = is_open && answers.len() < PIPELINE;
        tokio::select! {
            Some(answer) = answers.join_next(), if !answers.is_empty() => {
                if let Some(answer) = answer.map_err(io::Error::other)? {
                    let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
                    let framed = [&length.to_be_bytes(), &answer[..]].concat();
                    tokio::time::timeout(IDLE, to.write_all(&framed)).await??;
                }
            }
            read = tokio::time::timeout(IDLE, from.read_buf(&mut bytes)), if may_read => match read {
                Ok(read) => is_open = read? > 0,
                Err(_) if answers.is_empty() => return Ok(()),
                Err(_) => {}
            },
            else => return Ok(()),
        }
    }
}

/// The first message of those that have come, if it is whole.
fn take(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let message = rest.get(..length)?.to_vec();
    bytes.drain(..2 + length);
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_when_they_are_whole() {
        let mut bytes = vec![0, 2, b'a', b'b', 0, 0, 0];
        assert_eq!(take(&mut bytes), Some(b"ab".to_vec()));
        assert_eq!(take(&mut bytes), Some(vec![]));
        assert_eq!(take(&mut bytes), None);
        bytes.extend([1, b'c']);
        assert_eq!(take(&mut bytes), Some(b"c".to_vec()));
        assert_eq!((take(&mut bytes), bytes), (None, vec![]));
    }
}
