//! The agent and the relay as services: what they tell a service manager, how they end, and what is passed to them.
//!
//! # Layout
//!
//! | file | is |
//! | --- | --- |
//! | `place` | a world with a service manager that only listens |
//! | `told` | sd_notify and the watchdog |
//! | `drained` | what is open when they are told to end |
//! | `owned` | whose the doors and files are, before another process takes the place and after |
//! | `ports` | more connections than there are ports, beside another process |
//! | `started` | sockets and credentials that are passed; `run` without anything; a relay's configuration that is judged |
//! | `upgraded` | another process takes their place |
//! | `units` | the unit files, as systemd judges them |
//! | `booted` | long: the unit files, as systemd runs them |

mod booted;
mod drained;
mod owned;
mod place;
mod ports;
mod started;
mod told;
mod units;
mod upgraded;
