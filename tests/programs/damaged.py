"""Connections through what may be damaged. HOST PORT. A line of input holds how many bytes to say to an echo.

Writes what came of each: `right` if all came back, and then the end; else what happened first.
"""

import errno
import socket
import sys

host, port = sys.argv[1], int(sys.argv[2])


def attempt(length):
    sent = bytes(i % 251 for i in range(251)) * (length // 251 + 1)
    sent = sent[:length]
    try:
        s = socket.create_connection((host, port), timeout=60)
    except OSError as error:
        return f"no connection: {errno.errorcode.get(error.errno, error)}"
    with s:
        heard = b""
        try:
            s.sendall(sent)
            while len(heard) < length:
                piece = s.recv(65536)
                if not piece:
                    return f"WRONG: an end after {len(heard)} bytes"
                heard += piece
                if not sent.startswith(heard):
                    return "WRONG: other bytes"
            s.shutdown(socket.SHUT_WR)
            return "right" if s.recv(1) == b"" else "WRONG: more bytes"
        except OSError as error:
            if not sent.startswith(heard):
                return "WRONG: other bytes"
            return f"cut: {errno.errorcode.get(error.errno, error)}"


for line in sys.stdin:
    print(attempt(int(line)), flush=True)
