//! What listens beyond the proxies: one process on the far side, all services, on all its
//! addresses ([`V4`], [`V6`]); and a real resolver.

mod resolver;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{World, artifacts};

pub use resolver::{Resolver, resolver, resolver_at, resolver_with};

/// The destinations' IPv4 address. The proxies know it as `echo.test`, `web.test` and `far.test`.
pub const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));
/// The destinations' IPv6 address. The proxies know it as `v6.test`.
pub const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 1));

/// The services by their TCP ports. [`ECHO`](port::ECHO) and [`ECHO_TOO`](port::ECHO_TOO) answer datagrams,
/// too, from the address that they were sent to.
///
/// The same services are on the ports 1000 higher, to which a connection takes time in both
/// worlds: natively the second until the kernel repeats the SYN, which is dropped once
/// ([`World::direct`]), through the fake proxy as long, for which it delays its reply. On the ports 2000
/// higher the SYN is dropped twice, and the reply comes after two seconds.
pub mod port {
    /// Sends back what comes, until the end of it.
    pub const ECHO: u16 = 7007;
    /// Sends datagrams back, and nothing else.
    pub const ECHO_TOO: u16 = 7009;
    /// Sends `hello\n` and ends.
    pub const BANNER: u16 = 7001;
    /// Resets the connection after the first byte that comes.
    pub const RESET: u16 = 7002;
    /// Reads 16 KiB every 5 ms to the end, then writes the number of bytes.
    pub const SLOW_READER: u16 = 7003;
    /// Sends [`BIG`] bytes, byte `i` being `i % 251`, and ends.
    pub const BIG_SENDER: u16 = 7004;
    /// Reads to the end, then writes the number of bytes and a newline, and 100,000 `x`.
    pub const AFTER_END: u16 = 7005;
    /// Sends `hello\n`, then sends back what comes.
    pub const GREETER: u16 = 7006;
    /// Accepts and neither reads nor writes, until the other side ends or resets.
    pub const HOLD: u16 = 7008;
    /// Nothing listens.
    pub const REFUSED: u16 = 7099;
    /// Of all these, the one to which a connection takes time.
    pub const fn slow(port: u16) -> u16 {
        port + 1000
    }
    /// Of all these, the one to which a connection takes two seconds or three.
    pub const fn late(port: u16) -> u16 {
        port + 2000
    }
    /// Whether a port is one of those.
    pub const fn takes_time(port: u16) -> bool {
        matches!(port, 8000..10_000)
    }
    /// What [`BIG_SENDER`] sends, in bytes.
    pub const BIG: usize = 8 << 20;
    /// All services.
    pub const ALL: [u16; 8] = [ECHO, BANNER, RESET, SLOW_READER, BIG_SENDER, AFTER_END, GREETER, HOLD];
}

/// Starts them; they end with the world.
pub fn start(world: &World) {
    let mut server = world.far(artifacts::helper("far-server")).limit(std::time::Duration::MAX).spawn();
    assert_eq!(server.next_line(), "ready");
    server.detach();
}
