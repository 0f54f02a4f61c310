//! Whose numbers are whose in a user namespace that was just made: each is the same as out here.

use std::fs;
use std::io;

use rustix::process::Pid;

use crate::guard::numbers::in_proc;

/// Maps all users that there are, or, for who may not, the one that this is.
pub(super) fn map(process: Pid) -> io::Result<()> {
    let process = in_proc(process);
    let write = |file: &str, text: &str| fs::write(format!("{process}/{file}"), text);
    let own = |file: &str| fs::read_to_string(format!("/proc/self/{file}"));
    if rustix::process::geteuid().is_root()
        && write("gid_map", &identity(&own("gid_map")?)).is_ok()
        && write("uid_map", &identity(&own("uid_map")?)).is_ok()
    {
        return Ok(());
    }
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    write("setgroups", "deny")?;
    write("gid_map", &format!("{gid} {gid} 1\n"))?;
    write("uid_map", &format!("{uid} {uid} 1\n"))
}

/// A map that gives each number that the given one has to itself (user_namespaces(7)).
fn identity(map: &str) -> String {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace();
        let (inside, _, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
        Some(format!("{inside} {inside} {count}\n"))
    };
    map.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_itself() {
        assert_eq!(identity("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(identity("0 1000 1\n1 100000 65536\n"), "0 0 1\n1 1 65536\n");
    }
}
