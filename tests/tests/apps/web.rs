//! Programs that speak HTTP.

use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use crate::far::{HTTP, HTTPS, PAGE, nginx_temporary};
use crate::place::{self, NAME, Place, ordinary_user, through_each};

const GIBIBYTE: u64 = 1 << 30;

through_each! {
    fn curl_by_name(place: &Place) {
        place.start_web();
        assert_eq!(place.wrapped("curl").args(["-sS", &format!("http://{NAME}/")]).run().success(), PAGE);
        place.proxied(HTTP, 1);
    }
}

through_each! {
    fn curl_with_tls(place: &Place) {
        place.start_web();
        let curl = place.wrapped("curl").args(["-sS", "--cacert", "cert.pem"]);
        assert_eq!(curl.arg(format!("https://{NAME}/")).run().success(), PAGE);
        place.proxied(HTTPS, 1);
    }
}

through_each! {
    fn curl_a_gibibyte(place: &Place) {
        place.start_web();
        let mut big = std::fs::File::create(place.path("www/big")).expect("the directory is ours");
        big.set_len(GIBIBYTE).expect("holes take no space");
        // Each mark at an odd place, so that a block lost or moved shows.
        for n in 0..1024 {
            big.seek(SeekFrom::Start(n * (GIBIBYTE / 1024) + 7 * n)).expect("it is a file");
            writeln!(big, "mark {n}").expect("there is space");
        }
        let script = format!("curl -sS http://{NAME}/big | cmp - www/big && echo same");
        let done = place.script(&script).limit(Duration::from_secs(200)).run();
        assert_eq!(done.success(), "same\n");
        place.proxied(HTTP, 1);
    }
}

through_each! {
    fn curl_twenty_at_once(place: &Place) {
        place.start_web();
        let body: Vec<u8> = (0..500_000u32).map(|n| (n % 253) as u8).collect();
        place.write("www/body", &body);
        let mut curl = place.wrapped("curl").args(["-sS", "-Z", "--parallel-max", "20", "--parallel-immediate"]);
        for n in 0..20 {
            curl = curl.args(["-o", &format!("body-{n}"), &format!("http://{NAME}/body?{n}")]);
        }
        curl.run().success();
        for n in 0..20 {
            assert!(std::fs::read(place.path(&format!("body-{n}"))).is_ok_and(|read| read == body), "body-{n}");
        }
        place.proxied(HTTP, 20);
    }
}

#[test]
fn curl_says_why_nothing_answers() {
    place::microsocks(|place| {
        let done = place.wrapped("curl").args(["-sS", &format!("http://{NAME}:7099/")]).run();
        assert_eq!(done.code(), 7, "{done}");
        assert!(
            done.stderr.contains("Connection refused") || done.stderr.contains("Couldn't connect"),
            "{done}"
        );
    });
}

#[test]
fn wget_with_and_without_tls() {
    place::dante(|place| {
        place.start_web();
        let wget =
            |url: String| place.wrapped("wget").args(["-nv", "--ca-certificate=cert.pem", "-O-", &url]);
        assert_eq!(wget(format!("http://{NAME}/")).run().success(), PAGE);
        place.proxied(HTTP, 1);
        assert_eq!(wget(format!("https://{NAME}/")).run().success(), PAGE);
        place.proxied(HTTPS, 1);
    });
}

#[test]
fn aria2c_in_four_parts() {
    place::microsocks(|place| {
        place.start_web();
        let body: Vec<u8> = (0..8_000_000u32).map(|n| (n % 253) as u8).collect();
        place.write("www/body", &body);
        let aria2c = place.wrapped("aria2c").args(ARIA2C).arg("--async-dns=false");
        aria2c.arg(format!("http://{NAME}/body")).run().success();
        assert!(std::fs::read(place.path("parts")).is_ok_and(|read| read == body));
        place.proxied_at_least(HTTP, 4);
    });
}

/// By c-ares, whose questions the agent answers.
#[test]
fn aria2c_that_asks_the_name_server_itself() {
    place::microsocks(|place| {
        place.start_web();
        place.wrapped("aria2c").args(ARIA2C).arg(format!("http://{NAME}/")).run().success();
        assert!(std::fs::read_to_string(place.path("parts")).is_ok_and(|page| page == PAGE));
    });
}

const ARIA2C: [&str; 8] = ["-q", "-x4", "-s4", "-k1M", "--file-allocation=none", "--no-conf", "-o", "parts"];

#[test]
fn perl_lwp() {
    place::dante(|place| {
        place.start_web();
        let perl = place.wrapped("perl").args(["-MLWP::Simple", "-e", "exit(getprint($ARGV[0]) != 200)"]);
        assert_eq!(perl.arg(format!("http://{NAME}/")).run().success(), PAGE);
        place.proxied(HTTP, 1);
    });
}

/// nginx connects without waiting, from workers that were started before by a master process and,
/// if that is root's, run as another user.
#[test]
fn nginx_with_its_backend_beyond_the_proxy() {
    place::microsocks(|place| {
        place.start_web();
        let user = if ordinary_user() { "root root" } else { "nobody nogroup" };
        let directory = place.world.directory().display();
        let configuration = format!(
            "daemon off; user {user}; worker_processes 2; pid {directory}/front.pid;
             events {{ worker_connections 1024; }}
             http {{
               access_log off; {temporary}
               upstream beyond {{ server {NAME}:{HTTP}; keepalive 4; }}
               server {{ listen 127.0.0.1:8080; location / {{ proxy_pass http://beyond; }} }}
             }}",
            temporary = nginx_temporary(place, "front"),
        );
        let configuration = place.write("front.conf", configuration);
        let errors = place.path("front.err");
        let nginx = place.wrapped("nginx").arg("-e").arg(&errors).arg("-c").arg(configuration);
        let mut nginx = nginx.limit(Duration::from_secs(200)).spawn();

        let retry = ["-sS", "--retry", "50", "--retry-connrefused", "--retry-delay", "1"];
        let page = place.world.client("curl").args(retry).arg("http://127.0.0.1:8080/").run();
        assert_eq!(page.success(), PAGE, "{}", std::fs::read_to_string(&errors).unwrap_or_default());
        let requests = (0..50)
            .flat_map(|n| ["-o".to_owned(), "/dev/null".to_owned(), format!("http://127.0.0.1:8080/?{n}")]);
        let status = ["-sS", "-Z", "--parallel-immediate", "-w", "%{http_code}\n"];
        let answers = place.world.client("curl").args(status).args(requests).run().success();
        assert_eq!(answers.lines().filter(|&line| line == "200").count(), 50, "{answers}");
        place.proxied_at_least(HTTP, 1);
        nginx.close_input();
    });
}
