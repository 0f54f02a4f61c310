//! The documents and the sources say the same: each check goes in both directions, so that what is added to one and
//! not to the other fails. No network: the files of the repository are read as they are, the sources as tokens;
//! of the programs only the help is asked for.
//!
//! # Layout
//!
//! - `sources`, `markdown`: what is read of either.
//! - `links`: files, headings and commands that documents name are there.
//! - `modules`: which module uses which, and the path of a connect, in docs/architecture.md.
//! - `audit`: docs/unsafe.md. `logs`: docs/logs.md. `reference`: docs/options.md.
//! - `messages`: docs/troubleshooting.md. `limits`: docs/limits.md.
//! - `dependencies`: the crates that docs/architecture.md has.

mod audit;
mod dependencies;
mod limits;
mod links;
mod logs;
mod markdown;
mod messages;
mod modules;
mod reference;
mod sources;
