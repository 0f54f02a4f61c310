//! The harness of the tests that need a network: both-worlds conformance, real programs, faults.
//!
//! A test makes a [`World`] of its own: a client side and a far side, joined by one virtual cable,
//! in namespaces that need no privilege. It starts what it needs on the far side
//! ([`servers::start`], [`proxies`]), runs programs on the client side ([`World::client`],
//! [`World::wrapped`]), and asks what came through the cable ([`World::leaks`]).
//! Whatever a world started ends with it, also when the test panics or is killed.
//!
//! ```no_run
//! use underpass_tests::{World, proxies, servers};
//!
//! let world = World::new();
//! servers::start(&world);
//! let proxy = proxies::fake(&world);
//! let done = world.wrapped(proxy.url(), "curl").args(["-s", "http://echo.test:7007/"]).run();
//! assert!(done.status.success(), "{done}");
//! assert_eq!(proxy.requests()[0].to_string(), "name echo.test 7007");
//! assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
//! ```
//!
//! # Layout
//!
//! | file | is |
//! | --- | --- |
//! | `artifacts` | builds the product once, compiles C programs |
//! | `namespaces` | the processes and scripts that make the two sides |
//! | `machines` | more machines, each on cables of its own |
//! | `world` | one test's sides, directories, packet counts |
//! | `command`, `running` | a program with a time limit, run on one side; while it runs |
//! | `servers` | what listens beyond the proxy |
//! | `listening` | what the servers of `src/bin` have in common |
//! | `names` | very many names at once |
//! | `patience` | how tests wait for what has to come |
//! | `markdown` | what is read of a document |
//! | `proxies`, `behaviour` | the fake SOCKS5 proxy and its faults, scripted proxies, and those that other people wrote |

pub mod artifacts;
pub mod behaviour;
pub mod command;
pub mod listening;
pub mod machines;
pub mod markdown;
pub mod names;
mod namespaces;
mod patience;
pub mod proxies;
mod running;
pub mod servers;
mod world;

pub use command::{Command, Finished};
pub use patience::{PATIENCE, wait};
pub use running::Running;
pub use world::World;

/// Makes a test of a function for chains of each of these lengths.
#[macro_export]
macro_rules! through_chains {
    ($test:ident) => {
        #[test]
        fn of_one_relay() {
            $test(1);
        }

        #[test]
        fn of_two_relays() {
            $test(2);
        }

        #[test]
        fn of_three_relays() {
            $test(3);
        }

        #[test]
        fn of_eight_relays() {
            $test(8);
        }
    };
}
