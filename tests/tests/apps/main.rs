//! Real programs through real proxies, and through relays of our own, in worlds where nothing else may be reached.
//!
//! Each test checks what the program printed, that the proxy's own log names the destination, and
//! that no packet went by any other way. A tool that is missing is a failure: `tests/run` says
//! which package has it.
//!
//! # Layout
//!
//! | file | is |
//! | --- | --- |
//! | `place` | a world with one proxy or two relays, and the checks after each test |
//! | `far` | the servers beyond the proxy |
//! | `web` | curl, wget, aria2c, libwww-perl, nginx as a client |
//! | `remote` | ssh, scp, rsync, git |
//! | `databases` | psql, pg_dump, redis-cli |
//! | `datagrams` | openssl (DTLS), chrony, iperf3, snmpget, Python, node |
//! | `runtimes` | Python, node, Java, bash |
//! | `door` | what knows a proxy itself, at the agent's front door: ssh, git, Chromium |
//! | `system` | nmap, apt-get, programs that change their user |

mod databases;
mod datagrams;
mod door;
mod far;
mod place;
mod remote;
mod runtimes;
mod system;
mod web;
