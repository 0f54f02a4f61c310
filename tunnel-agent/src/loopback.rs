//! TCP legs that stay on this machine: nothing is lost on them, and what waits on them should still be
//! warm in the processor's cache when it is read.
//!
//! With the kernel's own sizes (megabytes, growing) and a congestion control that paces (bbr), a relayed
//! upload is a fifth slower (docs/performance.md).

use std::os::fd::AsFd;

use rustix::net::sockopt;

use crate::facts::congestion;

/// Bytes on their way in one direction. The kernel doubles what is asked for (socket(7)).
const BUFFER: usize = 512 << 10;
const CONGESTION: &str = "reno";

/// Prepares the agent's end of the leg to a program whose end is `program`, before it is connected.
pub(crate) fn to_program(ours: &impl AsFd, program: &impl AsFd) {
    let default = congestion(ours);
    let _ = sockopt::set_tcp_congestion(ours, CONGESTION);
    let _ = sockopt::set_socket_recv_buffer_size(ours, BUFFER);
    // What the program has chosen stays, and goes for the far end too (FarOptions).
    if congestion(program) == default {
        let _ = sockopt::set_tcp_congestion(program, CONGESTION);
    }
}

/// Prepares a connection to a proxy on this machine.
pub(crate) fn to_proxy(socket: &impl AsFd) {
    let _ = sockopt::set_tcp_congestion(socket, CONGESTION);
    let _ = sockopt::set_socket_send_buffer_size(socket, BUFFER / 2);
}
