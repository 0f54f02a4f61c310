//! Bytes between the program's socket and a stream of a session with a relay. What comes is written from where
//! HTTP/2 has put it, and what goes is read into a buffer of a pool, from which it is written: an idle connection
//! holds none.

use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use tokio::io::unix::AsyncFd;

use crate::ends::{STANDSTILL, drain, end_on_close, is_broken, keep_alive, tell_end};
use crate::flow::{Ended, Flow};
use crate::relay::buffers::{Buffer, Filled, LENGTH, TURN};
use crate::relay::memory::MANY;
use crate::upstream::relay::muxed::Muxed;
use crate::urgent;

/// What was read; few bytes do not keep a buffer.
fn sent(buffer: Buffer, count: usize) -> Bytes {
    match count < MANY {
        true => Bytes::copy_from_slice(&buffer[..count]),
        false => Bytes::from_owner(Filled(buffer, count)),
    }
}

/// Where one way stands; a waker is registered wherever it waits.
enum Now {
    Ended,
    Waits,
    /// For room to send: the program is not read.
    Unread,
    /// Bytes are still there, and others come first.
    Yielded,
    ProgramBroken,
    FarBroken,
}

/// Relays until both ways have ended.
pub(super) async fn relay(program: AsyncFd<OwnedFd>, far: Muxed, flow: Arc<Flow>) -> Ended {
    urgent::in_line(&program);
    let mut both =
        Both { program, far, rest: Bytes::new(), up: 0, down: 0, up_ended: false, down_ended: false };
    let ended = poll_fn(|cx| {
        let down = both.poll_down(cx);
        let up = both.poll_up(cx);
        flow.passed(both.up, both.down);
        match (down, up) {
            (Now::Ended, Now::Ended) => Poll::Ready(Ended::Regularly),
            (Now::ProgramBroken, _) | (_, Now::ProgramBroken) => Poll::Ready(Ended::ByProgram),
            // What has come before the reset is delivered first.
            (Now::FarBroken, _) => Poll::Ready(Ended::ByFar),
            (Now::Waits | Now::Ended, Now::FarBroken) => Poll::Ready(Ended::ByFar),
            (_, Now::Yielded) | (Now::Yielded, _) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            // A program that is not read is looked at for a reset.
            (_, Now::Unread | Now::Ended) if is_broken(&both.program, cx) => Poll::Ready(Ended::ByProgram),
            _ => Poll::Pending,
        }
    })
    .await;
    if let Ended::ByFar = ended {
        both.deliver().await;
        flow.passed(both.up, both.down);
    }
    let Both { program, mut far, .. } = both;
    match ended {
        Ended::Regularly => end_on_close(&program),
        Ended::ByFar => drain(&program).await,
        _ => far.reset(),
    }
    ended
}

struct Both {
    program: AsyncFd<OwnedFd>,
    far: Muxed,
    /// What has come and the program has not taken.
    rest: Bytes,
    /// Bytes, since the start.
    up: u64,
    down: u64,
    up_ended: bool,
    down_ended: bool,
}

impl Both {
    /// From the relay to the program.
    fn poll_down(&mut self, cx: &mut Context<'_>) -> Now {
        let mut moved = 0;
        while !self.down_ended {
            while !self.rest.is_empty() {
                match rustix::net::send(&self.program, &self.rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
                {
                    Ok(sent) => {
                        self.rest.advance(sent);
                        self.far.taken(sent);
                        self.down += sent as u64;
                        moved += sent;
                    }
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => match self.program.poll_write_ready(cx) {
                        Poll::Ready(Ok(mut guard)) => guard.clear_ready(),
                        Poll::Ready(Err(_)) => return Now::ProgramBroken,
                        Poll::Pending => return Now::Waits,
                    },
                    Err(_) => return Now::ProgramBroken,
                }
            }
            // So that what has been written is freed.
            self.rest = Bytes::new();
            if moved >= TURN {
                return Now::Yielded;
            }
            match self.far.poll_receive(cx) {
                Poll::Ready(Some(Ok(bytes))) => self.rest = bytes,
                Poll::Ready(Some(Err(_))) => return Now::FarBroken,
                Poll::Ready(None) => {
                    if tell_end(&self.program).is_err() {
                        return Now::ProgramBroken;
                    }
                    self.down_ended = true;
                }
                Poll::Pending => return Now::Waits,
            }
        }
        Now::Ended
    }

    /// Delivers what has come before a reset, as long as the program takes it.
    async fn deliver(&mut self) {
        let mut more = true;
        while more {
            let step = poll_fn(|cx| {
                let before = self.down;
                match self.poll_down(cx) {
                    Now::Waits if self.down == before => Poll::Pending,
                    Now::Waits | Now::Yielded => Poll::Ready(true),
                    _ => Poll::Ready(false),
                }
            });
            more = tokio::time::timeout(STANDSTILL, step).await.unwrap_or(false);
        }
    }

    /// From the program to the relay.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Now {
        let mut moved = 0;
        while !self.up_ended {
            if moved >= TURN {
                return Now::Yielded;
            }
            let mut guard = match self.program.poll_read_ready(cx) {
                Poll::Ready(Ok(guard)) => guard,
                Poll::Ready(Err(_)) => return Now::ProgramBroken,
                Poll::Pending => {
                    self.far.no_room();
                    return self.unless_reset(Now::Waits, cx);
                }
            };
            // Room is asked for where there is something to send.
            let room = match self.far.poll_room(LENGTH, cx) {
                Poll::Ready(Ok(room)) => room,
                Poll::Ready(Err(_)) => return Now::FarBroken,
                Poll::Pending => return self.unless_reset(Now::Unread, cx),
            };
            let mut buffer = Buffer::take();
            match rustix::net::recv(&self.program, &mut buffer[..room], RecvFlags::DONTWAIT) {
                Ok((_, count)) if count > 0 => {
                    if self.far.send(sent(buffer, count)).is_err() {
                        return Now::FarBroken;
                    }
                    self.up += count as u64;
                    moved += count;
                }
                Ok(_) => {
                    self.up_ended = true;
                    if self.far.end().is_err() {
                        return Now::FarBroken;
                    }
                    // A program that has ended leaves a socket that says nothing more.
                    keep_alive(&self.program);
                }
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                Err(_) => return Now::ProgramBroken,
            }
        }
        match self.far.poll_reset(cx) {
            // After both ways have ended there is nothing to reset.
            Poll::Ready(()) if !self.down_ended => Now::FarBroken,
            _ => Now::Ended,
        }
    }

    /// A relay that has given up the stream reads nothing more.
    fn unless_reset(&mut self, now: Now, cx: &mut Context<'_>) -> Now {
        match self.far.poll_reset(cx) {
            Poll::Ready(()) => Now::FarBroken,
            Poll::Pending => now,
        }
    }
}
