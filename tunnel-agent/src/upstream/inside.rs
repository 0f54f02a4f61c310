//! `local:` as a chain: the client of the two relays that are inside the agent.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use underpass_core::destination::Destination;
use underpass_core::failure::{Failure, errno};

use super::Far;
use super::hop::{Client, Hop};
use super::path::Progress;
use super::relay::sessions::{Sessions, Through};
use crate::relay::inside::{Beyond, Door};
use crate::socket::source_towards;
use crate::tls::key::made::Made;

/// The two, and the session with them that all connections share.
pub(crate) struct Inside {
    hops: [Arc<Hop>; 2],
    sessions: Arc<Sessions>,
}

impl Inside {
    /// Those of this process. Their keys are made when they are wanted first, and are nowhere else.
    pub(crate) fn get() -> Result<&'static Self, String> {
        static INSIDE: OnceLock<Result<Inside, String>> = OnceLock::new();
        INSIDE.get_or_init(Self::new).as_ref().map_err(Clone::clone)
    }

    fn new() -> Result<Self, String> {
        let made = || Made::new(&[])?.identity();
        let (own, exits) = (made()?, made()?);
        let (to_entry, to_exit) = (made()?, made()?);
        let exit = Door::new(&exits, &to_exit.pin(), Beyond::Here)?;
        let entry = Door::new(&own, &to_entry.pin(), Beyond::Next(exit))?;
        let hops = [
            Hop::inside("entry.internal", own.pin(), &to_entry, Some(entry))?,
            Hop::inside("exit.internal", exits.pin(), &to_exit, None)?,
        ];
        Ok(Self { hops: hops.map(Arc::new), sessions: Arc::default() })
    }

    /// A connection that leaves from this machine.
    pub(crate) async fn dial(
        &self,
        destination: &Destination,
        client: &Client,
        patience: Duration,
    ) -> Result<Far, Failure> {
        let through = Through { path: &[0, 1], hops: &self.hops, client, destination, patience };
        let dialled = Sessions::dial(&self.sessions, &through, destination, &Progress::default()).await;
        match dialled {
            Ok(Some(far)) => Ok(Far { local: local(destination), ..far }),
            Ok(None) => Err(Failure::Protocol("it speaks no HTTP/2")),
            Err(failure) => Err(plain(failure, destination)),
        }
    }
}

/// The address that this machine leaves from towards a destination, or towards the rest of the world if only the exit
/// knows where that is.
fn local(destination: &Destination) -> Option<SocketAddr> {
    const ELSEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 1);
    let to = match destination {
        Destination::Address(address) => *address,
        Destination::Name { .. } => ELSEWHERE,
    };
    source_towards(to)
}

/// As if it had been dialled without relays: nobody asked for a proxy.
fn plain(failure: Failure, destination: &Destination) -> Failure {
    match (failure, destination) {
        (Failure::Http { told: Some(errno::EHOSTUNREACH), .. }, Destination::Name { .. }) => {
            Failure::NameNotFound
        }
        (Failure::Http { told: Some(errno), .. }, _) => Failure::Dial(errno),
        (failure, _) => failure,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::tls::key::Identity;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn inside() -> Inside {
        Inside::new().unwrap()
    }

    fn hello() -> Destination {
        Destination::Name { host: "hello.internal".into(), port: 80 }
    }

    #[tokio::test]
    async fn both_relays_carry_many_connections_by_one_session() {
        let inside = inside();
        let client = Client::default();
        let (destination, fetches) = (hello(), 0..64);
        let fetch = async || {
            let far = inside.dial(&destination, &client, PATIENCE).await.unwrap();
            let mut stream = far.stream.into_duplex();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut page = String::new();
            stream.read_to_string(&mut page).await.unwrap();
            assert!(page.contains("two relays inside underpass-agent"), "{page}");
        };
        for _ in fetches {
            fetch().await;
        }
        tokio::join!(fetch(), fetch(), fetch());
        assert_eq!(inside.sessions.count(), 1);
    }

    #[tokio::test]
    async fn what_this_machine_says_is_what_is_told() {
        let inside = inside();
        let client = Client::default();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let closed = Destination::Address(([127, 0, 0, 1], port).into());
        let unknown = Destination::Name { host: "no-such-name.invalid".into(), port: 80 };
        let elsewhere = Destination::Name { host: "hello.internal".into(), port: 81 };
        for (destination, failure) in [
            (closed, Failure::Dial(errno::ECONNREFUSED)),
            (unknown, Failure::NameNotFound),
            (elsewhere, Failure::Dial(errno::ECONNREFUSED)),
        ] {
            let told = inside.dial(&destination, &client, PATIENCE).await.err();
            assert_eq!(told, Some(failure), "{destination}");
        }
    }

    /// What comes of asking a relay that knows `known` as somebody with the key `own`, who expects `pinned`.
    async fn asked(pinned: &Identity, relay: &Identity, known: &Identity, own: &Identity) -> Option<Failure> {
        let door = Door::new(relay, &known.pin(), Beyond::Here).unwrap();
        let hops = [Arc::new(Hop::inside("entry.internal", pinned.pin(), own, Some(door)).unwrap())];
        let (client, destination) = (Client::default(), hello());
        let through = Through {
            path: &[0],
            hops: &hops,
            client: &client,
            destination: &destination,
            patience: PATIENCE,
        };
        let progress = Progress::default();
        Sessions::dial(&Arc::default(), &through, &destination, &progress).await.err()
    }

    fn made() -> Identity {
        Made::new(&[]).unwrap().identity().unwrap()
    }

    /// A stranger has a key, too, and hears nothing but an alert.
    #[tokio::test]
    async fn a_key_that_is_not_known_opens_nothing() {
        let (relay, known, stranger) = (made(), made(), made());
        assert_eq!(asked(&relay, &relay, &known, &stranger).await, Some(Failure::UnknownKey));
    }

    #[tokio::test]
    async fn another_key_than_the_pinned_one_is_no_relay() {
        let (relay, other, client) = (made(), made(), made());
        let told = asked(&other, &relay, &client, &client).await;
        assert!(matches!(told, Some(Failure::Certificate(_))));
    }
}
