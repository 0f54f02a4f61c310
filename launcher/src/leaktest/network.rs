//! A network of the program's own: loopback, and a cable at whose end packets are counted. No right is needed where user
//! namespaces are to be had.

use std::fs;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use libc::{AF_NETLINK, AF_PACKET, CLONE_NEWNET, CLONE_NEWUSER, c_int};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use rustix::process::Signal;

use super::setup;
use crate::guard::{LOOPBACK, Own, V1, bind_to_card, lay_dead_end};
use crate::kernel;
use crate::messages::{Failure, reason};

const LAUNCHER: &str = "--leaktest: the launcher has gone";

/// What we have of it.
pub(super) struct Network {
    /// Where every packet is to be had that would have left, and every one on loopback.
    pub(super) taps: [OwnedFd; 2],
    /// The door's.
    pub(super) listener: OwnedFd,
    /// Its number, as /proc has it.
    pub(super) number: u64,
}

/// Goes there, with this process alone; the port of the door, once it is open.
pub(super) fn enter(launcher: &OwnedFd, own: Own) -> Result<u16, Failure> {
    match made(own) {
        Ok((network, port)) => {
            give(launcher, &network).map_err(|error| setup("sendmsg", error))?;
            let mut go = [0];
            match rustix::net::recv(launcher, &mut go, RecvFlags::empty()) {
                Ok((1, _)) => Ok(port),
                _ => Err(Failure::setup(LAUNCHER)),
            }
        }
        Err(failure) => Err(failure),
    }
}

fn made(own: Own) -> Result<(Network, u16), Failure> {
    // Where the launcher is killed there is no door any more.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| setup("prctl", error))?;
    leave_the_other()?;
    // NETLINK_ROUTE is 0.
    let route = socket(AF_NETLINK)?;
    lay_dead_end(&route, own).map_err(failed("laying the dead end"))?;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed("127.0.0.1"))?;
    let port = listener.local_addr().map_err(failed("127.0.0.1"))?.port();
    let number = fs::metadata("/proc/self/ns/net").map_err(failed("/proc/self/ns/net"))?.ino();
    let network = Network { taps: [tap(V1)?, tap(LOOPBACK)?], listener: listener.into(), number };
    Ok((network, port))
}

fn failed(what: &str) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::setup(format_args!("--leaktest: {what}: {}", reason(&error)))
}

/// Root needs no users of its own, and keeps its rights; a container may refuse either.
fn leave_the_other() -> Result<(), Failure> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if uid == 0 && kernel::unshare(CLONE_NEWNET).is_ok() {
        return Ok(());
    }
    kernel::unshare(CLONE_NEWUSER | CLONE_NEWNET).map_err(|error| {
        setup("a network of its own", error)
            .hint("user namespaces are forbidden here: see kernel.unprivileged_userns_clone, user.max_user_namespaces")
    })?;
    // The program is who it was.
    let written = |file: &str, text: String| fs::write(file, text).map_err(failed(file));
    written("/proc/self/setgroups", "deny".to_owned())?;
    written("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    written("/proc/self/gid_map", format!("{gid} {gid} 1"))
}

/// Of protocol 0.
fn socket(family: c_int) -> Result<OwnedFd, Failure> {
    let family = AddressFamily::from_raw(family as u16);
    rustix::net::socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, None)
        .map_err(|error| setup("a socket", error))
}

/// Where every packet of this card is to be had.
fn tap(card: u32) -> Result<OwnedFd, Failure> {
    // It has no packet before it is bound.
    let tap = socket(AF_PACKET)?;
    bind_to_card(&tap, card).map_err(failed("a packet socket"))?;
    Ok(tap)
}

fn give(launcher: &OwnedFd, network: &Network) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let [dead_end, loopback] = &network.taps;
    let passed = [dead_end, loopback, &network.listener].map(AsFd::as_fd);
    ancillary.push(SendAncillaryMessage::ScmRights(&passed));
    let number = network.number.to_ne_bytes();
    rustix::net::sendmsg(launcher, &[IoSlice::new(&number)], &mut ancillary, SendFlags::NOSIGNAL).map(drop)
}

/// What [`enter`] has made. If it could not, it has said why.
pub(super) fn receive(from: &OwnedFd) -> Result<Option<Network>, Failure> {
    let mut number = [0; 8];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut number)];
    rustix::net::recvmsg(from, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        .map_err(|error| setup("recvmsg", error))?;
    let passed = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
        _ => None,
    });
    let mut passed = passed.flatten();
    let (Some(dead_end), Some(loopback), Some(listener)) = (passed.next(), passed.next(), passed.next())
    else {
        return Ok(None);
    };
    Ok(Some(Network { taps: [dead_end, loopback], listener, number: u64::from_ne_bytes(number) }))
}
