"""A client of a relay over HTTP/1.1 that says what decent clients do not. HOST MODE AUTHORITY [KEY]

Writes what it has seen, one thing a line.
"""

import collections
import concurrent.futures
import socket
import ssl
import struct
import sys

PORT = 4433


def context(key="client.key"):
    context = ssl.create_default_context(cafile="relay.key.crt")
    context.load_cert_chain(key + ".crt", key)
    return context


def connected(host, key):
    raw = socket.create_connection((host, PORT), timeout=60)
    # Without this an end without a farewell would look like one with it.
    return context(key).wrap_socket(raw, server_hostname=host, suppress_ragged_eofs=False)


def head(tls):
    seen = b""
    while not seen.endswith(b"\r\n\r\n"):
        byte = tls.recv(1)
        if not byte:
            raise EOFError
        seen += byte
    return seen.split(b" ")[1].decode()


def to_the_end(tls):
    """Everything, and how it ended."""
    seen = b""
    try:
        while data := tls.recv(65536):
            seen += data
        return seen, "clean end"
    except (ssl.SSLError, ConnectionResetError):
        return seen, "cut"


def ask(tls, authority):
    tls.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
    return head(tls)


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def half(host, authority):
    """Ends its own direction, and reads on."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context().wrap_bio(incoming, outgoing, server_hostname=host)
    sock = socket.create_connection((host, PORT), timeout=60)

    def step(call, wait=True):
        while True:
            try:
                result, more = call(), False
            except ssl.SSLWantReadError:
                result, more = None, True
            except ssl.SSLZeroReturnError:
                return b""
            sock.sendall(outgoing.read())
            if not more or not wait:
                return result
            data = sock.recv(65536)
            incoming.write(data) if data else incoming.write_eof()

    step(tls.do_handshake)
    step(lambda: tls.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()))
    seen = step(lambda: tls.read(4096))
    print(seen.split(b" ")[1].decode())
    step(lambda: tls.write(b"four"))
    # A farewell, which is not waited for to be returned.
    step(tls.unwrap, wait=False)
    seen = b""
    while data := step(lambda: tls.read(65536)):
        seen += data
    print(seen.decode() + "clean end")


def asked(host, authority, change=lambda data, at: data):
    """How a request is answered, and all that was sent for it; `change` is told where each piece of it begins."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context().wrap_bio(incoming, outgoing, server_hostname=host)
    said = b""
    with socket.create_connection((host, PORT), timeout=60) as sock:

        def step(call):
            nonlocal said
            while True:
                try:
                    result = call()
                    more = False
                except ssl.SSLWantReadError:
                    more = True
                data = change(outgoing.read(), len(said))
                said += data
                sock.sendall(data)
                if not more:
                    return result
                data = sock.recv(65536)
                if not data:
                    raise EOFError
                incoming.write(data)

        step(tls.do_handshake)
        step(lambda: tls.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()))
        return step(lambda: tls.read(12)).decode() or "refused", said


def flipped(host, authority, offset):
    """What a request comes to of which one bit is another on its way."""

    def change(data, at):
        data = bytearray(data)
        if at <= offset < at + len(data):
            data[offset - at] ^= 1 << offset % 8
        return bytes(data)

    try:
        return asked(host, authority, change)[0]
    except (ssl.SSLError, EOFError, ConnectionResetError, BrokenPipeError):
        return "refused"


def flip(host, authority):
    answer, said = asked(host, authority)
    assert answer == "HTTP/1.1 200", answer
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = pool.map(lambda offset: flipped(host, authority, offset), range(0, len(said), 2))
        answers = collections.Counter(answers)
    # What a record of the handshake's beginning says of its version is not looked at (RFC 8446 section 5.1).
    print(sorted(answers), answers["HTTP/1.1 200"] < 10 and answers["refused"] > 500)


def replay(host, authority, count):
    """Records what a good client sends, and says it again."""
    answer, said = asked(host, authority)
    if answer == "HTTP/1.1 200":
        print("served once", end=", ")
    refused = 0
    for _ in range(int(count)):
        sock = socket.create_connection((host, PORT), timeout=60)
        answer = b""
        try:
            sock.sendall(said)
            while data := sock.recv(65536):
                answer += data
        except ConnectionResetError:
            pass
        # A record of application data after the handshake would be an answer; what there is, is an alert at
        # its end, encrypted as all is, and so looks like one of the shortest.
        refused += b"HTTP" not in answer and len(answer) < 4096
    print(f"and {refused} times not")


def main():
    host, mode, authority = sys.argv[1:4]
    key = sys.argv[4] if len(sys.argv) > 4 else "client.key"
    if mode == "plain":
        sock = socket.create_connection((host, PORT), timeout=60)
        sock.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        answer = sock.recv(4096)
        # A record of type 21 (RFC 8446 section 5.1).
        print("alert" if answer[:1] == b"\x15" and len(answer) == 7 else answer)
        return
    if mode == "tls12":
        old = context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            old.wrap_socket(socket.create_connection((host, PORT), timeout=60), server_hostname=host)
        except ssl.SSLError as error:
            print(error.reason)
        return
    if mode == "half":
        return half(host, authority)
    if mode == "flip":
        return flip(host, authority)
    if mode == "replay":
        return replay(host, authority, sys.argv[4])
    tls = connected(host, key)
    if mode == "early":
        # What was meant for the tunnel looks like a request.
        line = f"CONNECT {authority} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        tls.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        seen = b""
        try:
            while data := tls.recv(65536):
                seen += data
                tls.sendall(line)
                # Another answer would not be long in coming.
                tls.settimeout(2)
        except OSError:
            pass
        return print(seen.count(b"HTTP/1.1"), "answer")
    print(ask(tls, authority), flush=True)
    if mode == "byte":
        tls.sendall(b"x")
    if mode == "cut":
        tls.sendall(b"x")
        tls.recv(1)
        return reset(tls)
    if mode == "wait":
        print(tls.recv(6).decode().strip(), flush=True)
    seen, ended = to_the_end(tls)
    print(seen.decode() + ended)
    if ended != "cut":
        tls.unwrap()


main()
