//! Which Unix sockets a sealed program may connect to: those that were bound in its namespace, and those that are let in.
//! Names in the abstract namespace are of a network (unix(7)), so they need no judge.
//!
//! It is the socket behind the path that is judged, once, and that the copy is connected to: whatever the path means by then.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use libc::{
    AF_NETLINK, AF_UNIX, EACCES, ECONNREFUSED, EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, SOCK_RAW,
};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use rustix::process::{Gid, Pid, Uid, getegid, geteuid, getgroups};

use super::here::User;
use super::{Here, system};
use crate::guard::datagram::namespace::Namespace;
use crate::guard::datagram::netlink::Message;
use crate::guard::notification::Answer;
use crate::guard::numbers::in_proc;

/// linux/sock_diag.h, linux/netlink.h, linux/unix_diag.h
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NETLINK_SOCK_DIAG: i32 = 4;
const UDIAG_SHOW_VFS: u32 = 2;
const UNIX_DIAG_VFS: u16 = 1;
/// `struct unix_diag_msg`
const DIAG_HEAD: usize = 16;
/// `struct sockaddr_un`: the family, and the longest path.
const FAMILY: usize = 2;
const PATH: usize = 108;

/// Where a socket is bound, as the kernel has it: the device and the low half of the inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    device: u32,
    inode: u32,
}

#[derive(Debug)]
pub(super) struct Sockets {
    /// By which the kernel is asked, in the namespace.
    diag: OwnedFd,
    let_in: Vec<PathBuf>,
}

impl Sockets {
    pub(super) fn new(namespace: &Namespace, let_in: &[PathBuf]) -> io::Result<Self> {
        let real = |path: &PathBuf| fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let diag = namespace.socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG)?;
        Ok(Self { diag, let_in: let_in.iter().map(real).collect() })
    }

    /// What becomes of a `connect()` with this address, which is as the program gave it.
    pub(super) fn judge(&self, thread: Pid, copy: OwnedFd, address: Box<[u8]>) -> Answer {
        let family = address.first_chunk().map(|family| i32::from(u16::from_ne_bytes(*family)));
        let path = address.get(FAMILY..).unwrap_or_default();
        let is_path = family == Some(AF_UNIX) && path.first().is_some_and(|&first| first != 0);
        if !is_path {
            return Answer::Here(Here::new(copy, address));
        }
        if path.len() > PATH {
            return Answer::Fail(EINVAL);
        }
        let path = path.split(|&byte| byte == 0).next().unwrap_or_default();
        let found = user_of(thread).ok_or(EACCES);
        let found = found.and_then(|user| Ok((opened(thread, user.as_ref(), path)?, user)));
        let (place, user) = match found {
            Ok(found) => found,
            Err(errno) => return Answer::Fail(errno),
        };
        match rustix::fs::fstat(&place) {
            Ok(found) if self.may_reach(thread, &place, &found) => {
                let by_descriptor = format!("/proc/self/fd/{}\0", place.as_raw_fd());
                let address = [&(AF_UNIX as u16).to_ne_bytes(), by_descriptor.as_bytes()].concat();
                Answer::Here(Here::new(copy, address.into()).at(place, user))
            }
            // As where nobody listens.
            _ => Answer::Fail(ECONNREFUSED),
        }
    }

    fn may_reach(&self, thread: Pid, place: &OwnedFd, found: &Stat) -> bool {
        FileType::from_raw_mode(found.st_mode) == FileType::Socket
            && (self.is_of_the_namespace(thread, place, found) || self.is_let_in(place, found))
    }

    fn is_of_the_namespace(&self, thread: Pid, place: &OwnedFd, found: &Stat) -> bool {
        let mut devices = Vec::new();
        let each = |message: &[u8]| {
            let bound = read(message).filter(|bound| bound.inode == found.st_ino as u32);
            devices.extend(bound.map(|bound| bound.device));
        };
        if Message::new(SOCK_DIAG_BY_FAMILY, 0, &request()).list(&self.diag, each).is_err() {
            return false;
        }
        let shown = kernel_device(rustix::fs::major(found.st_dev), rustix::fs::minor(found.st_dev));
        // Some file systems show programs another device than the kernel has for them.
        devices.contains(&shown)
            || (!devices.is_empty()
                && device_of_mount(thread, place).is_some_and(|device| devices.contains(&device)))
    }

    /// Whether it is the same thing, at the same path, for us as for the program.
    fn is_let_in(&self, place: &OwnedFd, found: &Stat) -> bool {
        let Ok(path) = fs::read_link(format!("/proc/self/fd/{}", place.as_raw_fd())) else { return false };
        self.let_in.iter().any(|listed| path.starts_with(listed))
            && fs::symlink_metadata(&path)
                .is_ok_and(|here| (here.dev(), here.ino()) == (found.st_dev, found.st_ino))
    }
}

/// What a path leads to, for that thread, as this user. What is behind a link of /proc that is not a path's is not found.
fn opened(thread: Pid, user: Option<&User>, path: &[u8]) -> Result<OwnedFd, i32> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let folder = |name| {
        let path = format!("{}/{name}", in_proc(thread));
        rustix::fs::open(path, flags | OFlags::DIRECTORY, Mode::empty()).map_err(|_| EACCES)
    };
    let open = |from: &OwnedFd, path: &Path, resolve| {
        system::as_user(user, || rustix::fs::openat2(from, path, flags, Mode::empty(), resolve))
    };
    let (root, path) = (folder("root")?, Path::new(std::ffi::OsStr::from_bytes(path)));
    let found = if path.is_absolute() {
        open(&root, path, ResolveFlags::IN_ROOT)
    } else {
        match open(&folder("cwd")?, path, ResolveFlags::BENEATH) {
            // It leads out of there, by an absolute link perhaps, which means the program's own root.
            Err(Errno::XDEV) => match folder_of(thread) {
                Some(folder) => open(&root, &folder.join(path), ResolveFlags::IN_ROOT),
                None => Err(Errno::XDEV),
            },
            found => found,
        }
    };
    found.map_err(|error| match error.raw_os_error() {
        told @ (ENOENT | ENOTDIR | EACCES | ENAMETOOLONG | ELOOP) => told,
        _ => ECONNREFUSED,
    })
}

/// The thread's current directory, from its root on.
fn folder_of(thread: Pid) -> Option<PathBuf> {
    let link = |name| fs::read_link(format!("{}/{name}", in_proc(thread))).ok();
    link("cwd")?.strip_prefix(link("root")?).map(Path::to_owned).ok()
}

/// As whom it is done: of a program that was started by root, and has become somebody else, by that. `None`: it is not
/// known.
fn user_of(thread: Pid) -> Option<Option<User>> {
    let ours = User { uid: geteuid(), gid: getegid(), groups: getgroups().ok()? };
    if !ours.uid.is_root() {
        return Some(None);
    }
    let status = fs::read_to_string(in_proc(thread) + "/status").ok()?;
    let ids = |name: &str| -> Option<Vec<u32>> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().map(|id| id.parse().ok()).collect()
    };
    // Real, effective, saved, and of files.
    let (uid, gid) = (*ids("Uid:")?.get(1)?, *ids("Gid:")?.get(1)?);
    let groups = ids("Groups:")?.into_iter().map(Gid::from_raw).collect();
    let user = User { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid), groups };
    Some(Some(user).filter(|user| *user != ours))
}

/// `struct unix_diag_req`: all states, and where each is bound.
fn request() -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[0] = AF_UNIX as u8;
    bytes[4..8].fill(0xff);
    bytes[12..16].copy_from_slice(&UDIAG_SHOW_VFS.to_ne_bytes());
    bytes
}

/// Where the socket of an answer is bound.
fn read(message: &[u8]) -> Option<Place> {
    let mut rest = message.get(DIAG_HEAD..)?;
    loop {
        let [a, b, c, d] = *rest.first_chunk::<4>()?;
        let (length, kind) = (usize::from(u16::from_ne_bytes([a, b])), u16::from_ne_bytes([c, d]));
        if kind == UNIX_DIAG_VFS {
            let word = |at: usize| Some(u32::from_ne_bytes(*rest.get(at..)?.first_chunk()?));
            return Some(Place { inode: word(4)?, device: word(8)? });
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
}

/// include/linux/kdev_t.h
fn kernel_device(major: u32, minor: u32) -> u32 {
    major << 20 | minor
}

/// The device of the mount that it was found by.
fn device_of_mount(thread: Pid, place: &OwnedFd) -> Option<u32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", place.as_raw_fd())).ok()?;
    let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim();
    let mounts = fs::read(in_proc(thread) + "/mountinfo").ok()?;
    let mounts = std::ffi::OsString::from_vec(mounts);
    let mounts = mounts.to_string_lossy();
    let mut words = mounts
        .lines()
        .map(str::split_whitespace)
        .find_map(|mut words| (words.next() == Some(mount)).then_some(words))?;
    let (major, minor) = words.nth(1)?.split_once(':')?;
    Some(kernel_device(major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_where_a_socket_is_bound() {
        let mut message = vec![0; DIAG_HEAD];
        let attribute = |kind: u16, value: &[u8]| {
            let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        assert_eq!(read(&message), None);
        message.extend(attribute(0, b"/name"));
        assert_eq!(read(&message), None);
        message.extend(attribute(UNIX_DIAG_VFS, &[7u32.to_ne_bytes(), 8u32.to_ne_bytes()].concat()));
        assert_eq!(read(&message), Some(Place { inode: 7, device: 8 }));
        message.truncate(message.len() - 2);
        assert_eq!(read(&message), None);
    }
}
