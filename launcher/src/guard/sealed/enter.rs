//! The program's process goes in, before it is the program.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use libc::{CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUSER};
use rustix::process::DumpableBehavior;

use super::{Seal, mounts, refused, system};
use crate::guard::datagram::namespace::Namespace;
use crate::guard::numbers::number_in_proc;

/// Goes in. An error is said in words; the process is then neither in nor out, and has to end.
/// What is given back is to be kept as long as the program starts: letting go of it takes the kernel some milliseconds.
pub(crate) fn enter(namespace: &Namespace, seal: Seal<'_>) -> Result<OwnedFd, String> {
    let bound = system::capabilities();
    let said = |what: &'static str| move |error: io::Error| refused(what, &error);
    let handles = namespace.handles().map_err(said("a network of its own"))?;
    system::enter(&handles.users, CLONE_NEWUSER).map_err(said("its user namespace"))?;
    system::enter(&handles.network, CLONE_NEWNET).map_err(said("a network of its own"))?;
    let own = mounts::Own::read(seal.let_in);
    system::leave(CLONE_NEWNS).map_err(said("mounts of its own"))?;
    own.arrange()?;
    let above = File::open("/proc/self/ns/mnt").map_err(said("/proc/self/ns/mnt"))?;
    // From below, mounts are locked (mount_namespaces(7)), and what is above is nobody's there.
    system::leave(CLONE_NEWUSER | CLONE_NEWNS).map_err(said("a second user namespace"))?;
    // Who has changed namespaces is not looked at any more (prctl(2)); who gives it its users has to.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable);
    namespace.map(number_in_proc(rustix::process::getpid())).map_err(said("users of its own"))?;
    // A new user namespace has all of them.
    system::keep_capabilities(bound).map_err(said("its capabilities"))?;
    Ok(above.into())
}
