//! Tier guard: programs that load no library, in both worlds.

mod datagrams;
