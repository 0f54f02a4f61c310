//! Runs a table of calls in both worlds.

use std::fmt::Write;

use underpass_tests::proxies::{self, Fake};
use underpass_tests::servers::{self, Resolver};
use underpass_tests::{World, artifacts};

/// A world for native runs and one that is redirected, with the same servers and the same resolver.
pub(crate) struct Both {
    pub(crate) native: World,
    pub(crate) redirected: World,
    pub(crate) proxy: Fake,
    /// The native world's resolver,
    pub(crate) asked: Resolver,
    /// and the redirected one's.
    pub(crate) resolver: Resolver,
}

/// A call whose answer is another one than natively, for a reason that is part of the design. It fails the
/// test when it no longer occurs.
pub(crate) struct Known {
    /// The line of the table.
    pub(crate) call: &'static str,
    pub(crate) native: &'static str,
    pub(crate) redirected: &'static str,
    pub(crate) reason: &'static str,
}

/// More lines for the hosts file of the client side.
const HOSTS: &str =
    "10.99.0.1 listed.test first.test second.test\nfd99::1 listed6.test\n10.99.0.7 xn--bcher-kva.test\n";

impl Both {
    pub(crate) fn new() -> Self {
        let both = Self::without_names();
        for world in [&both.native, &both.redirected] {
            let path = world.directory().join("hosts");
            let hosts = std::fs::read_to_string(&path).expect("the world has a hosts file");
            // Written in place: the file is mounted over /etc/hosts.
            std::fs::write(&path, hosts + HOSTS).expect("the directory is ours");
        }
        both
    }

    fn without_names() -> Self {
        let native = World::direct();
        let redirected = World::new();
        servers::start(&native);
        servers::start(&redirected);
        let asked = servers::resolver(&native);
        let resolver = servers::resolver(&redirected);
        let proxy = proxies::fake(&redirected);
        Self { native, redirected, proxy, asked, resolver }
    }

    /// What each of the calls gives, natively and redirected.
    pub(crate) fn run(&self, calls: &[String], options: &[&str]) -> [Vec<String>; 2] {
        let program = artifacts::compiled("lookup", "lookup", &["-lresolv"]);
        let input = calls.iter().fold(String::new(), |input, call| input + call + "\n");
        let underpass = artifacts::underpass();
        let redirected = self.redirected.client(underpass).args(["-x", self.proxy.url()]).args(options);
        let runs = [self.native.client(&program), redirected.arg("--").arg(&program)];
        runs.map(|run| {
            let done = run.input(input.as_bytes()).run_or_kill();
            assert!(done.status.success(), "{done}");
            let lines: Vec<String> = done.stdout.lines().map(str::to_owned).collect();
            assert_eq!(lines.len(), calls.len(), "{done}");
            lines
        })
    }

    /// Fails with every difference that is not known.
    #[track_caller]
    pub(crate) fn compare(&self, calls: &[String], known: &[Known]) {
        self.compare_with(calls, known, &[]);
    }

    /// The same with options of underpass.
    #[track_caller]
    pub(crate) fn compare_with(&self, calls: &[String], known: &[Known], options: &[&str]) {
        let [native, redirected] = self.run(calls, options);
        let mut report = String::new();
        let mut seen = vec![false; known.len()];
        for ((call, native), redirected) in calls.iter().zip(native).zip(redirected) {
            let strip = |line: &str| line.strip_prefix(&format!("{call}: ")).unwrap_or(line).to_owned();
            let (native, redirected) = (strip(&native), strip(&redirected));
            let number = known.iter().position(|known| known.call == call);
            if let Some((number, known)) = number.and_then(|number| Some((number, known.get(number)?))) {
                seen[number] = true;
                if (known.native, known.redirected) == (&native, &redirected) {
                    continue;
                }
                let _ = write!(report, "not as known ({}): ", known.reason);
            } else if native == redirected {
                continue;
            }
            let _ = writeln!(report, "{call}\n  natively   {native}\n  redirected {redirected}");
        }
        for (known, _) in known.iter().zip(seen).filter(|(_, seen)| !seen) {
            let _ = writeln!(report, "{} is not in the table", known.call);
        }
        assert!(report.is_empty(), "\n{report}");
        self.no_leaks();
    }

    #[track_caller]
    pub(crate) fn no_leaks(&self) {
        assert_eq!(self.redirected.leaks(), 0, "leaked: {:?}", self.redirected.leaked());
    }
}

/// The lines of a table.
pub(crate) fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}
