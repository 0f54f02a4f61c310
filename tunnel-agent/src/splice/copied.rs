//! Bytes between the program's connection and what is inside TLS, or is ssh: they cannot be spliced, and are copied.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::ends::{drain, end_on_close};
use crate::flow::{Ended, Flow};
use crate::upstream::stream::{Bare, Duplex};
use crate::urgent;

/// Room for the bytes of one direction.
const BUFFER: usize = 32 * 1024;

/// Relays until both ways have ended.
pub(super) async fn relay(mut program: Bare<OwnedFd>, far: impl Duplex, flow: Arc<Flow>) -> Ended {
    urgent::in_line(program.get());
    let ended = {
        let (from_program, to_program) = tokio::io::split(&mut program);
        let (from_far, to_far) = tokio::io::split(far);
        let (counts_up, counts_down) = (
            |up| flow.passed(flow.up() + up, flow.down()),
            |down| flow.passed(flow.up(), flow.down() + down),
        );
        let mut up = pin!(one_way(from_program, to_far, counts_up));
        let mut down = pin!(one_way(from_far, to_program, counts_down));
        let (up, down) = tokio::select! {
            ended = &mut up => match ended {
                Err(Broken::From(_)) => (ended, Ok(())),
                // What a far end has sent that takes nothing more is still delivered.
                _ => (ended, down.await),
            },
            ended = &mut down => match ended {
                Err(_) => (Ok(()), ended),
                Ok(()) => (up.await, ended),
            },
        };
        match (up, down) {
            (Ok(()), Ok(())) => Ended::Regularly,
            (Err(Broken::From(_)), _) | (_, Err(Broken::To(_))) => Ended::ByProgram,
            (Err(Broken::To(error)), _) | (_, Err(Broken::From(error))) => match error.raw_os_error() {
                Some(_) => Ended::ByFar,
                None => Ended::Other(error),
            },
        }
    };
    match ended {
        Ended::Regularly => end_on_close(program.get()),
        Ended::ByProgram => {}
        Ended::ByFar | Ended::Other(_) => drain(program.get()).await,
    }
    ended
}

/// Which end of a direction has failed.
enum Broken {
    From(io::Error),
    To(io::Error),
}

/// Copies until the source has ended. Nothing is read before what came is written: where the source fails, all has been that
/// came before.
async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    passed: impl Fn(u64),
) -> Result<(), Broken> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await.map_err(Broken::From)?;
        if count == 0 {
            return to.shutdown().await.map_err(Broken::To);
        }
        to.write_all(&buffer[..count]).await.map_err(Broken::To)?;
        to.flush().await.map_err(Broken::To)?;
        passed(count as u64);
    }
}
