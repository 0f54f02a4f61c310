//! Listeners of TCP for whoever comes: the relay's, and those of the front door.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted, as far as the kernel lets them (`net.core.somaxconn`, 4096 by default). Hundreds may
/// come at once, as from a browser; where the queue is full the kernel drops the SYN, which comes again after a
/// second. The 128 that std gives a listener are too few.
const BACKLOG: i32 = 4096;

/// Listens; nothing waits in a call on it. `only_v6`: where the address is `[::]`, IPv4 is left to another.
pub(crate) fn bind(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && only_v6 {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
