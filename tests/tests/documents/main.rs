//! The documents and the sources say the same: each check goes in both directions, so that what is added to one and
//! not to the other fails. No network and no program: the files of the repository are read as they are, the sources as tokens.
//!
//! # Layout
//!
//! - `sources`: what is read of them.
//! - `links`: files, headings and commands that documents name are there.
//! - `modules`: which module uses which, and the path of a connect, in docs/architecture.md.
//! - `audit`: docs/unsafe.md. `logs`: docs/logs.md. `reference`: variables and keys in docs/options.md, whose
//!   options the tests of packages compare with the programs' help.
//! - `messages`: docs/troubleshooting.md. `limits`: docs/limits.md.
//! - `dependencies`: the crates that docs/architecture.md has.

mod audit;
mod dependencies;
mod limits;
mod links;
mod logs;
mod messages;
mod modules;
mod reference;
mod sources;
