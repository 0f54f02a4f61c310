//! Which of a name's addresses is connected to: RFC 8305 (Happy Eyeballs), in the small. They are tried in turn, the
//! next one when the one before has failed or has not answered for a while, and the first that answers is taken.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::timeout;

/// How long an address is waited for before the next is tried beside it (RFC 8305 section 5, Connection Attempt Delay).
pub(crate) const DELAY: Duration = Duration::from_millis(250);

/// Puts `preferred` first, if it is one of them, and has the families alternate after it (RFC 8305 section 4).
pub(super) fn ordered(addresses: Vec<SocketAddr>, preferred: Option<SocketAddr>) -> Vec<SocketAddr> {
    let preferred = preferred.filter(|preferred| addresses.contains(preferred));
    let others = addresses.into_iter().filter(|address| Some(*address) != preferred);
    let in_order: Vec<SocketAddr> = preferred.into_iter().chain(others).collect();
    let Some(first) = in_order.first().copied() else { return in_order };
    let (like_first, other): (Vec<_>, Vec<_>) =
        in_order.into_iter().partition(|address| address.is_ipv4() == first.is_ipv4());
    let (mut like_first, mut other) = (like_first.into_iter(), other.into_iter());
    let mut alternating = Vec::with_capacity(like_first.len() + other.len());
    while like_first.len() + other.len() > 0 {
        alternating.extend(like_first.next());
        alternating.extend(other.next());
    }
    alternating
}

/// What connects first, and its address; the others are given up. The last error where none does, and `None` where there
/// was no address.
pub(super) async fn first<T, F: Future<Output = io::Result<T>>>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<(SocketAddr, T), Option<io::Error>> {
    let mut waiting = addresses.into_iter();
    let mut trying = Vec::new();
    let mut failed = None;
    loop {
        match waiting.next() {
            Some(address) => trying.push((address, Box::pin(connect(address)))),
            None if trying.is_empty() => return Err(failed),
            None => {}
        }
        let answer = poll_fn(|cx| poll_any(&mut trying, cx));
        let answered = match waiting.len() {
            0 => Some(answer.await),
            _ => timeout(DELAY, answer).await.ok(),
        };
        match answered {
            Some((address, Ok(connection))) => return Ok((address, connection)),
            Some((_, Err(error))) => failed = Some(error),
            None => {}
        }
    }
}

/// The first of them that has ended, which is no longer among them then.
fn poll_any<T, F: Future<Output = io::Result<T>>>(
    trying: &mut Vec<(SocketAddr, Pin<Box<F>>)>,
    cx: &mut Context<'_>,
) -> Poll<(SocketAddr, io::Result<T>)> {
    for number in 0..trying.len() {
        let (address, attempt) = &mut trying[number];
        if let Poll::Ready(ended) = attempt.as_mut().poll(cx) {
            let address = *address;
            drop(trying.remove(number));
            return Poll::Ready((address, ended));
        }
    }
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Instant, sleep};

    fn all(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn families_alternate_after_what_answered_last() {
        let found = all(&["[::1]:1", "[::2]:1", "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]);
        let alternating = ["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1", "10.0.0.3:1"];
        assert_eq!(ordered(found.clone(), None), all(&alternating));
        let preferred = "10.0.0.3:1".parse().unwrap();
        let after = ["10.0.0.3:1", "[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1"];
        assert_eq!(ordered(found.clone(), Some(preferred)), all(&after));
        let unknown = "10.0.0.4:1".parse().unwrap();
        assert_eq!(ordered(found, Some(unknown)), all(&alternating));
        assert_eq!(ordered(Vec::new(), Some(unknown)), []);
    }

    /// Ports say what becomes of an address: it answers after so many milliseconds, or refuses, or never answers.
    async fn connect(address: SocketAddr) -> io::Result<u16> {
        match address.port() {
            1 => Err(io::ErrorKind::ConnectionRefused.into()),
            2 => std::future::pending().await,
            time => {
                sleep(Duration::from_millis(time.into())).await;
                Ok(time)
            }
        }
    }

    /// The port that was taken, after how many milliseconds.
    async fn taken(addresses: &[&str]) -> (u16, u128) {
        let start = Instant::now();
        let (_, port) = first(all(addresses), connect).await.expect("one answers");
        (port, start.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_address_is_tried_at_once_after_a_failure_and_after_a_while_without_an_answer() {
        assert_eq!(taken(&["10.0.0.1:40"]).await, (40, 40));
        assert_eq!(taken(&["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:40"]).await, (40, 40));
        assert_eq!(taken(&["10.0.0.1:2", "10.0.0.2:40"]).await, (40, 290));
        // One that is late is still taken, and one that fails meanwhile is nobody's loss.
        assert_eq!(taken(&["10.0.0.1:300", "10.0.0.2:100"]).await, (300, 300));
        assert_eq!(taken(&["10.0.0.1:300", "10.0.0.2:1"]).await, (300, 300));
        assert_eq!(taken(&["10.0.0.1:2", "10.0.0.2:1", "10.0.0.3:2", "10.0.0.4:40"]).await, (40, 540));
    }

    #[tokio::test(start_paused = true)]
    async fn where_none_answers_the_last_error_is_told() {
        let failed = first(all(&["10.0.0.1:1", "10.0.0.2:1"]), connect).await;
        let kind = failed.expect_err("all refuse").map(|error| error.kind());
        assert_eq!(kind, Some(io::ErrorKind::ConnectionRefused));
        assert!(first(Vec::new(), connect).await.is_err_and(|error| error.is_none()));
    }
}
