"""Pages beyond the proxy: PORT CERTIFICATE. /page, and /doors, which tries what goes past a proxy of a browser's: WebRTC
by STUN servers at all addresses, QUIC, and a name of its own. Both over TLS, and at the next port without."""

import http.server
import ssl
import sys
import threading

DOORS = """<!doctype html><body>doors <p id=told></p><script>
const told = document.getElementById("told");
function tell(word) { told.textContent += word + " "; }
const urls = ["stun:10.99.0.1:3478", "stun:[fd99::1]:3478", "stun:stun.test:3478", "turn:10.99.0.1:3478?transport=tcp"];
const servers = urls.map(url => ({urls: url, username: "a", credential: "b"}));
const peer = new RTCPeerConnection({iceServers: servers});
peer.createDataChannel("x");
peer.onicecandidate = event => { if (!event.candidate) tell("gathered"); };
peer.createOffer().then(offer => peer.setLocalDescription(offer)).then(() => tell("offered"));
fetch("https://web.test:%d/page", {mode: "no-cors"}).then(() => tell("fetched"), () => tell("failed"));
fetch("http://other.test/").catch(() => tell("unknown"));
</script>"""


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = (DOORS % PORT if self.path == "/doors" else "a page of its own").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024


PORT = int(sys.argv[1])
secure, plain = (Server(("10.99.0.1", port), Page) for port in (PORT, PORT + 1))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2] + ".crt", sys.argv[2])
# The handshake is made by each connection's own thread.
secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=plain.serve_forever, daemon=True).start()
print("serves", flush=True)
secure.serve_forever()
