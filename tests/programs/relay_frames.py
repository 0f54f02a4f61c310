"""What RFC 9113 and RFC 7541 say of each frame and header block, as h2spec asks for it: HOST GOOD STALLED

GOOD is a destination that says hello and ends, STALLED one that reads nothing. A case is a section, what is
sent on a new connection, and what has to come of it: a connection error `GOAWAY code`, a stream error `RST code`, an
answer `status code`, or nothing. Writes down what is otherwise.
"""

import concurrent.futures
import socket
import ssl
import struct
import sys
import time

PORT = 4433
HOST, GOOD, STALLED = sys.argv[1:4]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 1
END_HEADERS, PADDED, PRIORITISED = 4, 8, 32

NO_ERROR, PROTOCOL, INTERNAL, FLOW_CONTROL, TIMEOUT, CLOSED, FRAME_SIZE, REFUSED, CANCEL, COMPRESSION = range(10)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def begun(kind, flags, stream, length):
    """A frame that says so much of itself, without the most of it: an end over bytes that nobody reads is a reset."""
    return frame(kind, flags, stream, bytes(length))[:100]


def number(value):
    return struct.pack(">I", value)


def literal(name, value):
    """Without an index and without Huffman (RFC 7541 section 6.2.2)."""
    name, value = name.encode(), value.encode()
    assert len(name) < 127 and len(value) < 127
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def block(*fields):
    return b"".join(literal(*field) for field in fields)


def connect(*more, to=GOOD):
    return block((":method", "CONNECT"), (":authority", to), *more)


def get(*more):
    return block((":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "a"), *more)


def ask(fields=None, stream=1, flags=END_HEADERS):
    return frame(HEADERS, flags, stream, connect(to=STALLED) if fields is None else fields)


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def field(value):
    """A request with `x-test`, both the name and the value in Huffman; the value `test` is 49 50 9f."""
    name = b"\xf2\xb2\x4a\x84\xff"
    return ask(connect(to=STALLED) + b"\x00\x85" + name + bytes([0x80 | len(value)]) + value)


def window(stream, size):
    return frame(WINDOW_UPDATE, 0, stream, number(size))


def wrong(fields):
    """A malformed request is a stream error, which may be treated as one of the connection; it may be answered before
    that (RFC 9113 sections 5.4.1, 8.1.1)."""
    return ask(fields, flags=END_HEADERS | END_STREAM), {f"RST {PROTOCOL}", f"GOAWAY {PROTOCOL}", "status 400"}


def conn(*codes):
    """h2 says PROTOCOL_ERROR where there is a code of its own: the kind of the error is what counts."""
    return {f"GOAWAY {code}" for code in (PROTOCOL, *codes)}


def stream(*codes):
    return {f"RST {code}" for code in codes}


WELL = {"nothing"}
TAKEN = {"status 200"}
SIZE = 128 << 10

CASES = [
    # Frames.
    ("4.1 a type that nobody knows", frame(0xBE, 0xFF, 0, b"what") + frame(0xBE, 0, 7, b"what"), WELL),
    ("4.1 flags that nobody knows", frame(PING, 0x16, 0, b"other678"), WELL),
    ("4.1 the reserved bit", frame(PING, 0, 1 << 31, b"other678"), WELL),
    ("4.2 DATA as large as may be", ask() + frame(DATA, 0, 1, bytes(SIZE)), TAKEN),
    ("4.2 DATA larger than that", ask() + begun(DATA, 0, 1, SIZE + 1), conn(FRAME_SIZE)),
    ("4.2 HEADERS larger than that", begun(HEADERS, END_HEADERS, 1, SIZE + 1), conn(FRAME_SIZE)),
    ("4.2 SETTINGS larger than that", begun(SETTINGS, 0, 0, SIZE + 4), conn(FRAME_SIZE)),
    ("4.3 a block that is none", ask(b"\x40\x01\x3a\xff\xff\xff\xff\xff\xff\xff\xff"), conn(COMPRESSION)),
    ("4.3 PRIORITY within a block", ask(flags=0) + frame(PRIORITY, 0, 1, bytes(5)), conn(PROTOCOL)),
    ("4.3 HEADERS of another stream within a block", ask(flags=0) + ask(stream=3), conn(PROTOCOL)),
    ("4.3 an unknown type within a block", ask(flags=0) + frame(0xBE, 0, 1), conn(PROTOCOL)),
    # Streams.
    ("5.1 DATA on an idle stream", frame(DATA, 0, 1, b"x"), conn(PROTOCOL)),
    ("5.1 RST_STREAM of an idle stream", frame(RST_STREAM, 0, 1, number(CANCEL)), conn(PROTOCOL)),
    ("5.1 WINDOW_UPDATE of an idle stream", window(1, 100), conn(PROTOCOL)),
    ("5.1 CONTINUATION of an idle stream", frame(CONTINUATION, END_HEADERS, 1, connect()), conn(PROTOCOL)),
    ("5.1 DATA after END_STREAM", ask(flags=5) + frame(DATA, 0, 1, b"x"), stream(CLOSED) | conn(CLOSED)),
    ("5.1 HEADERS after END_STREAM", ask(flags=5) + ask(flags=5), stream(CLOSED) | conn(CLOSED)),
    ("5.1 CONTINUATION after END_STREAM", ask(flags=5) + frame(CONTINUATION, 4, 1), conn(PROTOCOL, CLOSED)),
    (
        "5.1 DATA after RST_STREAM",
        ask() + frame(RST_STREAM, 0, 1, number(CANCEL)) + frame(DATA, 0, 1, b"x"),
        stream(CLOSED) | conn(CLOSED) | WELL,
    ),
    (
        "5.1 HEADERS after RST_STREAM",
        ask() + frame(RST_STREAM, 0, 1, number(CANCEL)) + ask(flags=5),
        stream(CLOSED) | conn(CLOSED, PROTOCOL),
    ),
    ("5.1 WINDOW_UPDATE after END_STREAM", ask(flags=5) + window(1, 100), TAKEN),
    ("5.1 PRIORITY of an idle stream", frame(PRIORITY, 0, 9, number(0) + b"\x01") + ask(), TAKEN),
    ("5.1.1 a stream with an even number", ask(stream=2), conn(PROTOCOL)),
    ("5.1.1 a number that is less than the last", ask(stream=5) + ask(stream=3), conn(PROTOCOL)),
    # Each type of frame.
    ("6.1 DATA on stream 0", frame(DATA, 0, 0, b"x"), conn(PROTOCOL)),
    ("6.1 DATA with more padding than there is", ask() + frame(DATA, PADDED, 1, b"\x06four"), conn(PROTOCOL)),
    ("6.1 DATA of padding alone", ask() + frame(DATA, PADDED, 1, b"\x04" + bytes(4)), TAKEN),
    ("6.2 HEADERS on stream 0", ask(stream=0), conn(PROTOCOL)),
    ("6.2 HEADERS with more padding than there is", ask(b"\xff" + connect(), flags=12), conn(PROTOCOL)),
    (
        "6.2 HEADERS with padding and a priority",
        ask(b"\x03" + number(0) + b"\x10" + connect(to=STALLED) + bytes(3), flags=44),
        TAKEN,
    ),
    ("6.3 PRIORITY on stream 0", frame(PRIORITY, 0, 0, bytes(5)), conn(PROTOCOL)),
    (
        "6.3 PRIORITY of another length",
        ask() + frame(PRIORITY, 0, 1, bytes(4)),
        stream(FRAME_SIZE) | conn(FRAME_SIZE),
    ),
    ("6.4 RST_STREAM on stream 0", frame(RST_STREAM, 0, 0, number(CANCEL)), conn(PROTOCOL)),
    ("6.4 RST_STREAM of another length", ask() + frame(RST_STREAM, 0, 1, bytes(3)), conn(FRAME_SIZE)),
    ("6.5 SETTINGS acknowledged with something", frame(SETTINGS, ACK, 0, bytes(6)), conn(FRAME_SIZE)),
    ("6.5 SETTINGS on a stream", frame(SETTINGS, 0, 1, bytes(6)), conn(PROTOCOL)),
    ("6.5 SETTINGS of another length", frame(SETTINGS, 0, 0, bytes(3)), conn(FRAME_SIZE)),
    ("6.5 SETTINGS of nothing", settings(), WELL),
    ("6.5.2 ENABLE_PUSH of 2", settings((2, 2)), conn(PROTOCOL)),
    ("6.5.2 INITIAL_WINDOW_SIZE beyond 31 bits", settings((4, 1 << 31)), conn(FLOW_CONTROL)),
    ("6.5.2 MAX_FRAME_SIZE below the least", settings((5, 16_383)), conn(PROTOCOL)),
    ("6.5.2 MAX_FRAME_SIZE above the most", settings((5, 1 << 24)), conn(PROTOCOL)),
    ("6.5.2 a setting that nobody knows", settings((0xBEEF, 1)), WELL),
    ("6.5.2 one setting twice", settings((4, 100), (4, 200)) + ask(), TAKEN),
    ("6.6 PUSH_PROMISE from a client", frame(PUSH_PROMISE, 4, 1, number(2) + connect()), conn(PROTOCOL)),
    ("6.7 PING on a stream", frame(PING, 0, 1, bytes(8)), conn(PROTOCOL)),
    ("6.7 PING of another length", frame(PING, 0, 0, bytes(6)), conn(FRAME_SIZE)),
    ("6.7 PING that was not asked for", frame(PING, ACK, 0, b"unasked!"), WELL),
    ("6.8 GOAWAY on a stream", frame(GOAWAY, 0, 1, bytes(8)), conn(PROTOCOL)),
    ("6.9 WINDOW_UPDATE of nothing", window(0, 0), conn(PROTOCOL)),
    ("6.9 WINDOW_UPDATE of nothing for a stream", ask() + window(1, 0), stream(PROTOCOL) | conn(PROTOCOL)),
    ("6.9 WINDOW_UPDATE of another length", frame(WINDOW_UPDATE, 0, 0, bytes(3)), conn(FRAME_SIZE)),
    ("6.9.1 a window of the connection above 2^31-1", window(0, (1 << 31) - 1), conn(FLOW_CONTROL)),
    ("6.9.1 a window of a stream above 2^31-1", ask() + window(1, (1 << 31) - 1), stream(FLOW_CONTROL)),
    (
        "6.9.1 more than the window of a stream",
        ask() + frame(DATA, 0, 1, bytes(SIZE)) * 400,
        # The end comes over what is still sent, and is a reset.
        stream(FLOW_CONTROL) | conn(FLOW_CONTROL) | {"closed"},
    ),
    (
        "6.9.2 a window of a stream above 2^31-1 by a setting",
        settings((4, 100)) + ask() + window(1, (1 << 31) - 101) + settings((4, 200)),
        conn(FLOW_CONTROL),
    ),
    ("6.10 CONTINUATION after the end of a block", ask() + frame(CONTINUATION, 4, 1), conn(PROTOCOL)),
    ("6.10 CONTINUATION on stream 0", ask(flags=0) + frame(CONTINUATION, 4, 0), conn(PROTOCOL)),
    ("6.10 CONTINUATION on another stream", ask(flags=0) + frame(CONTINUATION, 4, 3), conn(PROTOCOL)),
    (
        "6.10 a block of three frames",
        frame(HEADERS, 0, 1, connect()[:9]) + frame(CONTINUATION, 0, 1, connect()[9:12])
        + frame(CONTINUATION, 4, 1, connect()[12:]),
        TAKEN,
    ),
    # Requests.
    ("8.2 a name with capitals", *wrong(connect(("X-Y", "z")))),
    ("8.2 a name with a blank", *wrong(connect(("x y", "z")))),
    ("8.2 a value with a line's end", *wrong(connect(("x", "y\nz: 1")))),
    ("8.2.2 a field of one connection", *wrong(connect(("connection", "x")))),
    ("8.2.2 an encoding of one connection", *wrong(get(("transfer-encoding", "chunked")))),
    ("8.2.2 te that is not trailers", *wrong(get(("te", "gzip")))),
    ("8.3 a pseudo-header that nobody knows", *wrong(connect((":what", "x")))),
    ("8.3 a pseudo-header of answers", *wrong(connect((":status", "200")))),
    ("8.3 a pseudo-header after others", *wrong(block((":method", "CONNECT"), ("x", "y"), (":authority", GOOD)))),
    ("8.3.1 a method twice", *wrong(connect((":method", "CONNECT")))),
    ("8.3.1 no method", *wrong(block((":scheme", "https"), (":path", "/"), (":authority", "a")))),
    ("8.3.1 no path", *wrong(block((":method", "GET"), (":scheme", "https"), (":authority", "a")))),
    ("8.3.1 an empty path", *wrong(block((":method", "GET"), (":scheme", "https"), (":path", ""), (":authority", "a")))),
    ("8.5 CONNECT with a scheme and a path", *wrong(connect((":scheme", "https"), (":path", "/")))),
    ("8.5 CONNECT with no authority", *wrong(block((":method", "CONNECT")))),
    (
        "8.1 trailers that do not end the stream",
        ask() + ask(block(("x", "y"))),
        stream(PROTOCOL) | conn(PROTOCOL),
    ),
    (
        "8.1.1 less than content-length",
        ask(get(("content-length", "5"))) + frame(DATA, END_STREAM, 1, b"four"),
        stream(PROTOCOL) | {"status 405"},
    ),
    # Compression.
    ("HPACK 2.3.3 an index beyond the tables", ask(b"\xff\x80\x01"), conn(COMPRESSION)),
    ("HPACK 2.3.3 the index 0", ask(b"\x80"), conn(COMPRESSION)),
    ("HPACK 4.2 a new size after a field", ask(connect() + b"\x20"), conn(COMPRESSION)),
    ("HPACK 5.2 the end of a string in Huffman", field(b"\xff\xff\xff\xff"), conn(COMPRESSION)),
    ("HPACK 5.2 more than 7 bits of padding", field(b"\x49\x50\x9f\xff"), conn(COMPRESSION)),
    ("HPACK 5.2 padding that is not ones", field(b"\x49\x50\x90"), conn(COMPRESSION)),
    ("HPACK 5.2 padding as it should be", field(b"\x49\x50\x9f"), TAKEN),
    ("HPACK 6.3 a table larger than may be", ask(b"\x3f\xe1\xff\x7f" + connect()), conn(COMPRESSION)),
]


class Connection:
    def __init__(self, preface=PREFACE + settings()):
        context = ssl.create_default_context(cafile="relay.key.crt")
        context.load_cert_chain("client.key.crt", "client.key")
        context.set_alpn_protocols(["h2"])
        raw = socket.create_connection((HOST, PORT), timeout=60)
        self.tls = context.wrap_socket(raw, server_hostname=HOST, suppress_ragged_eofs=False)
        self.heard = b""
        # Whether our settings have been, and by nothing else than that.
        self.acknowledged = None
        self.said(preface)
        if preface.startswith(PREFACE):
            # What the relay allows counts from here: the room of a stream by a setting, that of them all by an update,
            # which is a frame of its own and may come later.
            missing = {(SETTINGS, 0), (WINDOW_UPDATE, 0)}
            for kind, flags, stream, payload in self.frames():
                if kind == SETTINGS and flags & ACK:
                    self.acknowledged = payload == b""
                    continue
                missing.discard((kind, stream))
                if not missing:
                    break
            self.said(frame(SETTINGS, ACK, 0))

    def said(self, data):
        try:
            self.tls.sendall(data)
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
            # The relay has ended it before it has read everything; what it has said is there to be read.
            pass

    def frames(self):
        """Kind, flags, stream and payload of all that comes, until the connection ends."""
        while True:
            while len(self.heard) >= 9:
                length = int.from_bytes(self.heard[:3], "big")
                if len(self.heard) < 9 + length:
                    break
                kind, flags = self.heard[3:5]
                payload = self.heard[9 : 9 + length]
                stream = int.from_bytes(self.heard[5:9], "big")
                self.heard = self.heard[9 + length :]
                yield kind, flags, stream, payload
            try:
                data = self.tls.recv(65536)
            except (ssl.SSLError, ConnectionResetError):
                return
            if not data:
                return
            self.heard += data

    def outcome(self):
        """An error; else an answer, which is waited for where there has to be one; else nothing, if all was read: two
        pings come back, and not all before them."""
        status, reset, pongs, closes = None, None, 0, None
        until = time.monotonic() + 60
        self.said(frame(PING, 0, 0, b"the last"))
        for kind, flags, stream, payload in self.frames():
            if kind == GOAWAY:
                closes = f"GOAWAY {int.from_bytes(payload[4:8], 'big')}"
            elif kind == RST_STREAM:
                reset = reset or f"RST {int.from_bytes(payload, 'big')}"
            elif kind == HEADERS:
                status = status or f"status {statuses(payload)}"
            elif kind == PING and flags & ACK and payload == b"the last":
                pongs += 1
                if pongs >= 2 and (reset or status or not self.waits) or time.monotonic() > until:
                    return reset or status or "nothing"
                # The relay counts pings.
                time.sleep(min(0.005 * pongs, 0.5))
                self.said(frame(PING, 0, 0, b"the last"))
            elif kind == PING and not flags & ACK:
                self.said(frame(PING, ACK, 0, payload))
        return closes or "closed"

    waits = False


def statuses(payload):
    """The status of an answer, which is the first field of it: indexed, or literal (RFC 7541 appendix A)."""
    indexed = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}
    while payload[0] & 0xE0 == 0x20:
        payload = payload[1:]
    return indexed.get(payload[0]) or payload[1:]


def judged(case):
    what, sent, expected = case
    connection = Connection()
    waited_for = any(word.startswith(("status", "RST")) for word in expected)
    connection.waits = waited_for and "nothing" not in expected
    connection.said(sent)
    found = connection.outcome()
    connection.tls.close()
    return f"{what}: {found} instead of {sorted(expected)}" if found not in expected else None


def by_hand():
    """What is not one flight and its answer."""
    bad = Connection(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + bytes(64))
    found = bad.outcome()
    if found not in ("closed", f"GOAWAY {PROTOCOL}"):
        yield f"3.4 another preface: {found}"
    # Settings are acknowledged, and pings answered as they were.
    one = Connection()
    one.said(frame(PING, 0, 0, b"to and 4"))
    acknowledged = one.acknowledged
    for kind, flags, _, payload in one.frames():
        if kind == SETTINGS and flags & ACK:
            acknowledged = payload == b""
        if kind == PING and flags & ACK:
            if payload != b"to and 4" or not acknowledged:
                yield f"6.5.3, 6.7: {payload}, {acknowledged}"
            break
    # No more than there is room for, and not before: "hello\n", by one byte and then by the rest.
    one = Connection(PREFACE + settings((4, 0)))
    one.said(ask(connect(to=GOOD)))
    said = []
    for kind, flags, stream, payload in one.frames():
        if kind == HEADERS and statuses(payload) == 200:
            one.said(window(1, 1))
        elif kind == DATA and stream == 1:
            said.append(payload)
            if len(said) == 1:
                one.said(settings((4, 1000)))
            if flags & END_STREAM:
                break
    if said[:1] != [b"h"] or b"".join(said) != b"hello\n":
        yield f"6.9.2: {said}"


def main():
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        found = [line for line in pool.map(judged, CASES) if line]
    found += by_hand()
    print(*found, f"{len(CASES) + 3} cases", sep="\n")


main()
