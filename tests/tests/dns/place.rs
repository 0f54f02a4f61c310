//! A world with a proxy, and a resolver beyond it.

use underpass_tests::proxies::{self, Real};
use underpass_tests::servers::{self, Resolver};
use underpass_tests::{Command, Finished, World, artifacts};

pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) proxy: Real,
    pub(crate) resolver: Resolver,
}

impl Place {
    pub(crate) fn new() -> Self {
        let world = World::new();
        servers::start(&world);
        let resolver = servers::resolver(&world);
        let proxy = proxies::microsocks(&world, None);
        Self { world, proxy, resolver }
    }

    /// A program under `underpass` with these options, and the proxy.
    pub(crate) fn with(&self, options: &[&str], program: &str) -> Command {
        let underpass = self.world.client(artifacts::underpass()).args(["-x", self.proxy.url()]);
        underpass.args(options).arg("--").arg(program)
    }

    /// A program under `underpass` by its defaults.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Finished {
        self.with(&[], program).args(arguments).run()
    }

    /// No packet has gone to anything but the proxy.
    #[track_caller]
    pub(crate) fn no_leaks(&self) {
        assert_eq!(self.world.leaks(), 0, "{:?}", self.world.leaked());
    }
}

/// What a program says where it reaches the resolver itself.
pub(crate) struct Native {
    world: World,
    _resolver: Resolver,
}

impl Native {
    pub(crate) fn new() -> Self {
        let world = World::direct();
        let resolver = servers::resolver(&world);
        Self { world, _resolver: resolver }
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Finished {
        self.world.client(program).args(arguments).run()
    }
}

/// Lines in an order that does not depend on that of records.
pub(crate) fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}
