//! Each fault of `fault_tables`, by both mechanisms, alone and behind another proxy.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use underpass_tests::proxies::{self, script};
use underpass_tests::servers::port;

use crate::fault_tables::{Fault, Table};
use crate::place::{self, ADDRESS, NAME, Place};

/// In seconds.
const DEADLINE: u32 = 6;
/// The slowness of a busy machine included.
const LIMIT: Duration = Duration::from_secs(45);
const FIRST_PORT: u16 = 2000;
/// Most of the time is spent waiting.
const AT_ONCE: usize = 16;

/// How the program and the agent connect.
const WAYS: [(&str, &str); 3] = [("blocking", "always"), ("blocking", "never"), ("nonblocking", "auto")];

#[test]
fn of_socks5() {
    each(&Table::socks5(), Front::Nothing);
}

#[test]
fn of_socks5_with_a_password() {
    each(&Table::socks5_with_login(), Front::Nothing);
}

#[test]
fn of_socks4() {
    each(&Table::socks4(), Front::Nothing);
}

#[test]
fn of_socks4a() {
    each(&Table::socks4a(), Front::Nothing);
}

#[test]
fn of_http() {
    each(&Table::http(), Front::Nothing);
}

#[test]
fn of_http_with_a_password() {
    each(&Table::http_with_login(), Front::Nothing);
}

#[test]
fn of_tls() {
    each(&Table::tls(), Front::Nothing);
}

#[test]
fn of_the_second_hop() {
    for table in [Table::socks5(), Table::socks4a(), Table::http(), Table::http_with_login(), Table::tls()] {
        each(&table, Front::Microsocks);
    }
}

/// What stands before the faulty proxy.
#[derive(Clone, Copy, PartialEq)]
enum Front {
    Nothing,
    Microsocks,
}

fn each(table: &Table, front: Front) {
    let Table { scheme, protocol, faults, .. } = table;
    let place = Place::new();
    let scripted = script::start(&place.world);
    for (number, (_, steps, _)) in faults.iter().enumerate() {
        scripted.listen(port_of(number), *protocol, steps);
        if front == Front::Nothing {
            place.world.allow_proxy(port_of(number));
        }
    }
    let first = (front == Front::Microsocks).then(|| proxies::microsocks(&place.world, None));

    let ways: &[(&str, &str)] = if first.is_some() { &WAYS[1..] } else { &WAYS };
    let report = Mutex::new(String::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(fault) = faults.get(number / ways.len()) else { break };
                    let way = ways[number % ways.len()];
                    let front = first.as_ref().map(|proxy| proxy.url());
                    let found = one(&place, table, front, number / ways.len(), fault, way);
                    *report.lock().expect("no holder panics") += &found;
                }
            });
        }
    });
    let report = report.into_inner().expect("no holder panics");
    assert!(report.is_empty(), "{scheme}:\n{report}");
    // Those that read a request got the destination, in its own words.
    let host = if *scheme == "socks4" { ADDRESS } else { NAME };
    match faults.iter().position(|(name, ..)| *name == "normal") {
        Some(normal) => {
            let requests = scripted.requests(port_of(normal));
            assert_eq!(requests, vec![format!("{host}:{}", port::GREETER); ways.len()], "{scheme}");
        }
        None => assert_eq!(*scheme, "https"),
    }
    assert_eq!(place.world.agents().len(), 1, "the agent lives");
}

fn port_of(number: usize) -> u16 {
    FIRST_PORT + u16::try_from(number).expect("few faults")
}

/// What is wrong, if something is.
fn one(
    place: &Place,
    Table { scheme, login, .. }: &Table,
    front: Option<&str>,
    number: usize,
    (name, _, expected): &Fault,
    (mode, handoff): (&str, &str),
) -> String {
    let url = |host: &str| format!("{scheme}://{login}{host}:{}", port_of(number));
    let hops = match front {
        None => format!("\"{}\"", url("10.77.0.1")),
        Some(front) => format!("\"{front}\", \"{}\"", url(ADDRESS)),
    };
    let text = format!(
        "deadline = {DEADLINE}\nhandoff = \"{handoff}\"\nwarm = false\ndefault = \"main\"\n\
         [chain.main]\nkind = \"strict\"\nhops = [{hops}]\n"
    );
    let target = if *scheme == "socks4" { place::greeter_address() } else { place::greeter() };
    let file = format!("{number}-{mode}-{handoff}.toml");
    let command = place.configured(&file, &text, "python3").args(place::visit(mode, [target.as_str()]));
    let done = command.run_or_kill();
    // A reset in the stream may be met by either of the calls that follow the greeting; microsocks
    // makes an end of it.
    let mut seen = done.stdout.replace("EPIPE", "ECONNRESET");
    if front.is_some() {
        seen = seen.replace("echo end", "echo ECONNRESET");
    }
    if seen == format!("{expected}\n") && done.elapsed < LIMIT {
        return String::new();
    }
    format!("- {name}, {mode}, handoff {handoff}: expected {expected}\n{done}\n")
}
