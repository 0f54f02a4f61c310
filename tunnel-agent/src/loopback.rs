//! TCP legs that stay on this machine: nothing is lost on them, and what waits on them should still be
//! warm in the processor's cache when it is read.
//!
//! With the kernel's own sizes (megabytes, growing) and a congestion control that paces (bbr), a relayed
//! upload has two thirds of the speed (docs/performance.md).

use std::fs;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::LazyLock;

use rustix::net::sockopt;

use crate::socket::local_address;

/// Bytes on their way in one direction. The kernel doubles what is asked for (socket(7)).
const BUFFER: usize = 512 << 10;
const PLAIN: &str = "reno";

/// The algorithm that sockets of this network begin with (net.ipv4.tcp_congestion_control, tcp(7)).
static DEFAULT: LazyLock<String> = LazyLock::new(|| {
    fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
});

/// The congestion control that the owner of a socket has chosen for it (TCP_CONGESTION, tcp(7)).
pub(crate) fn chosen_congestion(socket: &impl AsFd) -> Option<String> {
    sockopt::tcp_congestion(socket).ok().filter(|name| *name != *DEFAULT)
}

/// Prepares the agent's end of the leg to a program whose end is `program`, before it is connected.
/// `chosen` is what the program has chosen: that stays.
pub(crate) fn to_program(ours: &impl AsFd, program: &impl AsFd, chosen: bool) {
    let _ = sockopt::set_socket_recv_buffer_size(ours, BUFFER);
    without_pace(ours);
    if !chosen {
        without_pace(program);
    }
}

/// Prepares a connection to a proxy on this machine.
pub(crate) fn to_proxy(socket: &impl AsFd) {
    let _ = sockopt::set_socket_send_buffer_size(socket, BUFFER / 2);
    without_pace(socket);
}

/// Prepares a connection that was accepted, if it comes from this machine.
pub(crate) fn accepted(socket: &impl AsFd, from: IpAddr) {
    if local_address(socket).is_ok_and(|local| local.ip() == from) {
        to_proxy(socket);
    }
}

fn without_pace(socket: &impl AsFd) {
    if !matches!(&**DEFAULT, "reno" | "cubic") {
        let _ = sockopt::set_tcp_congestion(socket, PLAIN);
    }
}
