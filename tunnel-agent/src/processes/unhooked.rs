//! Programs of our sessions that have not loaded the library: it carries nothing of theirs, and only a tier that
//! needs no library holds them.

use std::collections::HashSet;
use std::fs;
use std::future;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{ANCESTORS, contains, others, parent_and_start, session_of};
use crate::agent::Agent;
use crate::client::program_of;
use crate::log;

/// How often a log gets to know of them.
const LOOK: Duration = Duration::from_secs(10);
/// The supervisor of guard, as the kernel names its process.
const SUPERVISOR: &str = "underpass";

/// A program that is not carried by the library.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Unhooked {
    pub(crate) pid: i32,
    /// Its file; `None` if it has ended.
    pub(crate) program: Option<String>,
}

/// Those of the sessions whose data socket this is.
pub(crate) fn unhooked(socket: &Path) -> Vec<Unhooked> {
    let is = |process: &Path| is_unhooked(process, socket);
    let found = others().into_iter().flatten().filter(|(_, process)| is(process));
    found.map(|(pid, _)| Unhooked { pid, program: program_of(pid) }).collect()
}

/// Writes each of them down once, as long as the agent lives.
pub(crate) async fn write_down(agent: &Arc<Agent>) {
    if !log::warns() {
        return future::pending().await;
    }
    let mut known = HashSet::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let socket = agent.sessions.socket.clone();
        let found = tokio::task::spawn_blocking(move || unhooked(&socket)).await.unwrap_or_default();
        let found: HashSet<Unhooked> = found.into_iter().collect();
        found.difference(&known).for_each(|it| log::unhooked(it.pid, it.program.as_deref()));
        known = found;
    }
}

fn is_unhooked(process: &Path, socket: &Path) -> bool {
    let Ok(maps) = fs::read(process.join("maps")) else { return false };
    if maps.is_empty() || contains(&maps, b"libunderpass") || is_loading(&maps) {
        return false;
    }
    let environment = fs::read(process.join("environ")).unwrap_or_default();
    let ours = session_of(&environment).is_some_and(|value| value.ends_with(socket.as_os_str().as_bytes()));
    ours && !is_supervised(process)
}

/// Whether the dynamic linker has not come to libc yet, which it loads after what is preloaded (ld.so(8)).
fn is_loading(maps: &[u8]) -> bool {
    contains(maps, b"/ld-linux") && !contains(maps, b"/libc.so") && !contains(maps, b"/libc-")
}

/// Whether a launcher has stayed as its ancestor, to carry it without the library.
fn is_supervised(process: &Path) -> bool {
    let mut process = process.to_owned();
    for _ in 0..ANCESTORS {
        let Some((parent, _)) = parent_and_start(&process).filter(|(parent, _)| *parent > 1) else {
            return false;
        };
        process = Path::new("/proc").join(parent.to_string());
        if fs::read(process.join("comm")).is_ok_and(|name| name.trim_ascii() == SUPERVISOR.as_bytes()) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_still_loading_may_come_to_the_library_yet() {
        assert!(is_loading(b"1-2 r-xp /bin/true\n3-4 r-xp /lib64/ld-linux-x86-64.so.2\n"));
        assert!(!is_loading(
            b"1-2 r-xp /bin/true\n3-4 r-xp /lib64/ld-linux-x86-64.so.2\n5-6 r-xp /lib/libc.so.6\n"
        ));
        assert!(!is_loading(b"1-2 r-xp /bin/busybox\n"));
        assert!(!is_loading(b"1-2 r-xp /lib/ld-musl-x86_64.so.1\n"));
    }
}
