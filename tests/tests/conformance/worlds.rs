//! Runs a program in both worlds, for every family and both modes, and compares the transcripts.

use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use underpass_tests::proxies::{Fake, Real};
use underpass_tests::servers::port;
use underpass_tests::{Command, Finished, World, artifacts, proxies, servers};

pub(crate) const FAMILIES: [&str; 3] = ["v4", "v6", "mapped"];
pub(crate) const MODES: [&str; 2] = ["blocking", "nonblocking"];
/// Programs at once in a world: most of their time they wait.
const WORKERS: usize = 4;
/// And where all of them are made to wait for a second or more.
const WAITING: usize = 8;

/// A program of `programs/`, with the host (10.99.0.HOST and fd99::HOST), the port and what
/// follows them.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) program: &'static str,
    pub(crate) host: &'static str,
    pub(crate) port: u16,
    pub(crate) more: &'static [&'static str],
    pub(crate) known: &'static [Known],
    /// A header of `programs/` that is put before the program.
    pub(crate) by: Option<&'static str>,
}

/// A difference that is known and accepted. It fails the test when it no longer occurs, unless it is `seldom` there.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    /// Text of the native transcript,
    pub(crate) native: &'static str,
    /// in place of which the redirected one has this.
    pub(crate) redirected: &'static str,
    pub(crate) reason: &'static str,
    /// It comes with a race of the kernel's own.
    pub(crate) seldom: bool,
}

impl Case {
    pub(crate) const fn new(program: &'static str, port: u16) -> Self {
        Self { program, host: "1", port, more: &[], known: &[], by: None }
    }

    pub(crate) const fn host(self, host: &'static str) -> Self {
        Self { host, ..self }
    }

    pub(crate) const fn more(self, more: &'static [&'static str]) -> Self {
        Self { more, ..self }
    }

    pub(crate) const fn known(self, known: &'static [Known]) -> Self {
        Self { known, ..self }
    }

    /// The program makes its calls in another way: `by_number`, `by_alias`.
    pub(crate) const fn by(self, header: &'static str) -> Self {
        Self { by: Some(header), ..self }
    }

    pub(crate) fn built(&self) -> std::path::PathBuf {
        match self.by {
            Some(header) => {
                let path = artifacts::workspace().join(format!("tests/programs/{header}.h"));
                let path = path.to_str().expect("a path of ours is UTF-8");
                let output = format!("{}-{header}", self.program);
                artifacts::compiled(self.program, &output, &["-include", path])
            }
            None => artifacts::program(self.program),
        }
    }

    /// The arguments for one family and mode.
    pub(crate) fn arguments(&self, family: &str, mode: &str) -> Vec<String> {
        let port = self.port.to_string();
        [family, mode, self.host, &port].iter().chain(self.more).map(|s| (*s).to_owned()).collect()
    }
}

/// A world for native runs and one that is redirected, with the same servers.
pub(crate) struct Both {
    pub(crate) native: World,
    pub(crate) redirected: World,
    pub(crate) proxy: Fake,
    /// What the redirected programs go through: URLs of hops, with blanks between them.
    pub(crate) upstream: String,
    /// Or by this file.
    pub(crate) configuration: Option<std::path::PathBuf>,
    /// The programs are static, and the redirected ones under this tier.
    pub(crate) tier: Option<&'static str>,
    /// What starts the launcher, if it is not the shell alone.
    pub(crate) before: &'static [&'static str],
    /// Live as long as the worlds.
    pub(crate) _proxies: Vec<Real>,
}

impl Both {
    pub(crate) fn new() -> Self {
        let both = Self::with(World::new());
        Self { upstream: both.proxy.url().to_owned(), ..both }
    }

    /// The same with static programs, which only the guard tier carries.
    #[allow(dead_code, reason = "the tests of the guard tier use it")]
    pub(crate) fn guarded() -> Self {
        Self { tier: Some("auto"), ..Self::new() }
    }

    /// The redirected programs go through the agent and no proxy.
    pub(crate) fn local() -> Self {
        Self { upstream: "local:".to_owned(), ..Self::with(World::direct()) }
    }

    /// The redirected programs go through Dante, which carries datagrams.
    pub(crate) fn dante() -> Self {
        let both = Self::with(World::new());
        let dante = proxies::dante(&both.redirected);
        Self { upstream: dante.url().to_owned(), _proxies: vec![dante], ..both }
    }

    /// The redirected programs go through two relays, the second of which carries datagrams.
    pub(crate) fn relays() -> Self {
        let both = Self::with(World::new());
        let key = proxies::key(&both.redirected, "client");
        let relay = |port| proxies::relay(&both.redirected, port, &[&key], port::RESET);
        let (first, second) = (relay(4431).allowed(&both.redirected), relay(4432));
        let upstream = format!("{} {}", first.url(&key), second.url_at("10.99.0.1", &key));
        Self { upstream, _proxies: vec![first.real, second.real], ..both }
    }

    /// Sockets are handed off wherever they can be, also to a proxy that looks far away on a busy machine.
    pub(crate) fn handing_off() -> Self {
        Self::new().configured("handoff = 'always'\n")
    }

    /// Its configuration is a file with these lines, too.
    pub(crate) fn configured(self, lines: &str) -> Self {
        let file = self.redirected.directory().join("configuration.toml");
        let text = format!("proxy = '{}'\n{lines}", self.upstream);
        std::fs::write(&file, text).expect("the directory is ours");
        Self { configuration: Some(file), ..self }
    }

    fn with(redirected: World) -> Self {
        let native = World::direct();
        servers::start(&native);
        servers::start(&redirected);
        let proxy = proxies::fake(&redirected);
        let (upstream, configuration) = (String::new(), None);
        let (tier, before, _proxies) = (None, &[][..], Vec::new());
        Self { native, redirected, proxy, upstream, configuration, tier, before, _proxies }
    }

    /// Runs a command line natively and redirected.
    pub(crate) fn run(&self, program: &str, arguments: &[String]) -> [Finished; 2] {
        self.run_built(&artifacts::program(program), arguments)
    }

    fn run_built(&self, program: &std::path::Path, arguments: &[String]) -> [Finished; 2] {
        [
            self.native.client(program).args(arguments).run_or_kill(),
            self.wrapped(program).args(arguments).run_or_kill(),
        ]
    }

    /// A program that is redirected.
    pub(crate) fn wrapped(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let underpass = match self.before {
            [] => self.redirected.client(artifacts::underpass()),
            [first, more @ ..] => self.redirected.client(first).args(more).arg(artifacts::underpass()),
        };
        let underpass = match &self.configuration {
            Some(file) => underpass.arg("-f").arg(file),
            None => underpass.args(self.upstream.split(' ').flat_map(|hop| ["-x", hop])),
        };
        underpass.args(["--tier", self.tier.unwrap_or("auto")]).arg("--").arg(program)
    }

    #[track_caller]
    pub(crate) fn no_leaks(&self) {
        assert_eq!(self.redirected.leaks(), 0, "leaked: {:?}", self.redirected.leaked());
    }

    /// Runs all cases in all families and modes; fails with every difference that is not known.
    #[track_caller]
    pub(crate) fn compare(&self, cases: &[Case]) {
        self.compare_in(cases, &FAMILIES, &MODES);
    }

    /// The same for some families and modes.
    #[track_caller]
    pub(crate) fn compare_in(&self, cases: &[Case], families: &[&str], modes: &[&str]) {
        let built = |case: &Case| match self.tier.is_some() {
            true => artifacts::compiled(case.program, &format!("{}.static", case.program), &["-static"]),
            false => case.built(),
        };
        for case in cases {
            built(case);
        }
        let workers = if cases.iter().all(|case| port::takes_time(case.port)) { WAITING } else { WORKERS };
        let variants: Vec<_> = cases
            .iter()
            .flat_map(|case| {
                families.iter().flat_map(move |family| modes.iter().map(move |mode| (case, family, mode)))
            })
            .collect();
        let (next, report) = (AtomicUsize::new(0), Mutex::new(String::new()));
        let seen: Vec<AtomicUsize> = cases.iter().map(|_| AtomicUsize::new(0)).collect();
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some((case, family, mode)) = variants.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        let arguments = case.arguments(family, mode);
                        let [native, redirected] = self.run_built(&built(case), &arguments);
                        let known = explain(case.known, &native.stdout, &redirected.stdout);
                        let position = cases.iter().position(|other| std::ptr::eq(other, *case)).unwrap_or(0);
                        seen[position].fetch_or(known.unwrap_or(0), Ordering::Relaxed);
                        let sound = native.status.success() && native.status == redirected.status;
                        if known.is_none() || !sound {
                            let mut report = report.lock().expect("no holder panics");
                            let _ = writeln!(
                                report,
                                "{} {}: natively\n{}{}{}\nredirected\n{}{}{}\n",
                                case.program,
                                arguments.join(" "),
                                native.stdout,
                                native.stderr,
                                native.status,
                                redirected.stdout,
                                redirected.stderr,
                                redirected.status,
                            );
                        }
                    }
                });
            }
        });
        let mut report = report.into_inner().expect("no holder panics");
        for (case, seen) in cases.iter().zip(seen) {
            let seen = seen.into_inner();
            for (number, known) in
                case.known.iter().enumerate().filter(|(n, k)| !k.seldom && seen & (1 << n) == 0)
            {
                let _ = writeln!(
                    report,
                    "{} {:?}: known difference {number} ({}) no longer occurs: take it out",
                    case.program, case.more, known.reason
                );
            }
        }
        assert!(report.is_empty(), "\n{report}");
        self.no_leaks();
    }
}

/// Which of the known differences turn one transcript into the other, as bits; `None` if no choice
/// of them does.
fn explain(known: &[Known], native: &str, redirected: &str) -> Option<usize> {
    (0..1usize << known.len()).find(|choice| {
        let mut text = native.to_owned();
        for (number, known) in known.iter().enumerate() {
            if choice & (1 << number) != 0 {
                if !text.contains(known.native) {
                    return false;
                }
                text = text.replace(known.native, known.redirected);
            }
        }
        text == redirected
    })
}
