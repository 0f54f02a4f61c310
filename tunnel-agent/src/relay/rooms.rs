//! The windows of a connection's streams, told again after they have become smaller.
//!
//! Room that is given back is announced by h2 (0.4) when it is worth a frame, and it looks at that only when more is
//! given back. Where a smaller SETTINGS_INITIAL_WINDOW_SIZE has left the other end nothing to send with (RFC 9113
//! section 6.9.2), nothing comes that could be given back, and both ends wait for ever.

use std::collections::HashMap;
use std::sync::Arc;

use h2::FlowControl;
use parking_lot::Mutex;

/// So many answers to pings after a smaller size was set each is told: it is known by the first, unless that ping
/// has overtaken the size in what was still to be written.
pub(crate) const ANSWERS: u8 = 2;

/// The streams of one connection that are open.
#[derive(Debug, Default)]
pub(crate) struct Rooms(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    streams: HashMap<u64, FlowControl>,
    next: u64,
}

impl Rooms {
    /// A stream is there for as long as what is returned.
    pub(crate) fn enter(self: &Arc<Self>, stream: &FlowControl) -> Room {
        let mut open = self.0.lock();
        let number = open.next;
        open.next += 1;
        open.streams.insert(number, stream.clone());
        Room { rooms: Arc::clone(self), number }
    }

    /// Announces what has not been. To be called when the other end has acknowledged the smaller size
    /// ([`ANSWERS`]).
    pub(crate) fn tell(&self) {
        for stream in self.0.lock().streams.values_mut() {
            // Nothing is given back by this, but looked at.
            let _ = stream.release_capacity(0);
        }
    }
}

/// A stream's place among them. It keeps the stream from being reset when all else of it is dropped, so it goes last.
#[derive(Debug)]
pub(crate) struct Room {
    rooms: Arc<Rooms>,
    number: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        let stream = self.rooms.0.lock().streams.remove(&self.number);
        // With it the stream may end, which is not for others to wait for.
        drop(stream);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Request, Response};
    use tokio::time::timeout;

    use super::*;

    const FIRST: u32 = 1 << 20;
    const LESS: u32 = 256 << 10;
    /// Too little to be worth a frame, and more than the smaller window.
    const PART: usize = 300 << 10;

    /// Whether a byte comes that is sent after the window has become smaller.
    async fn goes_on(tells: bool) -> bool {
        let (near, far) = tokio::io::duplex(1 << 21);
        let server = tokio::spawn(async move {
            let mut connection = h2::server::handshake(far).await.unwrap();
            let (_request, mut respond) = connection.accept().await.unwrap().unwrap();
            let mut pings = connection.ping_pong().unwrap();
            let mut send = respond.send_response(Response::new(()), false).unwrap();
            send.send_data(Bytes::from(vec![0; PART]), false).unwrap();
            let drive = tokio::spawn(async move { while connection.accept().await.is_some() {} });
            // What it sends next comes after the acknowledgement.
            pings.ping(h2::Ping::opaque()).await.unwrap();
            (send, drive)
        });
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(FIRST).initial_connection_window_size(FIRST * 4);
        let (sender, mut connection) = builder.handshake::<_, Bytes>(near).await.unwrap();
        let mut sender = sender.ready().await.unwrap();
        let (answer, _send) = sender.send_request(Request::new(()), true).unwrap();
        let mut body = tokio::select! {
            answer = answer => answer.unwrap().into_body(),
            _ = &mut connection => unreachable!("the connection goes on"),
        };
        let rooms = Arc::<Rooms>::default();
        let _room = rooms.enter(body.flow_control());
        let mut come = 0;
        while come < PART {
            let bytes = tokio::select! {
                bytes = body.data() => bytes.unwrap().unwrap(),
                _ = &mut connection => unreachable!("the connection goes on"),
            };
            come += bytes.len();
            body.flow_control().release_capacity(bytes.len()).unwrap();
        }
        // By steps: what is left of the first window is more than the first of them.
        let mut pings = connection.ping_pong().unwrap();
        for size in [FIRST / 2, LESS] {
            connection.set_initial_window_size(size).unwrap();
            tokio::select! {
                pong = pings.ping(h2::Ping::opaque()) => drop(pong.unwrap()),
                _ = &mut connection => unreachable!("the connection goes on"),
            }
        }
        if tells {
            rooms.tell();
        }
        let more = async {
            let (mut send, _drive) = tokio::select! {
                server = server => server.unwrap(),
                _ = &mut connection => unreachable!("the connection goes on"),
            };
            send.send_data(Bytes::from_static(b"x"), false).unwrap();
            tokio::select! {
                bytes = body.data() => bytes.unwrap().unwrap().len(),
                _ = &mut connection => unreachable!("the connection goes on"),
            }
        };
        timeout(Duration::from_millis(500), more).await == Ok(1)
    }

    #[tokio::test]
    async fn a_stream_goes_on_after_its_window_has_become_smaller() {
        assert!(goes_on(true).await);
        assert!(!goes_on(false).await, "h2 announces it by itself: this module can go");
    }
}
