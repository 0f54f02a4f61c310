//! Servers that other people wrote.

use std::time::Duration;

use underpass_tests::World;

use crate::place::{EXIT, EXPOSED, Place};

fn http_server(command: underpass_tests::Command) -> underpass_tests::Command {
    command.args(["-u", "-m", "http.server", "8000"]).limit(Duration::MAX)
}

/// In both worlds: the same answer, and a log of who has come.
#[test]
fn python_serves_files_at_the_exit() {
    let serve = |world: &World, server: underpass_tests::Command, host: &str, listens: &dyn Fn()| {
        std::fs::write(world.directory().join("page"), "from the client side\n")
            .expect("the directory is ours");
        let mut server = http_server(server).spawn();
        listens();
        let url = format!("http://{host}:8000/page");
        let got =
            world.far("curl").args(["-sS", "-m", "60", "--retry", "30", "--retry-connrefused", &url]).run();
        // It writes who has come.
        let log = loop {
            match server.try_complaint() {
                Some(line) if line.contains("GET /page") => break line,
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        (got.success(), log.split(' ').next().unwrap_or_default().to_owned())
    };
    let direct = World::direct();
    let natively = serve(&direct, direct.client("/usr/bin/python3"), "10.77.0.2", &|| ());
    assert_eq!(natively, ("from the client side\n".to_owned(), "10.77.0.1".to_owned()));
    let place = Place::new(EXPOSED);
    let exposed =
        serve(&place.world, place.exposed("/usr/bin/python3"), EXIT, &|| place.wait_listening(8000));
    assert_eq!(exposed, (natively.0, EXIT.to_owned()));
    // Whoever is beside the program does not reach it at the machine's own address.
    let beside = place.world.client("curl").args(["-sS", "-m", "5", "http://10.77.0.2:8000/page"]).run();
    assert_eq!(beside.status.code(), Some(7), "{beside}");
    place.relay.real.wait_served(EXIT, 8000, 0);
}
