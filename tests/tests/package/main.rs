//! Packages, their man pages and their completions, with the programs that read them.
//!
//! # Layout
//!
//! | file | is |
//! | --- | --- |
//! | `deb` | a Debian package: what dpkg makes of it, installed and removed |
//! | `tarball` | unpacked, and used from there |
//! | `pages` | man pages, read by man and mandoc |
//! | `options` | the options of the help in docs/options.md |
//! | `completions` | in bash, zsh and fish |
//! | `ci` | the examples for CI systems |
//! | `fresh` | long: a fresh Debian, in which the guide is followed |
//! | `newer` | long: the next Debian, with a newer libc |
//! | `built` | long: the programs, built in two places |
//! | `musl` | long: launcher and agent as static programs |

mod built;
mod ci;
mod completions;
mod deb;
mod fresh;
mod musl;
mod newer;
mod options;
mod pages;
mod tarball;

use std::path::{Path, PathBuf};

use underpass_tests::{Command, World, artifacts, proxies};

/// The packager, with a package of this kind to be put into a folder of the world's.
fn packager(world: &World, kind: &str, programs: &Path, out: &str) -> Command {
    let tool = artifacts::packager().0;
    let command = world.client(tool).arg(kind).arg("--source").arg(artifacts::workspace());
    // No git where the tests are a copy.
    command.arg("--programs").arg(programs).args(["--out", out]).env("SOURCE_DATE_EPOCH", "1795312861")
}

/// Makes a package of the programs under test; gives its path.
fn made(world: &World, kind: &str) -> PathBuf {
    let said = packager(world, kind, &artifacts::packager().1, "out").run().success();
    world.directory().join(said.trim_end())
}

/// Three files that are no programs: a package asks no more of them than their bytes.
fn stand_ins(world: &World, folder: &str) -> PathBuf {
    let folder = world.directory().join(folder);
    std::fs::create_dir(&folder).expect("the directory is ours");
    for name in ["underpass", "underpass-agent", "libunderpass.so"] {
        std::fs::write(folder.join(name), name).expect("the directory is ours");
    }
    folder
}

/// A web server beyond the proxies, which answers `hello` at `http://echo.test:7080/hello`.
fn serve_hello(world: &World) {
    let page = world.directory().join("web/hello");
    std::fs::create_dir_all(page.parent().unwrap_or(&page)).expect("the directory is ours");
    std::fs::write(page, "hello\n").expect("the directory is ours");
    let server = world.far("python3").args(["-m", "http.server", "--bind", "10.99.0.1", "-d", "web", "7080"]);
    server.limit(std::time::Duration::MAX).spawn().detach();
    world.wait_listening(7080);
}

/// The launcher of an unpacked package carries curl, with the agent and the library of that package.
fn is_used(world: &World, launcher: &Path) {
    serve_hello(world);
    let proxy = proxies::microsocks(world, None);
    for tier in ["hook", "guard"] {
        let carried = world.client(launcher).args(["-x", proxy.url(), "--tier", tier, "curl", "-sS"]);
        assert_eq!(carried.arg("http://echo.test:7080/hello").run().success(), "hello\n", "{tier}");
    }
    proxy.wait_served("echo.test", 7080, 2);
    let library = world.client(launcher).args(["-x", proxy.url(), "sh", "-c", "echo $LD_PRELOAD"]);
    let library = library.run().success();
    let root = launcher.parent().and_then(Path::parent).expect("it is in PREFIX/bin");
    assert!(Path::new(library.trim_end()).starts_with(root), "{library}");
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}
