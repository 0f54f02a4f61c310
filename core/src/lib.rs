//! What the parts of underpass share, and nothing that does I/O on a network.
//!
//! # Layout
//!
//! - [`destination`]: where a program wanted to go, and what an upstream is asked for.
//! - [`wire`]: the frames between the preload library and the agent.
//! - [`session_env`]: the one environment variable that ties a program to its session.
//! - [`lookup`]: what the arguments of the resolver functions mean.
//! - [`preload_path`]: keeping our library first in `LD_PRELOAD`.
//! - [`privilege`]: whether a program is started with rights that keep our library out.
//! - [`resolver_socket`]: where other processes look names up for a program.
//! - `config`, `control`, `upstream`, `runtime_dir`, `failure`, `processes` (feature `config`): what only the
//!   launcher and the agent need.
#![forbid(unsafe_code)]

pub mod destination;
pub mod lookup;
pub mod preload_path;
pub mod privilege;
pub mod resolver_socket;
pub mod session_env;
pub mod wire;

#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "config")]
pub mod control;
#[cfg(feature = "config")]
pub mod failure;
#[cfg(feature = "config")]
pub mod processes;
#[cfg(feature = "config")]
pub mod runtime_dir;
#[cfg(feature = "config")]
pub mod upstream;
