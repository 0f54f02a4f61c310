//! What the servers of `src/bin` have in common: a thread for each client, and reading what has a length.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Listens on a port, on all addresses.
pub fn listen(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(("::", port))?;
    // The standard library asks for 128, too few for a storm on a busy machine.
    rustix::net::listen(&listener, 1024)?;
    Ok(listener)
}

/// Serves each client in a thread of its own. `begin` is called for one after the other, in their order, and
/// gives what serves it.
pub fn serve<S>(listener: TcpListener, mut begin: impl FnMut() -> S + Send + 'static)
where
    S: FnOnce(TcpStream) -> io::Result<()> + Send + 'static,
{
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let serve = begin();
            thread::spawn(move || client.set_nodelay(true).and_then(|()| serve(client)));
        }
    });
}

/// Writes a line to whoever drives the server.
pub fn say(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// So many bytes.
pub fn take<const N: usize>(client: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// As many bytes as a length of one byte says.
pub fn take_vec(client: &mut TcpStream, length: u8) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::from(length)];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}
