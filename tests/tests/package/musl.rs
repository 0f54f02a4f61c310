//! Launcher and agent as static programs, with musl.

use std::path::{Path, PathBuf};
use std::time::Duration;

use underpass_tests::{World, artifacts, proxies, servers};

/// Where the server is that says a word and ends.
const BANNER: [&str; 2] = ["10.99.0.1", "7001"];

/// Builds them, and unpacks them into the world's folder; gives that of the programs.
fn unpacked(world: &World) -> PathBuf {
    let [home, path] = ["HOME", "PATH"].map(|name| std::env::var(name).expect("it is set"));
    let packager = world.outside(artifacts::packager().0).args(["tarball", "--musl"]);
    let packager = packager.arg("--source").arg(artifacts::workspace()).arg("--out").arg(world.directory());
    let packager = packager.env("SOURCE_DATE_EPOCH", "1795312861").env("HOME", &home).env("PATH", &path);
    let packager = packager.env("CARGO", std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    let tarball = packager.limit(Duration::from_secs(7200)).run().success().trim_end().to_owned();
    world.outside("tar").args(["-xzf", &tarball]).run().success();
    Path::new(tarball.trim_end_matches(".tar.gz")).join("bin")
}

#[test]
#[ignore = "long: the programs are built for musl"]
fn static_programs_carry_programs_of_both_libraries() {
    let world = World::new();
    let programs = unpacked(&world);
    for name in ["underpass", "underpass-agent"] {
        let read = world.outside("readelf").args(["--program-headers", "--dynamic"]).arg(programs.join(name));
        let read = read.run().success();
        assert!(!read.contains("INTERP") && !read.contains("NEEDED"), "{name}: {read}");
    }
    servers::start(&world);
    let proxy = proxies::fake(&world);
    let carried = |tier: &str, program: &Path| {
        let launcher = world.client(programs.join("underpass")).args(["-x", proxy.url(), "--tier", tier]);
        assert_eq!(
            launcher.arg(program).args(BANNER).run().success(),
            "hello\n",
            "{tier} {}",
            program.display()
        );
    };
    let banner = |compiler, options: &[&str]| {
        artifacts::compiled_by(compiler, "banner", &format!("banner-{compiler}-{}", options.len()), options)
    };
    for tier in ["hook", "guard", "sealed"] {
        carried(tier, &banner("gcc", &[]));
    }
    for options in [&[][..], &["-static"]] {
        carried("auto", &banner("musl-gcc", options));
    }
    assert_eq!(proxy.requests().len(), 5);
    // Two relays inside the agent, with their keys and ciphers.
    let inside = world.client(programs.join("underpass")).args(["-x", "local:", "curl", "-sS"]);
    let inside = inside.arg("http://hello.internal/").run().success();
    assert!(inside.contains("Hello from underpass."), "{inside}");
    let agent = world.client(programs.join("underpass-agent")).args(["run", "-x", proxy.url()]);
    let door = agent.args(["--listen", "socks5://127.0.0.1:1081"]).limit(Duration::MAX).spawn();
    let knock = "until exec 3<>/dev/tcp/127.0.0.1/1081; do sleep 0.02; done 2>/dev/null";
    world.client("bash").args(["-c", knock]).run().success();
    let nc = world.client("nc.openbsd").args(["-N", "-X", "5", "-x", "127.0.0.1:1081", "echo.test", "7001"]);
    assert_eq!(nc.input("").run().success(), "hello\n");
    assert_eq!(proxy.requests().last().map(ToString::to_string).as_deref(), Some("name echo.test 7001"));
    door.end();
    assert_eq!(world.leaks(), 0, "{:?}", world.leaked());
}
