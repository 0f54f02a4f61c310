//! A client as Rust programs are: by name, and a word comes back. `carried HOST:PORT`
use std::io::{Read, Write};
use std::net::TcpStream;

fn main() -> std::io::Result<()> {
    let mut stream = TcpStream::connect(std::env::args().nth(1).expect("a name and a port"))?;
    stream.write_all(b"word")?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer)?;
    println!("{} from {}", String::from_utf8_lossy(&answer), stream.peer_addr()?.port());
    Ok(())
}
