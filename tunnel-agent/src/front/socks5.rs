//! The server's side of SOCKS5 (RFC 1928), as far as a front door needs it: no authentication, `CONNECT`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use underpass_core::destination::Destination;
use underpass_core::failure::errno;

const VERSION: u8 = 5;
const CONNECT: u8 = 1;
const NO_AUTHENTICATION: u8 = 0;
const NONE_ACCEPTABLE: u8 = 0xff;

const COMMAND_NOT_SUPPORTED: u8 = 7;
const ADDRESS_TYPE_NOT_SUPPORTED: u8 = 8;

/// Reads the greeting and the request; `None` after a refusal that has been answered.
pub(super) async fn asked(stream: &mut TcpStream) -> io::Result<Option<Destination>> {
    if stream.read_u8().await? != VERSION {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not SOCKS version 5"));
    }
    let mut methods = vec![0; stream.read_u8().await?.into()];
    stream.read_exact(&mut methods).await?;
    if !methods.contains(&NO_AUTHENTICATION) {
        stream.write_all(&[VERSION, NONE_ACCEPTABLE]).await?;
        return Ok(None);
    }
    stream.write_all(&[VERSION, NO_AUTHENTICATION]).await?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let [VERSION, command, _, kind] = head else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a request of SOCKS version 5"));
    };
    let host = match kind {
        1 => Ok(IpAddr::V4(Ipv4Addr::from_bits(stream.read_u32().await?))),
        4 => Ok(IpAddr::V6(Ipv6Addr::from_bits(stream.read_u128().await?))),
        3 => {
            let mut name = vec![0; stream.read_u8().await?.into()];
            stream.read_exact(&mut name).await?;
            Err(name)
        }
        _ => {
            stream.write_all(&reply(ADDRESS_TYPE_NOT_SUPPORTED)).await?;
            return Ok(None);
        }
    };
    let port = stream.read_u16().await?;
    if command != CONNECT {
        stream.write_all(&reply(COMMAND_NOT_SUPPORTED)).await?;
        return Ok(None);
    }
    match host {
        Ok(ip) => Ok(Some(Destination::Address(SocketAddr::new(ip, port)))),
        Err(name) => match super::visit::named(&name, port) {
            Some(destination) => Ok(Some(destination)),
            None => {
                stream.write_all(&reply(ADDRESS_TYPE_NOT_SUPPORTED)).await?;
                Ok(None)
            }
        },
    }
}

/// The answer to a request that came to nothing, or (0) to one that is carried.
pub(super) fn answer(errno: i32) -> [u8; 10] {
    reply(match errno {
        0 => 0,
        errno::EACCES => 2,
        errno::ENETUNREACH => 3,
        errno::EHOSTUNREACH => 4,
        errno::ECONNREFUSED => 5,
        errno::ETIMEDOUT => 6,
        _ => 1,
    })
}

/// Where the connection leaves from is not told.
fn reply(code: u8) -> [u8; 10] {
    [VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0]
}
