//! A world with servers in it, programs that visit them, and the checks after each test.

use std::ffi::OsStr;
use std::path::PathBuf;

use underpass_tests::servers::{self, port};
use underpass_tests::{Command, World, artifacts};

/// The destinations' name, which only the far side can resolve.
pub(crate) const NAME: &str = "web.test";
/// Their address.
pub(crate) const ADDRESS: &str = "10.99.0.1";
/// A port that the proxies' rules forbid.
pub(crate) const DENIED: u16 = port::RESET;
/// What `visit.py` writes when all is well.
pub(crate) const GREETED: &str = "greeted";

/// How programs connect.
pub(crate) const MODES: [&str; 2] = ["blocking", "nonblocking"];

/// A world with servers. It checks at its end that nothing went round the proxies.
pub(crate) struct Place {
    pub(crate) world: World,
}

impl Place {
    pub(crate) fn new() -> Self {
        let world = World::new();
        servers::start(&world);
        Self { world }
    }

    /// A program under `underpass -x URL -x URL… --`.
    pub(crate) fn through(&self, urls: &[&str], program: impl AsRef<OsStr>) -> Command {
        let mut command = self.world.client(artifacts::underpass());
        for url in urls {
            command = command.args(["-x", url]);
        }
        command.arg("--").arg(program)
    }

    /// A program under `underpass -f FILE --`, the file holding this.
    pub(crate) fn configured(&self, name: &str, text: &str, program: impl AsRef<OsStr>) -> Command {
        let file = self.write(name, text);
        self.world.client(artifacts::underpass()).arg("-f").arg(file).arg("--").arg(program)
    }

    /// Visits `HOST:PORT`s in both modes; each must end as it says.
    #[track_caller]
    pub(crate) fn visit(&self, urls: &[&str], targets: &[(&str, &str)]) {
        for mode in MODES {
            let done = self.through(urls, "python3").args(visit(mode, targets.iter().map(|t| t.0))).run();
            let expected: String = targets.iter().map(|(_, line)| format!("{line}\n")).collect();
            assert_eq!(done.stdout, expected, "{mode}: {targets:?}\n{done}");
            assert!(!done.stderr.contains("secret"), "{done}");
        }
    }

    /// Fetches the greeting by curl.
    #[track_caller]
    pub(crate) fn curl(&self, urls: &[&str]) {
        let url = format!("http://{NAME}:{}/", port::BANNER);
        let done = self.through(urls, "curl").args(["-sS", "--http0.9", "--noproxy", "*", &url]).run();
        assert_eq!(done.success(), "hello\n", "{urls:?}");
    }

    /// Writes a file into the world's directory.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.world.directory().join(name);
        std::fs::write(&path, text).expect("the directory is ours");
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.world.leaks(), 0, "{:?}", self.world.leaked());
        }
    }
}

/// The arguments of `programs/visit.py`.
pub(crate) fn visit<'a>(mode: &str, targets: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let script = artifacts::workspace().join("tests/programs/visit.py").display().to_string();
    [script, mode.to_owned()].into_iter().chain(targets.into_iter().map(String::from)).collect()
}

/// The greeter, by name.
pub(crate) fn greeter() -> String {
    format!("{NAME}:{}", port::GREETER)
}

/// The greeter, by address.
pub(crate) fn greeter_address() -> String {
    format!("{ADDRESS}:{}", port::GREETER)
}
