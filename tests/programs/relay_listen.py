"""A listener of a relay, by somebody else's HTTP/2: HOST RELAY_PORT PIN_KEY EXIT PORT

Listens, is cut, and takes the listener up again: who has come meanwhile is served. Then it ends the listener.
"""

import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events

host, relay_port, certificate, key, ip, port = sys.argv[1:7]


class Session:
    def __init__(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(certificate, key)
        context.set_alpn_protocols(["h2"])
        self.raw = socket.create_connection((host, int(relay_port)), timeout=60)
        self.tls = context.wrap_socket(self.raw, server_hostname=host)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.flush()
        self.seen = []
        self.until(lambda e: isinstance(e, h2.events.RemoteSettingsChanged))

    def flush(self):
        self.tls.sendall(self.h2.data_to_send())

    def until(self, wanted):
        while True:
            for event in self.seen:
                if wanted(event):
                    self.seen.remove(event)
                    return event
            data = self.tls.recv(65536)
            assert data, "the relay has gone"
            self.seen += self.h2.receive_data(data)
            self.flush()

    def ask(self, protocol, path, more=()):
        stream = self.h2.get_next_available_stream_id()
        headers = [(":method", "CONNECT"), (":protocol", protocol), (":scheme", "https"), (":path", path)]
        self.h2.send_headers(stream, headers + [(":authority", "relay.test"), *more])
        self.flush()
        answer = self.until(lambda e: isinstance(e, h2.events.ResponseReceived) and e.stream_id == stream)
        return stream, dict(answer.headers)

    def data(self, stream):
        event = self.until(lambda e: isinstance(e, h2.events.DataReceived) and e.stream_id == stream)
        return event.data

    def cut(self):
        self.tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.tls.close()


def announced(data):
    assert data[:4] == bytes.fromhex("ad755031") and data[4] == len(data) - 5 == 23, data
    return data[5:21].hex(), socket.inet_ntoa(data[22:26]), int.from_bytes(data[26:28], "big")


def say(*words):
    print(*words, flush=True)


LISTEN = f"/.well-known/underpass/listen/{ip}/{port}/"


def main():
    first = Session()
    stream, said = first.ask("underpass-listen-1", LISTEN)
    say(said[":status"], said.get("underpass-bound"))
    token = ("underpass-resume", said.get("underpass-resume", ""))
    sys.stdin.readline()
    name, _, _ = announced(first.data(stream))
    say("came")
    first.cut()
    sys.stdin.readline()
    second = Session()
    stream, said = second.ask("underpass-listen-1", LISTEN, [token])
    say(said[":status"], said.get("underpass-bound"))
    served = {}
    for _ in range(2):
        again, peer, peer_port = announced(second.data(stream))
        served[again] = peer
        taken, answer = second.ask("underpass-accept-1", f"/.well-known/underpass/accept/{again}/")
        second.h2.send_data(taken, f"{peer} {peer_port}\n".encode(), end_stream=True)
        second.flush()
        say(answer[":status"])
    say(name in served, set(served.values()))
    _, answer = second.ask("underpass-accept-1", f"/.well-known/underpass/accept/{name}/")
    say(answer[":status"])
    second.h2.end_stream(stream)
    second.flush()
    second.until(lambda e: isinstance(e, h2.events.StreamEnded) and e.stream_id == stream)
    say("ended")
    third = Session()
    _, answer = third.ask("underpass-listen-1", LISTEN, [token])
    say(answer[":status"])


if __name__ == "__main__":
    main()
