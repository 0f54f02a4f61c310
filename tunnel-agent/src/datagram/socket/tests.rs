//! The bounds: peers of a socket, descriptors of all, and how long what nobody uses is kept.

use std::net::UdpSocket;
use std::time::Duration;

use tokio::time::advance;

use super::*;
use crate::datagram::sweep::sweep;
use crate::socket::network_of;

/// A program's socket, and what is kept of it.
fn program(datagrams: &Datagrams) -> (UdpSocket, Arc<Socket>) {
    let own = UdpSocket::bind("127.0.0.1:0").unwrap();
    let copy = own.try_clone().unwrap().into();
    let socket = Arc::new(Socket::new(Facts::read(&copy, network_of(&copy)).unwrap()));
    datagrams.sockets.lock().insert(socket.cookie, Arc::clone(&socket));
    (own, socket)
}

fn address(number: usize) -> SocketAddr {
    ([10, 0, (number / 256) as u8, (number % 256) as u8], 9).into()
}

fn peer(datagrams: &Datagrams, socket: &Socket, number: usize) -> Result<Arc<Peer>, Failure> {
    let (to, mut state) = (address(number), socket.state.lock());
    state.new_peer(datagrams, to, Destination::Address(to), 1)
}

fn has(socket: &Socket, number: usize) -> bool {
    socket.peer(address(number)).is_some()
}

/// After the time for which an `at` that is given up is kept.
async fn buried() {
    tokio::time::sleep(Duration::from_secs(3)).await;
}

#[tokio::test(start_paused = true)]
async fn a_socket_has_so_many_peers_and_the_one_that_was_not_used_for_longest_goes() {
    let datagrams = Datagrams::new(1000);
    let (_own, socket) = program(&datagrams);
    for number in 0..MAX_PEERS {
        peer(&datagrams, &socket, number).unwrap();
        advance(Duration::from_millis(2)).await;
    }
    socket.set_connected(Some(&socket.peer(address(0)).unwrap().peer));
    socket.peer(address(1)).unwrap().peer.touch();
    for number in MAX_PEERS..MAX_PEERS + 10 {
        peer(&datagrams, &socket, number).unwrap();
    }
    let kept: Vec<_> = (0..MAX_PEERS + 10).filter(|number| has(&socket, *number)).collect();
    assert_eq!(kept, [0, 1].into_iter().chain(12..MAX_PEERS + 10).collect::<Vec<_>>());
    assert_eq!(datagrams.sources.lock().len(), MAX_PEERS);
    buried().await;
    assert_eq!(datagrams.room.available_permits(), 1000 - MAX_PEERS);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_share_of_descriptors_there_is_no_new_peer_until_one_has_gone() {
    let datagrams = Datagrams::new(4);
    let (_own, socket) = program(&datagrams);
    (0..4).for_each(|number| drop(peer(&datagrams, &socket, number).unwrap()));
    let refused = peer(&datagrams, &socket, 4).err().expect("there is no room");
    assert!(matches!(&refused, Failure::Socket(why) if why.contains("open files")), "{refused:?}");
    let first = socket.peer(address(0)).unwrap().peer;
    socket.remove(&datagrams, &first);
    // Its port is not given away as long as the library may send there.
    assert!(peer(&datagrams, &socket, 4).is_err());
    drop(first);
    buried().await;
    assert!(peer(&datagrams, &socket, 4).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_not_used_for_five_minutes_goes_unless_it_is_connected() {
    let datagrams = Datagrams::new(100);
    let (_own, socket) = program(&datagrams);
    (0..3).for_each(|number| drop(peer(&datagrams, &socket, number).unwrap()));
    socket.set_connected(Some(&socket.peer(address(1)).unwrap().peer));
    advance(Duration::from_secs(299)).await;
    sweep(&datagrams).await;
    assert!((0..3).all(|number| has(&socket, number)));
    socket.peer(address(2)).unwrap().peer.touch();
    advance(Duration::from_secs(2)).await;
    sweep(&datagrams).await;
    assert_eq!([0, 1, 2].map(|number| has(&socket, number)), [false, true, true]);
}

#[tokio::test(start_paused = true)]
async fn what_the_program_has_closed_is_forgotten_and_what_it_has_not_is_kept() {
    let datagrams = Datagrams::new(100);
    let (closed, gone) = program(&datagrams);
    let (_own, socket) = program(&datagrams);
    for of in [&gone, &socket] {
        peer(&datagrams, of, 0).unwrap();
    }
    sweep(&datagrams).await;
    assert_eq!(datagrams.sockets.lock().len(), 2);
    drop(closed);
    sweep(&datagrams).await;
    assert_eq!(datagrams.sockets.lock().keys().collect::<Vec<_>>(), [&socket.cookie]);
    assert!(!has(&gone, 0) && has(&socket, 0));
    buried().await;
    assert_eq!(datagrams.room.available_permits(), 99);
}
