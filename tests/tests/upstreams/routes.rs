//! Routes: each thing that one may ask about, by name and by address; the first that matches decides.

use underpass_tests::proxies;
use underpass_tests::servers::port;

use crate::place::{ADDRESS, GREETED, MODES, NAME, Place, greeter, greeter_address, visit};

const REFUSED: &str = "EHOSTUNREACH";

/// What a route asks about, and whether it is the greeter's by name, by address, by address of IPv6.
const TABLE: &[(&str, [bool; 3])] = &[
    ("domain = \"web.test\"", [true, false, false]),
    ("domain = \"WEB.TEST.\"", [true, false, false]),
    ("domain = \"eb.test\"", [false; 3]),
    ("domain = \".test\"", [true, false, false]),
    ("domain = \"*.te?t\"", [true, false, false]),
    ("domain = [\"a.test\", \"w*\"]", [true, false, false]),
    // A name has no address here.
    ("address = \"10.99.0.0/16\"", [false, true, false]),
    ("address = [\"192.0.2.0/24\", \"fd99::/16\"]", [false, false, true]),
    ("address = \"10.99.0.2\"", [false; 3]),
    ("port = 7006", [true; 3]),
    ("port = [\"1-7005\", \"7007-65535\"]", [false; 3]),
    ("port = \"7000-7010\"\ndomain = \"web.test\"", [true, false, false]),
    ("port = 80\ndomain = \"web.test\"", [false; 3]),
    ("program = \"python3*\"", [true; 3]),
    ("program = \"/*/bin/python3*\"", [true; 3]),
    ("program = \"curl\"", [false; 3]),
    ("user = 0", [true; 3]),
    ("user = \"root\"\nprogram = \"python3*\"", [true; 3]),
    ("user = 4321", [false; 3]),
    ("user = 0\nprogram = \"curl\"", [false; 3]),
];

#[test]
fn each_is_judged_by_what_it_asks_about() {
    let place = Place::new();
    let proxy = proxies::microsocks(&place.world, None);
    let by_ipv6 = format!("fd99::1:{}", port::GREETER);
    let targets = [greeter(), greeter_address(), by_ipv6];
    let mut served = 0;
    for (number, (asks, matches)) in TABLE.iter().enumerate() {
        // What comes behind it and is for everything is never reached by what it matches.
        let text = format!(
            "proxy = \"{}\"\n[[route]]\n{asks}\nto = \"refuse\"\nerrno = \"{REFUSED}\"\n\
             [[route]]\nport = \"1-65535\"\nto = \"main\"\n",
            proxy.url()
        );
        let outcomes = matches.map(|matches| if matches { REFUSED } else { GREETED });
        let mode = MODES[number % MODES.len()];
        let arguments = visit(mode, targets.iter().map(String::as_str));
        let done = place.configured("routes.toml", &text, "python3").args(arguments).run();
        assert_eq!(done.stdout, outcomes.map(|line| format!("{line}\n")).concat(), "{asks}\n{mode}: {done}");
        served += matches.iter().filter(|matches| !**matches).count();
    }
    let counts = || [NAME, ADDRESS, "fd99::1"].map(|host| proxy.served(host, port::GREETER));
    let limit = std::time::Instant::now() + underpass_tests::PATIENCE;
    while counts().iter().sum::<usize>() < served && std::time::Instant::now() < limit {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(counts().iter().sum::<usize>(), served, "{}", proxy.log());
}
