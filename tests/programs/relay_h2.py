"""A client of a relay over HTTP/2 that says what decent clients do not. HOST MODE AUTHORITY [MORE]

Writes what it has seen, one thing a line.
"""

import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings

PORT = 4433
SETTINGS = h2.settings.SettingCodes


class Client:
    def __init__(self, host, key="client.key", window=65535):
        context = ssl.create_default_context(cafile="relay.key.crt")
        if key:
            context.load_cert_chain(key + ".crt", key)
        context.set_alpn_protocols(["h2"])
        raw = socket.create_connection((host, PORT), timeout=60)
        self.tls = context.wrap_socket(raw, server_hostname=host, suppress_ragged_eofs=False)
        assert self.tls.selected_alpn_protocol() == "h2"
        config = h2.config.H2Configuration(header_encoding="utf-8", validate_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.h2.update_settings({SETTINGS.INITIAL_WINDOW_SIZE: window})
        self.waiting = []
        self.flush()

    def flush(self):
        self.tls.sendall(self.h2.data_to_send())

    def next(self):
        """The next event; what was read is given back at once, but to streams that are stalled."""
        while not self.waiting:
            data = self.tls.recv(65536)
            if not data:
                return None
            self.waiting = self.h2.receive_data(data)
            self.flush()
        return self.waiting.pop(0)

    def ask(self, authority, more=()):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [(":method", "CONNECT"), (":authority", authority), *more])
        self.flush()
        return stream

    def until(self, stream, kind):
        while event := self.next():
            if isinstance(event, h2.events.ConnectionTerminated):
                return event
            if getattr(event, "stream_id", None) == stream and isinstance(event, kind):
                return event
        return None

    def status(self, stream):
        event = self.until(stream, (h2.events.ResponseReceived, h2.events.StreamReset))
        if isinstance(event, h2.events.ResponseReceived):
            return dict(event.headers)[":status"]
        return f"RST_STREAM {int(event.error_code)}" if event else "cut"

    def data(self, stream, data, end=False):
        self.h2.send_data(stream, data, end_stream=end)
        self.flush()

    def to_the_end(self, stream):
        """Everything, and how it ended."""
        seen = b""
        kinds = (h2.events.DataReceived, h2.events.StreamEnded, h2.events.StreamReset)
        try:
            while event := self.until(stream, kinds):
                if isinstance(event, h2.events.StreamEnded):
                    return seen, "END_STREAM"
                if isinstance(event, h2.events.StreamReset):
                    return seen, f"RST_STREAM {int(event.error_code)}"
                if isinstance(event, h2.events.ConnectionTerminated):
                    break
                seen += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
                self.flush()
        except (ssl.SSLError, ConnectionResetError):
            pass
        return seen, "cut"


def stall(client, big, greeter):
    """Eight streams that are not read; the connection's own window is out of their way."""
    client.h2.increment_flow_control_window(1 << 30)
    for _ in range(8):
        assert client.status(client.ask(big)) == "200"
    stream = client.ask(greeter)
    assert client.status(stream) == "200"
    kind = h2.events.DataReceived
    print(client.until(stream, kind).data.decode().strip())
    client.data(stream, b"word")
    print(client.until(stream, kind).data.decode())


def main():
    host, mode, authority = sys.argv[1:4]
    key = sys.argv[4] if mode == "rate" else "client.key"
    client = Client(host, key, window={"stall": 1 << 20, "hoard": 1 << 24}.get(mode, 65535))
    if mode == "stall":
        return stall(client, authority, sys.argv[4])
    if mode == "hoard":
        # So many streams, each with much room, and not a byte of them is read.
        client.h2.increment_flow_control_window(1 << 30)
        for _ in range(int(sys.argv[4])):
            client.data(client.ask(authority), b"four", end=True)
        print("asked", flush=True)
        return sys.stdin.read()
    if mode == "rate":
        # Both in one flight, however slow the machine is.
        for stream in (1, 3):
            client.h2.send_headers(stream, [(":method", "CONNECT"), (":authority", authority)])
        client.flush()
        answers = {}
        while len(answers) < 2:
            event = client.next()
            if isinstance(event, h2.events.ResponseReceived):
                answers[event.stream_id] = dict(event.headers)
        error = answers[3]["proxy-status"].split("error=")[1].split(";")[0]
        return print(answers[1][":status"], answers[3][":status"], error)
    if mode == "headers":
        more = [(f"x-{number}", "y" * 1000) for number in range(60)]
        try:
            return print(client.status(client.ask(authority, more)))
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
            return print("cut")
    stream = client.ask(authority)
    status = client.status(stream)
    print(status, flush=True)
    if mode == "half":
        client.data(stream, b"four", end=True)
    if mode == "byte":
        client.data(stream, b"x")
    if mode == "cut":
        client.data(stream, b"x")
        client.until(stream, h2.events.DataReceived)
        client.h2.reset_stream(stream, 8)
        return client.flush()
    if mode == "wait":
        print(client.until(stream, h2.events.DataReceived).data.decode().strip(), flush=True)
    if status == "200":
        seen, how = client.to_the_end(stream)
        print(seen.decode() + how)
        if how == "END_STREAM" and mode == "read":
            client.data(stream, b"", end=True)


if __name__ == "__main__":
    main()
