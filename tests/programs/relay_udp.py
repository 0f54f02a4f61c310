"""Datagrams through a relay by connect-udp (RFC 9298), over HTTP/2 and HTTP/1.1. HOST PROTOCOL TARGET PORT [idle|late|beside PORT]

`idle`: nothing is sent, and the relay's end is waited for. `late`, over HTTP/1.1: several are sent before any is read. `beside`,
over HTTP/2: after the first one a connection to PORT is asked for, where the window is no larger than a stream's.
"""

import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events

PORT = 4433


def connected(host, protocol):
    context = ssl.create_default_context(cafile="relay.key.crt")
    context.load_cert_chain("client.key.crt", "client.key")
    context.set_alpn_protocols([protocol])
    raw = socket.create_connection((host, PORT), timeout=60)
    if LATE:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
    return context.wrap_socket(raw, server_hostname=host, suppress_ragged_eofs=False)


def capsule(payload):
    length = len(payload) + 1
    return b"\0" + (bytes([length]) if length < 64 else (0x80000000 | length).to_bytes(4, "big")) + b"\0" + payload


def varint(data):
    size = 1 << (data[0] >> 6)
    number = data[0] & 0x3F
    for byte in data[1:size]:
        number = number << 8 | byte
    return number, size


def payloads(data):
    found = []
    while len(data) > 2:
        kind, at = varint(data)
        length, size = varint(data[at:])
        at += size
        if len(data) < at + length:
            break
        assert kind == 0 and data[at] == 0
        found.append(data[at + 1 : at + length])
        data = data[at + length :]
    return found


IDLE = sys.argv[5:] == ["idle"]
LATE = sys.argv[5:] == ["late"]
BESIDE = int(sys.argv[6]) if sys.argv[5:6] == ["beside"] else None
WORDS = [b"one", b"", b"x" * 1200, b"y" * 60000, b"last"]


def late(tls):
    """Whether longer and longer bursts come to the end of a datagram, until some of one are lost."""
    message = capsule(b"z" * 60000)
    for burst in range(1, 25):
        for _ in range(burst):
            tls.sendall(message)
        seen = 0
        while seen < burst * len(message):
            within = seen % len(message) != 0
            tls.settimeout(60 if within or seen == 0 else 5)
            try:
                seen += len(tls.recv(65536))
            except TimeoutError:
                # At the end of one: others were lost, and longer bursts are no better.
                return not within and seen > 0
    return True


def over_http1(tls, path):
    tls.sendall(
        f"GET {path} HTTP/1.1\r\nHost: relay.test\r\nConnection: Upgrade\r\n"
        "Upgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += tls.recv(1)
    print(head.split(b" ")[1].decode())
    if b" 101 " not in head:
        return
    if IDLE:
        return print("ended" if tls.recv(1) == b"" else "goes on")
    if LATE:
        return print(late(tls))
    seen = b""
    for word in WORDS:
        # Byte by byte, where it is short.
        message = capsule(word)
        for piece in [message[i : i + 1] for i in range(len(message))] if len(message) < 10 else [message]:
            tls.sendall(piece)
        count = len(payloads(seen))
        while len(payloads(seen)) == count:
            seen += tls.recv(65536)
    print(payloads(seen) == WORDS)


def over_http2(tls, path):
    client = h2.connection.H2Connection(
        h2.config.H2Configuration(header_encoding="utf-8", validate_outbound_headers=False)
    )
    client.initiate_connection()
    if BESIDE is None:
        client.increment_flow_control_window(1 << 24)
    tls.sendall(client.data_to_send())
    headers = [(":method", "CONNECT"), (":protocol", "connect-udp"), (":scheme", "https"), (":path", path),
               (":authority", "relay.test"), ("capsule-protocol", "?1")]
    seen, sent, asked = b"", 0, False
    while True:
        for event in client.receive_data(tls.recv(65536)):
            if isinstance(event, h2.events.RemoteSettingsChanged) and not asked:
                asked = True
                client.send_headers(1, headers)
            if isinstance(event, h2.events.ResponseReceived) and event.stream_id == 1:
                status = dict(event.headers)[":status"]
                print(status)
                if status != "200":
                    return
                if not IDLE:
                    client.send_data(1, capsule(WORDS[0]))
                    sent = 1
            if isinstance(event, h2.events.StreamEnded):
                return print("ended")
            if isinstance(event, h2.events.StreamReset):
                return print(f"RST_STREAM {int(event.error_code)}")
            if isinstance(event, h2.events.DataReceived) and event.stream_id == 3:
                return print(event.data)
            if isinstance(event, h2.events.DataReceived) and event.data and BESIDE is not None:
                if payloads(event.data) == WORDS[:1]:
                    client.send_headers(3, [(":method", "CONNECT"), (":authority", f"{sys.argv[3]}:{BESIDE}")])
            elif isinstance(event, h2.events.DataReceived) and event.data:
                client.acknowledge_received_data(event.flow_controlled_length, 1)
                seen += event.data
                if len(payloads(seen)) == len(WORDS):
                    return print(payloads(seen) == WORDS)
                if len(payloads(seen)) == sent:
                    message = capsule(WORDS[sent])
                    for at in range(0, len(message), 16000):
                        client.send_data(1, message[at : at + 16000])
                    sent += 1
        tls.sendall(client.data_to_send())


def main():
    host, protocol, target, port = sys.argv[1:5]
    path = f"/.well-known/masque/udp/{target.replace(':', '%3A')}/{port}/"
    (over_http2 if protocol == "h2" else over_http1)(connected(host, protocol), path)


main()
