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

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::ReadBuf;
    use underpass_core::destination::Destination;

    use super::*;
    use crate::flow::{Flows, Trip};

    /// A far end that takes nothing, and has so many bytes to say before it fails.
    struct Broken(usize);

    impl AsyncRead for Broken {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let count = self.0.min(buf.remaining()).min(5000);
            self.0 -= count;
            buf.put_slice(&[b'x'; 5000][..count]);
            Poll::Ready(if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) })
        }
    }

    impl AsyncWrite for Broken {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_a_far_end_has_sent_is_delivered_whichever_way_breaks_first() {
        const COUNT: usize = 1_234_567;
        for says in [&b""[..], b"what is not taken"] {
            let (program, mut reader) = tokio::net::UnixStream::pair().unwrap();
            let destination = Destination::Name { host: "far.test".into(), port: 443 };
            let trip = Trip { pid: 0, program: None, destination, course: None, tally: Arc::default() };
            let listed = Flows::default().begin(trip);
            reader.write_all(says).await.unwrap();
            let reads = tokio::spawn(async move {
                let mut read = Vec::new();
                reader.read_to_end(&mut read).await.map(|_| read)
            });
            let program = Bare::new(program.into_std().unwrap().into()).unwrap();
            let ended = relay(program, Broken(COUNT), Arc::clone(&listed.flow)).await;
            assert!(matches!(ended, Ended::Other(_)), "{ended:?}");
            assert_eq!(reads.await.unwrap().unwrap().len(), COUNT);
            assert_eq!((listed.flow.up(), listed.flow.down()), (0, COUNT as u64));
        }
    }
}
