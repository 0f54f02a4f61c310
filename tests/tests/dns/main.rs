//! DNS as programs speak it themselves: what they ask on port 53 is answered by the agent, and what it does
//! not know is asked through the chain. A real resolver (dnsmasq) lies beyond the proxy; no packet goes to
//! it but from there.
//!
//! # Layout
//!
//! | file | is |
//! | --- | --- |
//! | `place` | a world with a proxy and a resolver beyond it |
//! | `tools` | dig, nslookup and host, by TCP |
//! | `datagrams` | the same by datagrams, where they are carried |
//! | `runtimes` | node and pycares, which resolve by c-ares |
//! | `messages` | what a resolver answers to odd questions |
//! | `modes` | `--dns exit` and `local` |
//! | `table` | very many names, small pools, an agent that is killed |

mod datagrams;
mod messages;
mod modes;
mod place;
mod runtimes;
mod table;
mod tools;
