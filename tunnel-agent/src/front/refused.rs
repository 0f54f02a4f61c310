//! Why a door cannot be opened, for a person.

use std::io;

use rustix::io::Errno;
use rustix::net::SocketAddrUnix;
use underpass_core::config::listen::{Place, Service};
use underpass_core::failure::{reason, without_numbers};

/// Bytes of a Unix socket's path, without the zero at its end (unix(7), `sun_path`).
const LONGEST: usize = 107;

/// The error of a door with its name, and what may be done about it.
pub(super) fn explained(name: &str, service: &Service, place: &Place, error: &io::Error) -> io::Error {
    let why = match place {
        Place::Path(path) if SocketAddrUnix::new(path).is_err() => {
            format!("a Unix socket's path has at most {LONGEST} bytes")
        }
        _ if error.raw_os_error().is_some() => reason(error),
        // It was explained where it came about.
        _ => without_numbers(&error.to_string()),
    };
    let text = match hint(service, place, error) {
        Some(hint) => format!("{name}: {why}\nhint: {hint}"),
        None => format!("{name}: {why}"),
    };
    io::Error::new(error.kind(), text)
}

fn hint(service: &Service, place: &Place, error: &io::Error) -> Option<&'static str> {
    let is_low = |port: u16| port != 0 && port < 1024;
    match (Errno::from_io_error(error)?, place) {
        (Errno::ADDRINUSE, Place::Path(_)) => {
            Some("somebody listens there, or the file is no socket and has to go")
        }
        (Errno::ADDRINUSE, Place::Address(_)) => Some("ss -lntup shows who listens there"),
        (Errno::ADDRNOTAVAIL, _) => {
            Some("no interface has this address: ip address shows those that there are")
        }
        (Errno::NOENT, Place::Path(_)) => Some("the folder has to be there"),
        (Errno::PERM, Place::Address(_)) if *service == Service::Tproxy => Some("it needs CAP_NET_ADMIN"),
        (Errno::ACCESS, Place::Address(address)) if is_low(address.port()) => {
            Some("a port below 1024 needs CAP_NET_BIND_SERVICE (ip(7), ip_unprivileged_port_start)")
        }
        _ => None,
    }
}
