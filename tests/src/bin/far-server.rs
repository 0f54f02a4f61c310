//! The services of `underpass_tests::servers`, on the far side of a world. Writes `ready`, then
//! runs until it is killed.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use underpass_tests::listening;
use underpass_tests::servers::{self, port};

fn main() -> io::Result<()> {
    for service in port::ALL {
        for number in [service, port::slow(service), port::late(service)] {
            listening::serve(listening::listen(number)?, move || move |client| serve(service, client));
        }
    }
    for address in [servers::V4, servers::V6] {
        for number in [port::ECHO, port::ECHO_TOO] {
            // Not for all addresses: an answer has to come from the one that was asked.
            match UdpSocket::bind((address, number)) {
                Ok(datagrams) => drop(thread::spawn(move || echo(&datagrams))),
                // On the client side, where some tests want a stream as well.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {}
                Err(error) => return Err(error),
            }
        }
    }
    io::stdout().write_all(b"ready\n")?;
    loop {
        thread::park();
    }
}

fn echo(datagrams: &UdpSocket) {
    let mut buffer = [0; 65536];
    loop {
        // What nobody takes is reported with the next.
        if let Ok((length, from)) = datagrams.recv_from(&mut buffer) {
            let _ = datagrams.send_to(&buffer[..length], from);
        }
    }
}

fn serve(service: u16, mut client: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 65536];
    match service {
        port::ECHO => drop(io::copy(&mut client.try_clone()?, &mut client)?),
        port::GREETER => {
            client.write_all(b"hello\n")?;
            io::copy(&mut client.try_clone()?, &mut client)?;
        }
        port::BANNER => {
            client.write_all(b"hello\n")?;
            // A proxy (squid) may reset its client when the far end is done before a request has passed.
            client.set_read_timeout(Some(Duration::from_secs(1)))?;
            let _ = client.read(&mut buffer);
            client.shutdown(Shutdown::Write)?;
            // Closed with something unread, it would be reset.
            client.set_read_timeout(Some(Duration::from_secs(50)))?;
            while client.read(&mut buffer[..16384]).is_ok_and(|n| n > 0) {}
        }
        port::RESET => {
            client.read_exact(&mut buffer[..1])?;
            set_socket_linger(&client, Some(Duration::ZERO))?;
        }
        port::SLOW_READER => {
            let mut total = 0;
            loop {
                match client.read(&mut buffer[..16384])? {
                    0 => break,
                    n => total += n,
                }
                thread::sleep(Duration::from_millis(5));
            }
            writeln!(client, "{total}")?;
        }
        port::BIG_SENDER => {
            let pattern: Vec<u8> = (0..port::BIG).map(|i| (i % 251) as u8).collect();
            client.write_all(&pattern)?;
        }
        port::AFTER_END => {
            let total = io::copy(&mut client, &mut io::sink())?;
            writeln!(client, "{total}")?;
            client.write_all(&[b'x'; 100_000])?;
        }
        _ => wait_for_end(&client)?,
    }
    // Not a reset of data that the client still sends: it ends when the client does.
    if service != port::RESET {
        client.shutdown(Shutdown::Write)?;
        io::copy(&mut client, &mut io::sink())?;
    }
    Ok(())
}

/// Until the client ends or resets, without reading.
fn wait_for_end(client: &TcpStream) -> io::Result<()> {
    let mut byte = [0];
    while client.peek(&mut byte)? != 0 {
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
