//! A browser, which takes a relay for what it is: an HTTPS proxy. It has no key, but a token.

use std::time::Duration;

use underpass_tests::{World, artifacts, proxies};

use crate::relays;

const RELAY: u16 = 4433;
const SITE: u16 = 7443;
const TOKEN: &str = "open sesame";

/// A page, over TLS.
const PAGE: &str = r#"
import http.server, ssl, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = b"<p>a page of its own</p>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("10.99.0.1", int(sys.argv[1])), Page)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2] + ".crt", sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
print("serves", flush=True)
server.serve_forever()
"#;

#[test]
fn chromium_reads_a_page_through_a_relay() {
    let world = World::new();
    let [own, site, client] = ["relay", "site", "client"].map(|name| proxies::key(&world, name));
    let file = relays::configuration(&world, "relay", RELAY, &own, &client);
    let script = "printf %s \"$1\" | openssl dgst -sha256 -binary | openssl base64";
    let digest = world.far("sh").args(["-c", script, "sh", TOKEN]).run().success();
    let write = |name: &str, text: &str| {
        std::fs::write(world.directory().join(name), text).expect("the directory is ours");
    };
    write("tokens", &format!("sha256//{} browser\n", digest.trim()));
    let text = std::fs::read_to_string(file).expect("it was written");
    write("relay.toml", &format!("tokens = 'tokens'\n{text}"));
    let _relay = relays::start(&world, world.far("sh"), "relay");
    world.wait_listening(RELAY);
    world.allow_proxy(RELAY);
    let page = world.far("/usr/bin/python3").args(["-c", PAGE, &SITE.to_string()]).arg(&site.path);
    let mut page = page.limit(Duration::MAX).spawn();
    assert_eq!(page.next_line(), "serves");

    let script = artifacts::workspace().join("tests/programs/browser.py");
    let pins = [&own, &site].map(|key| key.pin.trim_start_matches("sha256//")).join(",");
    let read = |token: &str| {
        let browser = world.client("/usr/bin/python3").arg(&script).arg(format!("https://10.77.0.1:{RELAY}"));
        let browser = browser.args([token, &format!("https://web.test:{SITE}/"), &pins]);
        browser.limit(Duration::from_secs(300)).run().success()
    };
    assert_eq!(read(TOKEN), "a page of its own\n");
    let audit = relays::written(&world, "relay", "audit");
    assert!(audit.contains(r#""client":"browser""#) && audit.contains(r#""host":"web.test""#), "{audit}");
}
