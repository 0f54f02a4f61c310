//! Servers that other people wrote.

use std::time::{Duration, Instant};

use underpass_tests::{PATIENCE, World, artifacts};

use crate::calls::{self, PYTHON, visited};
use crate::place::{EXIT, EXPOSED, Place};
use crate::reverse::requests;

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

/// nginx with workers of its own, at both families of addresses.
#[test]
fn nginx_serves_at_the_exit() {
    let place = Place::new(EXPOSED);
    let directory = place.world.directory();
    std::fs::write(directory.join("page"), "from nginx\n").expect("the directory is ours");
    let text = format!(
        "daemon off;\nworker_processes 2;\nuser root;\npid nginx.pid;\nerror_log stderr;\nevents {{ }}\nhttp {{\n\
         access_log {log};\nclient_body_temp_path body;\nproxy_temp_path proxy;\nfastcgi_temp_path fastcgi;\n\
         uwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\nserver {{\nlisten 8000;\nlisten [::]:8000;\n\
         root {root};\n}}\n}}\n",
        log = directory.join("access").display(),
        root = directory.display()
    );
    let configuration = directory.join("nginx.conf");
    std::fs::write(&configuration, text).expect("the directory is ours");
    let nginx = place.exposed("nginx").arg("-p").arg(directory).arg("-c").arg(&configuration);
    let nginx = nginx.limit(Duration::MAX).spawn();
    place.wait_listening(8000);
    for (url, peer) in
        [(format!("http://{EXIT}:8000/page"), EXIT), ("http://[fd99::1]:8000/page".into(), "fd99::1")]
    {
        let curl =
            place.world.far("curl").args(["-sS", "-m", "60", "--retry", "30", "--retry-connrefused", &url]);
        assert_eq!(curl.run().success(), "from nginx\n");
        let limit = Instant::now() + PATIENCE;
        while !std::fs::read_to_string(directory.join("access"))
            .unwrap_or_default()
            .contains(&format!("{peer} - "))
        {
            assert!(Instant::now() < limit, "{peer} is not in the log");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    nginx.signal(rustix::process::Signal::TERM);
    nginx.wait();
    place.wait_closed(8000);
}

/// netcat takes one connection, and both ends pass.
#[test]
fn netcat_takes_a_connection_at_the_exit() {
    let place = Place::new(EXPOSED);
    let mut listener = place.exposed("nc.openbsd").args(["-l", "-N", "8001"]).spawn();
    listener.say("from the listener");
    listener.close_input();
    place.wait_listening(8001);
    let caller = place.world.far("nc.openbsd").args(["-N", EXIT, "8001"]).input("from the caller\n").run();
    assert_eq!(caller.success(), "from the listener\n");
    assert_eq!(listener.wait().success(), "from the caller\n");
}

/// Of the tables of a file the first that matches decides: one program is at another port of the exit, another is at its own, or
/// at an address of the other family; and what none matches listens as without us.
#[test]
fn a_file_says_which_program_is_where() {
    let place = Place::new(EXPOSED);
    let world = &place.world;
    let file = world.directory().join("listeners.toml");
    let text = format!(
        "proxy = '{}'\n[[expose]]\nprogram = 'python3*'\nport = 8001\nexit-port = 9001\nat = 'main'\n\
         [[expose]]\nprogram = '*/nc.openbsd'\nport = [8001, '9000-9999']\nat = 'main'\n\
         [[expose]]\nprogram = '/usr/*/nc.openbsd'\nport = 8002\naddress = '{EXIT}'\nat = 'main'\n",
        place.relay.url(&place.key)
    );
    std::fs::write(&file, text).expect("the directory is ours");
    let exposed =
        |program: &str| world.client(artifacts::underpass()).arg("-f").arg(&file).arg("--").arg(program);
    let (server, said) = calls::server(exposed(PYTHON), &["fork", "0.0.0.0", "8001"]);
    assert_eq!(said, format!("listens {EXIT} 9001"));
    visited(&place, EXIT, "9001", 3, 1);
    assert!(!world.listens(8001));
    server.end();
    place.wait_closed(9001);

    let (server, said) = calls::server(exposed(PYTHON), &["fork", "0.0.0.0", "8002"]);
    assert_eq!(said, "listens 0.0.0.0 8002");
    let beside = world.client(PYTHON).arg(calls::script("calls_in.py")).args(["127.0.0.1", "8002", "3", "1"]);
    assert_eq!(beside.run().success(), "3 of 3\n");
    assert!(!world.listens(8002));
    server.end();

    for (port, family) in [("8001", "-4"), ("8002", "-6")] {
        let mut listener = exposed("nc.openbsd").args([family, "-l", "-N", port]).spawn();
        listener.close_input();
        place.wait_listening(port.parse().expect("a port"));
        let caller = world.far("nc.openbsd").args(["-N", EXIT, port]).input("from the caller\n").run();
        assert_eq!(caller.success(), "");
        assert_eq!(listener.wait().success(), "from the caller\n");
    }
}

/// A daemon of rsync, which forks for each.
#[test]
fn rsync_fetches_from_a_daemon_at_the_exit() {
    let place = Place::new(EXPOSED);
    let directory = place.world.directory();
    let files = directory.join("files");
    std::fs::create_dir(&files).expect("the directory is ours");
    let whole: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    std::fs::write(files.join("large"), &whole).expect("the directory is ours");
    let text = format!("use chroot = no\nlog file = /dev/null\n[files]\npath = {}\n", files.display());
    std::fs::write(directory.join("rsyncd.conf"), text).expect("the directory is ours");
    // As root it would become somebody else, whom an ordinary user's namespace does not have.
    let daemon =
        place.exposed("unshare").args(["--user", "--map-user=1000", "--map-group=1000", "--", "rsync"]);
    let daemon = daemon.args(["--daemon", "--no-detach", "--port=8002", "--config=rsyncd.conf"]);
    let _daemon = daemon.limit(Duration::MAX).spawn();
    place.wait_listening(8002);
    let fetched = directory.join("fetched");
    let url = format!("rsync://{EXIT}:8002/files/large");
    place.world.far("rsync").arg(&url).arg(&fetched).run().success();
    assert!(std::fs::read(fetched).expect("it is there") == whole);
}

/// The same servers, without an event loop of ours: none of a thousand is lost.
#[test]
#[ignore = "long: 1,000 connections to each of two servers"]
fn a_thousand_come_to_each_server() {
    let place = Place::new(EXPOSED);
    let directory = place.world.directory();
    std::fs::write(directory.join("page"), "from the client side\n").expect("the directory is ours");
    let nginx = format!(
        "daemon off;\nuser root;\npid nginx.pid;\nerror_log stderr;\nevents {{ }}\nhttp {{\naccess_log off;\n\
         client_body_temp_path body;\nproxy_temp_path proxy;\nfastcgi_temp_path fastcgi;\nuwsgi_temp_path uwsgi;\n\
         scgi_temp_path scgi;\nserver {{\nlisten 8001;\nroot {};\n}}\n}}\n",
        directory.display()
    );
    let configuration = directory.join("nginx.conf");
    std::fs::write(&configuration, nginx).expect("the directory is ours");
    let nginx = place.exposed("nginx").arg("-p").arg(directory).arg("-c").arg(&configuration);
    let _nginx = nginx.limit(Duration::MAX).spawn();
    let _python = http_server(place.exposed("/usr/bin/python3")).spawn();
    for port in [8000, 8001] {
        place.wait_listening(port);
        requests(&place.world, port, 1000);
    }
}
