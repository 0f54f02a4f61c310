//! The Unix sockets at which processes of this machine look host names up for others: what is asked there leaves by their
//! sockets, past every proxy. Known by name alone; nothing is allocated, so that a hook may ask.

/// Below /run; each is a stream.
const KNOWN: [&[u8]; 5] = [
    // systemd-resolved.service(8), for nss-resolve and whoever speaks Varlink; since systemd 261 by a second name.
    b"systemd/resolve/io.systemd.Resolve",
    b"varlink/registry/io.systemd.Resolve",
    // nscd(8), unscd and nsncd: libc asks there before anything else, and asks itself where nobody answers.
    b"nscd/socket",
    // avahi-daemon(8), for nss-mdns.
    b"avahi-daemon/socket",
    // mdnsd, as mDNSResponder is called on Linux, for libdns_sd.
    b"mdnsd",
];

/// Whether `path`, a `sun_path` (unix(7)) with or without what follows its terminating zero, is one of these sockets. `/run` may
/// be called `/var/run`; what else leads to the same file (links, `..`, a path from the current directory) is not seen.
pub fn is_resolver(path: &[u8]) -> bool {
    let path = path.split(|&byte| byte == 0).next().unwrap_or_default();
    if path.first() != Some(&b'/') {
        return false;
    }
    let mut parts = path.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    let is_in_run = match parts.next() {
        Some(b"run") => true,
        Some(b"var") => parts.next() == Some(b"run"),
        _ => false,
    };
    is_in_run && KNOWN.iter().any(|known| parts.clone().eq(known.split(|&byte| byte == b'/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_is_known_by_each_spelling_of_its_path() {
        for path in [
            &b"/run/systemd/resolve/io.systemd.Resolve"[..],
            b"/run/varlink/registry/io.systemd.Resolve",
            b"/run/nscd/socket",
            b"/var/run/nscd/socket\0",
            b"/var/run/nscd/socket\0what was there before",
            b"//run/./avahi-daemon//socket",
            b"/var/run/mdnsd",
        ] {
            assert!(is_resolver(path), "{}", path.escape_ascii());
        }
    }

    #[test]
    fn nothing_else_is_one() {
        for path in [
            &b""[..],
            b"\0/run/nscd/socket",
            b"run/nscd/socket",
            b"/run",
            b"/var",
            b"/run/nscd",
            b"/run/nscd/socket2",
            b"/run/nscd/socket/more",
            b"/nscd/socket",
            b"/srv/run/nscd/socket",
            b"/run/dbus/system_bus_socket",
            b"/run/systemd/resolve/io.systemd.Resolve.Monitor",
            b"/run/systemd/userdb/io.systemd.Multiplexer",
        ] {
            assert!(!is_resolver(path), "{}", path.escape_ascii());
        }
    }
}
