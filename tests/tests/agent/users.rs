//! Programs that change their user go on in the session that root opened.

use std::path::Path;

use underpass_tests::proxies::Fake;
use underpass_tests::{Finished, World, artifacts};

use crate::{HELLO, no_leaks, world};

/// An ordinary user's world has no second user.
fn there_is_nobody(world: &World) -> bool {
    let there_is = world.client("setpriv").args(["--reuid=65534", "true"]).run().code() == 0;
    assert!(there_is || !rustix::process::geteuid().is_root(), "root can become anybody");
    there_is
}

#[track_caller]
fn carried_as(user: &str, done: &Finished, world: &World, proxy: &Fake) {
    assert_eq!((&*done.stdout, &*done.stderr), (&*format!("{user}\nhello\n"), ""), "{done}");
    assert_eq!(proxy.requests().last().map(ToString::to_string), Some("name far.test 7001".to_owned()));
    proxy.forget();
    no_leaks(world);
}

fn in_each_way(world: &World, proxy: &Fake, underpass: &Path) {
    let run = || world.client(underpass).args(["-x", proxy.url(), "--"]);
    let hello = format!("id -un; bash -c '{HELLO}'");
    let setpriv = run().args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    carried_as("nobody", &setpriv.args(["sh", "-c", &hello]).run(), world, proxy);
    let su = run().args(["su", "-s", "/bin/sh", "nobody", "-c", &hello]);
    carried_as("nobody", &su.run(), world, proxy);
    // A login shell: the environment is a new one.
    let login = run().args(["su", "-", "-s", "/bin/sh", "nobody", "-c", &hello]);
    let mut done = login.run();
    // nobody's home is not there, and su says so.
    done.stderr = done.stderr.lines().filter(|line| !line.contains("cannot change directory")).collect();
    carried_as("nobody", &done, world, proxy);
    let runuser = run().args(["runuser", "-u", "nobody", "--", "sh", "-c", &hello]);
    carried_as("nobody", &runuser.run(), world, proxy);
    let become_nobody = "use POSIX; setgid(65534) && setuid(65534) or die $!";
    let perl = format!("{become_nobody}; exec 'sh', '-c', q({hello})");
    carried_as("nobody", &run().args(["perl", "-e", &perl]).run(), world, proxy);
}

#[test]
fn a_program_that_becomes_nobody_is_carried() {
    let (world, proxy) = world();
    if there_is_nobody(&world) {
        in_each_way(&world, &proxy, &artifacts::underpass());
    }
}

/// Root's own checkout, /root/…, where nobody else can read the library.
#[test]
fn also_where_nobody_can_read_the_library_itself() {
    let (world, proxy) = world();
    if !there_is_nobody(&world) {
        return;
    }
    let place = world.directory().join("roots");
    world.client("install").args(["-d", "-m", "700"]).arg(&place).run().success();
    for file in [artifacts::underpass(), artifacts::agent(), artifacts::library()] {
        std::fs::copy(&file, place.join(file.file_name().expect("a name"))).expect("it was built");
    }
    in_each_way(&world, &proxy, &place.join("underpass"));
}
