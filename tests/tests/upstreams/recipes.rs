//! docs/recipes.md as it stands there: each recipe's own text is run, and the proxies' records say which
//! way was taken.
//!
//! Its hosts are made true instead of being replaced: the client side's hosts file has the first hops at
//! `10.77.0.1`, the far side's has the later ones and the destinations at `10.99.0.1`. What is replaced
//! nonetheless, each test lists: second ports where two proxies of one machine would have the same, a
//! path, an address. A replacement that finds nothing to replace fails.
//!
//! What goes direct is the far side's own address, opened for this. Everything else that is not for a
//! proxy is counted, as in all worlds. Names that are resolved on the client side are asked of a name
//! server there, which notes them.
//!
//! # Layout
//!
//! - `document`: the recipes; `town`: the world that they are run in.

pub(crate) mod document;
pub(crate) mod town;

use std::time::{Duration, Instant};

use underpass_tests::proxies::{self, Dante, Squid};
use underpass_tests::servers::port;
use underpass_tests::{PATIENCE, artifacts};

use crate::place::{ADDRESS, DENIED, GREETED, MODES};
use document::Recipe;
use town::{
    are_measured, arguments, configured, far_away, name_server, only_asked, only_asked_for, open_low_ports,
    settled, shell, town, visit,
};

/// A destination that no recipe names.
const PLAIN: &str = "www.example:7006";
/// What may be reached without a proxy.
const NEAR: &str = "10.77.0.1:7006";

/// Connects a heading to the test of what is below it.
macro_rules! recipes {
    ($($heading:literal => $test:ident)*) => {
        /// The headings that have a test.
        const TESTED: &[&str] = &[$($heading),*];
        mod as_written {
            $(
                #[test]
                fn $test() {
                    super::$test(&super::Recipe::below($heading));
                }
            )*
        }
    };
}

recipes! {
    "The company's proxy, with its password in a file" => companys_proxy
    "The office's names through the office, all else direct" => split_tunnel
    "Private through a chain of two, plain through the nearest exit" => by_purpose
    "A proxy behind a proxy that allows port 443 alone" => port_443_alone
    "The first of three proxies that is alive" => failover
    "Tor, with a circuit for each program" => tor_by_program
    "An ssh account as the exit, behind the company's proxy" => ssh_behind_a_proxy
    "No mail, whatever the destination" => no_mail
    "An old proxychains.conf as it is" => old_proxychains_conf
    "A whole shell: a CI job" => whole_shell
}

#[test]
fn each_recipe_has_a_test_and_each_test_a_recipe() {
    let recipes = Recipe::all();
    let headings: Vec<&str> = recipes.iter().map(|recipe| recipe.heading.as_str()).collect();
    assert_eq!(headings, TESTED);
    for recipe in &recipes {
        for part in ["**Who:** ", "**What happens:** ", "**What it does not do:** "] {
            assert_eq!(recipe.text.matches(part).count(), 1, "{}: {part}", recipe.heading);
        }
        let languages: Vec<&str> = recipe.blocks().iter().map(|block| block.0).collect();
        assert!(
            matches!(languages[..], ["toml"] | ["sh"] | ["conf", "sh"]),
            "{}: {languages:?}",
            recipe.heading
        );
    }
}

fn companys_proxy(recipe: &Recipe) {
    let place = town();
    let password = "p:ss %41\"@w#rd";
    let proxy =
        proxies::squid(&place.world, 3128, Squid::Basic("ann", password), DENIED).allowed(&place.world);
    let login = place.write("office.login", &format!("ann:{password}\n"));
    place.world.client("chmod").arg("600").arg(&login).run().success();
    let login = login.display().to_string();
    let toml = recipe.block("toml", &[("/etc/underpass/office.login", &login)]);
    let mut names = name_server(&place, "wiki.corp.example");

    visit(&place, &toml, &[(PLAIN, GREETED), ("wiki.corp.example:7006", GREETED), (NEAR, GREETED)]);
    proxy.wait_served("www.example", port::GREETER, 2);
    assert!(proxy.log().contains(" 200 ann\n"), "{}", proxy.log());
    assert!(!proxy.log().contains("corp") && !proxy.log().contains("10.77"), "{}", proxy.log());
    only_asked_for(&mut names, "wiki.corp.example");
}

fn split_tunnel(recipe: &Recipe) {
    let place = town();
    let gate = proxies::microsocks_at(&place.world, 1080, None).allowed(&place.world);
    // The range in which the far side's address lies.
    let toml = recipe.block("toml", &[("10.20.0.0/16", "10.99.0.0/16")]);
    let mut names = name_server(&place, "shop.example");

    let by_address = format!("{ADDRESS}:7006");
    let targets = [
        ("db.internal:7006", GREETED),
        (&*by_address, GREETED),
        ("shop.example:7006", GREETED),
        (NEAR, GREETED),
    ];
    visit(&place, &toml, &targets);
    gate.wait_served("db.internal", port::GREETER, 2);
    gate.wait_served(ADDRESS, port::GREETER, 2);
    assert_eq!(gate.log().matches(" connected to ").count(), 4, "{}", gate.log());
    only_asked_for(&mut names, "shop.example");

    let datagram = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('db.internal', 7007))";
    let done = configured(&place, &toml, "python3").args(["-c", datagram]).run();
    assert!(done.stderr.contains("Operation not supported"), "{done}");
}

fn by_purpose(recipe: &Recipe) {
    let place = town();
    let world = &place.world;
    let first = proxies::microsocks_at(world, 2001, None).allowed(world);
    // Not to be reached from the client side.
    let last = proxies::microsocks_at(world, 2002, None);
    let exits = [2011, 2012, 2013].map(|port| proxies::microsocks_at(world, port, None).allowed(world));
    let ports = [
        ("first.example:1080", "first.example:2001"),
        ("last.example:1080", "last.example:2002"),
        ("exit-1.example:1080", "exit-1.example:2011"),
        ("exit-2.example:1080", "exit-2.example:2012"),
        ("exit-3.example:1080", "exit-3.example:2013"),
    ];
    let toml = recipe.block("toml", &ports);
    far_away(&place, "2011, 2012");

    let private = [("bank.example:7006", GREETED), ("my.health.example:7006", GREETED)];
    visit(&place, &toml, &private);
    last.wait_served("bank.example", port::GREETER, 2);
    last.wait_served("my.health.example", port::GREETER, 2);
    first.wait_served("last.example", 2002, 1);
    // The first of these measure the exits.
    visit(&place, &toml, &[(PLAIN, GREETED)]);
    are_measured(&place, [2011, 2012, 2013]);
    let before = settled(&exits, "www.example", 2);
    visit(&place, &toml, &[(PLAIN, GREETED); 4]);
    let now = settled(&exits, "www.example", 10);
    assert_eq!(now, [before[0], before[1], before[2] + 8], "the nearest is the third");

    exits[2].kill();
    visit(&place, &toml, &[(PLAIN, GREETED)]);
    let now = settled(&exits, "www.example", 12);
    assert_eq!((now[0] + now[1], now[2]), (before[0] + before[1] + 2, before[2] + 8), "the next nearest");

    first.kill();
    let failed = "ENETUNREACH";
    visit(
        &place,
        &toml,
        &[("bank.example:7006", failed), ("my.health.example:7006", failed), (PLAIN, GREETED)],
    );
    for proxy in &exits {
        let log = proxy.log();
        assert!(!log.contains("bank") && !log.contains("health"), "{log}");
    }
    assert!(!last.log().contains("www.example") && !first.log().contains("www.example"));
}

fn port_443_alone(recipe: &Recipe) {
    let place = town();
    open_low_ports(&place);
    let certificate = proxies::certificate(&place.world, "relay");
    let first = proxies::tinyproxy_to(&place.world, 3128, None, &[443]).allowed(&place.world);
    // Not to be reached from the client side.
    let relay = proxies::squid(&place.world, 443, Squid::Tls(&certificate), DENIED);
    let pin = ("sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &*certificate.pin);
    let toml = recipe.block("toml", &[pin]);

    visit(&place, &toml, &[(PLAIN, GREETED), ("www.example:7099", "ECONNREFUSED")]);
    relay.wait_served("www.example", port::GREETER, 2);
    only_asked(&first, "relay.example:443");

    // Without the relay the port is refused, and with another key all is.
    visit(&place, "proxy = \"http://proxy.example:3128\"\n", &[(PLAIN, "EACCES")]);
    visit(&place, &recipe.block("toml", &[]), &[(PLAIN, "EACCES")]);
    assert_eq!(relay.served("www.example", port::GREETER), 2, "{}", relay.log());
}

fn failover(recipe: &Recipe) {
    let place = town();
    let exits = [2001, 2002, 2003].map(|port| proxies::microsocks_at(&place.world, port, None));
    let exits = exits.map(|exit| exit.allowed(&place.world));
    let ports = [
        ("exit-1.example:1080", "exit-1.example:2001"),
        ("exit-2.example:1080", "exit-2.example:2002"),
        ("exit-3.example:1080", "exit-3.example:2003"),
    ];
    let toml = recipe.block("toml", &ports);
    let mut expected = [0; 3];
    for alive in 0..3 {
        visit(&place, &toml, &[(PLAIN, GREETED); 3]);
        expected[alive] = 6;
        assert_eq!(settled(&exits, "www.example", 6 * (alive + 1)), expected);
        exits[alive].kill();
    }
    visit(&place, &toml, &[(PLAIN, "ENETUNREACH")]);
}

/// Without a network Tor serves nothing, so what it is told is seen at a proxy that tells credentials apart
/// as it does, and that it takes it at Tor itself.
fn tor_by_program(recipe: &Recipe) {
    let place = town();
    let world = &place.world;
    // Tor is another machine's here.
    let at = |port: u16| recipe.block("toml", &[("127.0.0.1:9050", &format!("10.77.0.1:{port}"))]);
    let script = artifacts::workspace().join("tests/programs/isolating.py");
    let proxy = world.far("python3").arg(script).arg("9050").limit(Duration::MAX);
    let mut proxy = proxy.spawn();
    assert_eq!(proxy.next_line(), "ready");
    world.allow_proxy(9050);
    let mut database = world.client(artifacts::helper("far-server")).limit(Duration::MAX).spawn();
    assert_eq!(database.next_line(), "ready");

    visit(&place, &at(9050), &[(PLAIN, GREETED), ("127.0.0.1:7006", GREETED)]);
    let url = format!("http://www.example:{}/", port::BANNER);
    let curl = configured(&place, &at(9050), "curl").args(["-sS", "--http0.9", &url]).run();
    assert_eq!(curl.success(), "hello\n");
    let mut next = || {
        let line = proxy.next_line();
        let (credentials, destination) = line.split_once(' ').expect("two words");
        (credentials.to_owned(), destination.to_owned())
    };
    let (python, again, curl) = (next(), next(), next());
    assert_eq!((&*python.1, &*again.1, &*curl.1), (PLAIN, PLAIN, "www.example:7001"));
    assert_eq!(python.0, again.0);
    assert_ne!(python.0, curl.0);

    // It refuses private addresses, once it has taken the credentials and the request.
    let tor = proxies::tor(world, 9051).allowed(world);
    visit(&place, &at(9051), &[(&format!("{ADDRESS}:7006"), "ENETUNREACH")]);
    tor.wait_log("Rejecting SOCKS request for anonymous connection to private address 10.99.0.1");
}

fn ssh_behind_a_proxy(recipe: &Recipe) {
    let place = town();
    open_low_ports(&place);
    let proxy = proxies::tinyproxy_to(&place.world, 3128, None, &[443]).allowed(&place.world);
    // Not to be reached from the client side.
    let sshd = proxies::sshd(&place.world, 443);
    sshd.configure_client(&place.world);
    let toml = recipe.block("toml", &[("ssh://ann@", "ssh://far@")]);

    let by_address = format!("{ADDRESS}:7006");
    visit(&place, &toml, &[(PLAIN, GREETED), (&by_address, GREETED), ("www.example:7099", "ECONNREFUSED")]);
    sshd.real.wait_served("www.example", port::GREETER, 2);
    sshd.real.wait_served(ADDRESS, port::GREETER, 2);
    only_asked(&proxy, "gate.example:443");
}

fn no_mail(recipe: &Recipe) {
    let place = town();
    let proxy = proxies::squid(&place.world, 3128, Squid::Open, DENIED).allowed(&place.world);
    let toml = recipe.block("toml", &[]);
    let by_address = format!("{ADDRESS}:587");
    let refused = "EACCES";
    let targets = [
        ("www.example:25", refused),
        ("www.example:465", refused),
        (&*by_address, refused),
        ("www.example:26", "ECONNREFUSED"),
        (PLAIN, GREETED),
    ];
    visit(&place, &toml, &targets);
    proxy.wait_served("www.example", port::GREETER, 2);
    let log = proxy.log();
    // The port beside it is asked of the proxy, which finds nobody there.
    assert!(log.contains("www.example:26 "), "{log}");
    for port in [25, 465, 587] {
        assert!(!log.contains(&format!(":{port} ")), "{log}");
    }
}

fn old_proxychains_conf(recipe: &Recipe) {
    let place = town();
    place.world.allow_proxy(port::GREETER);
    let first = proxies::dante_with(&place.world, Dante { port: 1080, ..Dante::default() });
    let first = first.allowed(&place.world);
    // Not to be reached from the client side.
    let last = proxies::squid(&place.world, 3128, Squid::Basic("ann", "secret"), DENIED);
    let conf = recipe.block("conf", &[("192.0.2.1", "10.77.0.1"), ("192.0.2.2", ADDRESS)]);
    let file = place.write("proxychains.conf", &conf).display().to_string();
    for mode in MODES {
        let command = arguments(mode, &[(PLAIN, ""), (NEAR, "")]).join(" ");
        let command = format!("python3 {command}");
        let script = recipe.block("sh", &[("/etc/proxychains.conf", &file), ("COMMAND", &command)]);
        let done = shell(&place, &script.replace("ln -s ", "ln -sf ")).run();
        assert_eq!((&*done.stdout, &*done.stderr), ("greeted\ngreeted\n", ""), "{done}");
    }
    last.wait_served("www.example", port::GREETER, 2);
    first.wait_served(ADDRESS, 3128, 1);
    assert!(!last.log().contains("10.77"), "{}", last.log());
}

fn whole_shell(recipe: &Recipe) {
    let place = town();
    let proxy = proxies::microsocks_at(&place.world, 1080, None).allowed(&place.world);
    let job = format!("python3 {}", arguments("nonblocking", &[(PLAIN, "")]).join(" "));
    let line = recipe.block("sh", &[]);
    let script = format!("{line}step() {{ {job}; }}\nstep\nsh -c '{job}'\nenv -i $(command -v {job}");
    let script = script.replace("command -v python3", "command -v python3)");
    let done = shell(&place, &script).run();
    assert_eq!((&*done.stdout, &*done.stderr), (&*"greeted\n".repeat(3), ""), "{done}");
    proxy.wait_served("www.example", port::GREETER, 3);
    let limit = Instant::now() + PATIENCE;
    while !place.world.agents().is_empty() {
        assert!(Instant::now() < limit, "the agent outlives the shell");
        std::thread::sleep(Duration::from_millis(20));
    }
}
