//! Programs that speak by datagrams, through Dante's associations and a relay's streams.

use std::time::{Duration, Instant};

use crate::place::{self, NAME, Place};

/// Starts a server of datagrams beyond the proxy, which ends with the world, and waits for its port.
fn serve(place: &Place, port: u16, server: underpass_tests::Command) {
    server.limit(Duration::MAX).spawn().detach();
    let limit = Instant::now() + underpass_tests::PATIENCE;
    let wanted = format!(":{port:04X} ");
    loop {
        let text = place.world.far("cat").args(["/proc/net/udp", "/proc/net/udp6"]).run().stdout;
        if text.lines().any(|line| {
            line.split_whitespace().nth(1).is_some_and(|own| format!("{own} ").ends_with(&wanted))
        }) {
            return;
        }
        assert!(Instant::now() < limit, "nothing takes datagrams at port {port}:\n{text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn openssl_by_dtls() {
    place::by_datagrams(|place| {
        place.start_web();
        let server = [
            "s_server",
            "-dtls",
            "-accept",
            "10.99.0.1:4433",
            "-cert",
            "cert.pem",
            "-key",
            "key.pem",
            "-quiet",
        ];
        serve(place, 4433, place.world.far("openssl").args(server));
        let client = format!(
            "(echo hello from afar; sleep 1) | openssl s_client -dtls -connect {NAME}:4433 -CAfile cert.pem \
             -verify_return_error -servername {NAME}"
        );
        let done = place.script(&client).run();
        assert!(done.stdout.contains("Verify return code: 0 (ok)") && done.status.success(), "{done}");
        place.associations_ended(1);
    });
}

/// As the only user there is, root or not.
#[test]
fn chrony_asks_for_the_time() {
    place::by_datagrams(|place| {
        let text = "local stratum 5\nallow all\nbindaddress 10.99.0.1\ncmdport 0\npidfile chronyd.pid\n";
        let configuration = place.write("chrony.conf", text);
        serve(
            place,
            123,
            place.world.far("chronyd").args(["-x", "-d", "-u", "root", "-f"]).arg(configuration),
        );
        let client = place.wrapped("chronyd").args(["-Q", "-u", "root", "-t", "60", "-f", "/dev/null"]);
        let client =
            client.args([&format!("server {NAME} iburst maxsamples 2"), "pidfile client.pid", "cmdport 0"]);
        let done = client.run();
        assert!(done.stderr.contains("System clock wrong by"), "{done}");
        place.associations_ended(1);
    });
}

/// TCP for the control, datagrams for the measurement: as many as its socket has room for if they come all at once, as
/// they may on a busy machine.
#[test]
fn iperf3_by_datagrams() {
    place::by_datagrams(|place| {
        place.serve(5201, place.world.far("iperf3").args(["-s", "-B", "10.99.0.1"]));
        for reverse in [&[][..], &["-R"]] {
            let client = ["-u", "-c", NAME, "-b", "1M", "-l", "1200", "-t", "1", "-J"];
            let done = place.wrapped("iperf3").args(client).args(reverse).run();
            let report: serde_json::Value =
                serde_json::from_str(done.success().as_str()).expect("it is JSON");
            let sum = &report["end"]["sum"];
            assert!(sum["packets"].as_u64().is_some_and(|packets| packets > 50), "{sum}");
            assert_eq!(sum["lost_packets"], 0, "{sum}");
        }
    });
}

#[test]
fn snmpget_asks_an_agent() {
    place::by_datagrams(|place| {
        let text = "agentaddress udp:10.99.0.1:1610\nrocommunity public\nsysName far-away\n";
        let configuration = place.write("snmpd.conf", text);
        let server = ["-f", "-Lo", "-C", "-p", "snmpd.pid", "-c"];
        serve(place, 1610, place.world.far("snmpd").args(server).arg(configuration));
        let oid = ".1.3.6.1.2.1.1.5.0";
        let client = ["-v2c", "-c", "public", "-Oqv", "-t", "30", &format!("{NAME}:1610"), oid];
        assert_eq!(place.wrapped("snmpget").args(client).run().success(), "\"far-away\"\n");
    });
}

/// The addresses that answers come from are those that the program has sent to, though both names are one
/// machine's.
#[test]
fn python_with_two_names_on_one_port() {
    place::by_datagrams(|place| {
        place.start_echo();
        let script = r#"
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
names = {name: (socket.gethostbyname(name), 7007) for name in ("web.test", "echo.test")}
assert len(set(names.values())) == 2
for turn in range(3):
    for name, address in names.items():
        s.sendto(name.encode(), address)
    got = dict(s.recvfrom(100) for _ in names)
    assert got == {name.encode(): address for name, address in names.items()}, got
s.sendto(b"by address", ("10.99.0.1", 7007))
assert s.recvfrom(100) == (b"by address", ("10.99.0.1", 7007))
print("good")
"#;
        assert_eq!(place.wrapped("python3").args(["-c", script]).run().success(), "good\n");
        place.associations_ended(3);
    });
}

#[test]
fn python_by_asyncio() {
    place::by_datagrams(|place| {
        place.start_echo();
        let script = r#"
import asyncio
class Client(asyncio.DatagramProtocol):
    def __init__(self):
        self.got = asyncio.Queue()
    def datagram_received(self, data, address):
        self.got.put_nowait((data, address))
async def main():
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_datagram_endpoint(Client, remote_addr=("web.test", 7007))
    for n in range(100):
        transport.sendto(b"%d" % n)
        data, address = await asyncio.wait_for(client.got.get(), 60)
        assert data == b"%d" % n and address == transport.get_extra_info("peername"), (data, address)
    print("good")
asyncio.run(main())
"#;
        assert_eq!(place.wrapped("python3").args(["-c", script]).run().success(), "good\n");
    });
}

#[test]
fn node_by_dgram() {
    place::by_datagrams(|place| {
        place.start_echo();
        let script = r#"
const socket = require("dgram").createSocket("udp4");
let count = 0;
socket.on("message", (data, from) => {
    if (String(data) !== String(count) || from.port !== 7007) throw new Error(data + " from " + from.address);
    if (++count === 100) { console.log("good"); socket.close(); } else next();
});
const next = () => socket.send(String(count), 7007, "web.test", error => { if (error) throw error; });
next();
"#;
        assert_eq!(place.wrapped("node").args(["-e", script]).run().success(), "good\n");
    });
}

/// What a program asks a name server itself is answered by the agent, though no datagram is carried.
#[test]
fn programs_that_ask_the_name_server_themselves() {
    place::microsocks(|place| {
        let node = r#"
require("dns").resolve4("web.test", (error, found) => {
    if (error) throw error;
    require("dns").resolve4("web.test", (error, again) => console.log(found.join() === again.join() ? found[0] : again));
});
"#;
        let programs: [(&str, &[&str]); 4] = [
            ("dig", &["+short", NAME]),
            ("dig", &["+short", "@127.0.0.53", NAME]),
            ("host", &["-t", "A", NAME]),
            ("node", &["-e", node]),
        ];
        for (program, arguments) in programs {
            let answer = place.wrapped(program).args(arguments).run().success();
            assert!(answer.trim().contains("198.18.0."), "{program} {arguments:?}: {answer}");
        }
    });
}
