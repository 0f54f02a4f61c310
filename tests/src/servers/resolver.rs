//! A real resolver beyond the proxies: dnsmasq (Debian package dnsmasq-base), with a zone of its own.
//!
//! It listens on port 53 of `10.77.0.1`, the name server of the client's resolv.conf, and of all other
//! addresses of the far side. A native program may ask it ([`World::direct`]); for a carried one a packet
//! to it is a leak, unless a proxy sends it.

use std::path::PathBuf;
use std::time::Duration;

use crate::World;

/// Names below `test`, and what is known of them; every other name there, and below `invalid`, does not exist, and questions
/// for other domains are refused. `big.test` has more text than fits a datagram of 1232 bytes.
const ZONE: &str = "\
local=/test/
local=/invalid/
host-record=echo.test,10.99.0.1
host-record=v6.test,fd99::1
host-record=both.test,10.99.0.1,fd99::1
host-record=many.test,10.99.0.1
host-record=many.test,10.99.0.2
host-record=many.test,10.99.0.3
cname=alias.test,both.test
ptr-record=9.0.99.10.in-addr.arpa,nine.test
mx-host=mail.test,mx1.test,10
mx-host=mail.test,mx2.test,20
txt-record=text.test,\"v=spf1 -all\"
srv-host=_sip._tcp.test,sip.test,5060,1,2
dns-rr=web.test,65,0001000001000302683300040004c00002010006001020010db8000000000000000000000001
host-record=web.test,10.99.0.1
naptr-record=naptr.test,10,20,s,SIP+D2U,,_sip._tcp.test
caa-record=caa.test,0,issue,ca.test
";

/// dnsmasq, and its record of what it was asked.
pub struct Resolver {
    log: PathBuf,
}

/// Starts it; it ends with the world.
pub fn resolver(world: &World) -> Resolver {
    resolver_with(world, "")
}

/// Starts it with more lines of configuration (dnsmasq(8), without the hyphens).
pub fn resolver_with(world: &World, more: &str) -> Resolver {
    resolver_on(world, 53, more)
}

/// Starts it at another port.
pub fn resolver_at(world: &World, port: u16) -> Resolver {
    resolver_on(world, port, "")
}

fn resolver_on(world: &World, port: u16, more: &str) -> Resolver {
    let log = world.directory().join("dnsmasq.log");
    let configuration = world.directory().join("dnsmasq.conf");
    let big: String = (0..12).map(|n| format!("txt-record=big.test,\"{n:0>200}\"\n")).collect();
    let text = format!(
        "port={port}\nuser=far\ngroup=far\nno-resolv\nno-hosts\nkeep-in-foreground\nlog-queries\nlog-facility={}\n{ZONE}{big}{more}\n",
        log.display()
    );
    std::fs::write(&configuration, text).expect("the directory is ours");
    let mut option = std::ffi::OsString::from("--conf-file=");
    option.push(&configuration);
    // As root it would give up groups, which root of an ordinary user's namespace may not.
    let open = "echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start";
    world.far("sh").args(["-c", open]).run().success();
    let process = world.far_user("dnsmasq").arg(option).limit(Duration::MAX).spawn();
    world.wait_listening(port);
    process.detach();
    Resolver { log }
}

impl Resolver {
    /// The questions so far, in their order: `TYPE NAME`.
    pub fn questions(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned();
        let question = |line: &str| {
            let (kind, rest) = line.split_once(" query[")?.1.split_once("] ")?;
            Some(format!("{kind} {}", rest.split_once(" from ")?.0))
        };
        text.lines().filter_map(question).collect()
    }

    /// Forgets the questions so far.
    pub fn forget(&self) {
        // dnsmasq appends, so it goes on at the new end.
        std::fs::write(&self.log, "").expect("the directory is ours");
    }
}
