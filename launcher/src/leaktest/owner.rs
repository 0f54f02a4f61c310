//! Whose a packet is: the kernel's lists of sockets have an inode for its port, and a process has a descriptor for that.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::packet::Packet;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    pub(super) process: u32,
    pub(super) program: String,
}

/// Who has the socket that the packet is from; `None` where it is gone already.
pub(super) fn of(packet: &Packet, network: u64) -> Option<Owner> {
    let processes: Vec<u32> = processes(network).collect();
    let (tables, port) = packet.tables();
    let lists = processes.first().map(|process| format!("/proc/{process}/net"))?;
    let read = |table: &str| fs::read_to_string(format!("{lists}/{table}")).unwrap_or_default();
    let mut sockets: Vec<String> = Vec::new();
    for table in tables {
        sockets.extend(read(table).lines().filter_map(|line| inode_of(line, port)).map(socket));
    }
    // Heads of its own making.
    sockets
        .extend(read("packet").lines().skip(1).filter_map(|line| line.split_whitespace().nth(8)).map(socket));
    let mut owners =
        sockets.iter().flat_map(|socket| processes.iter().filter(move |process| has(**process, socket)));
    let first = owners.next();
    // The agent may have a copy of a program's socket for a moment.
    let owner =
        first.filter(|process| !is_agent(**process)).or_else(|| owners.find(|process| !is_agent(**process)));
    owner.or(first).map(|&process| Owner { process, program: program(process) })
}

/// Whether somebody listens at this port of loopback.
pub(super) fn listens(packet: &Packet, port: u16, network: u64) -> bool {
    let Some(process) = processes(network).next() else { return false };
    let lists =
        packet.tables().0.iter().map(|table| fs::read_to_string(format!("/proc/{process}/net/{table}")));
    lists
        .flatten()
        .any(|list| list.lines().any(|line| inode_of(line, port).is_some_and(|inode| inode != "0")))
}

fn socket(inode: impl std::fmt::Display) -> String {
    format!("socket:[{inode}]")
}

/// Of a line of /proc/net/tcp and its kin, if the local port is this one.
fn inode_of(line: &str, port: u16) -> Option<&str> {
    let mut fields = line.split_whitespace();
    let (_, local) = fields.nth(1)?.rsplit_once(':')?;
    (u16::from_str_radix(local, 16) == Ok(port)).then(|| fields.nth(7)).flatten()
}

/// Those in this network that let themselves be looked at.
pub(super) fn processes(network: u64) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(move |process: &u32| is_in(*process, network))
}

pub(super) fn is_in(process: u32, network: u64) -> bool {
    fs::metadata(format!("/proc/{process}/ns/net")).is_ok_and(|found| found.ino() == network)
}

fn has(process: u32, socket: &str) -> bool {
    let entries = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| target.as_os_str() == socket)
}

pub(super) fn is_agent(process: u32) -> bool {
    program(process).ends_with("/underpass-agent")
}

fn program(process: u32) -> String {
    let file = fs::read_link(format!("/proc/{process}/exe"));
    let file = file.map(|file| file.display().to_string());
    file.unwrap_or_else(|_| {
        fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default().trim_end().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_found_by_its_port() {
        let line = "  71: 00000000:B1E6 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 15823 2 0 0";
        assert_eq!(inode_of(line, 0xb1e6), Some("15823"));
        assert_eq!(inode_of(line, 0), None);
        assert_eq!(inode_of("  sl  local_address rem_address   st tx_queue", 0), None);
    }

    #[test]
    fn this_process_is_in_its_network() {
        let network = fs::metadata("/proc/self/ns/net").unwrap().ino();
        assert!(processes(network).any(|process| process == std::process::id()));
        assert!(!is_in(std::process::id(), network + 1));
    }
}
