//! Programs that listen, and are reached at the exit of a chain.
//!
//! # Layout
//!
//! | file | is |
//! | --- | --- |
//! | `place` | a world with a relay at which others may listen |
//! | `programs` | servers that other people wrote, at a relay |
//! | `calls` | what the program sees: who has come, and where it listens |
//! | `active` | FTP whose server connects to its client |
//! | `reverse` | listeners at an exit that lead to one place on the client's side |
//! | `door` | BIND at the front door |
//! | `broken` | chains behind doors and forwards that break, and are there again |
//! | `ends` | listeners that end, that survive, and that are refused |

mod active;
mod broken;
mod calls;
mod door;
mod ends;
mod place;
mod programs;
mod reverse;
