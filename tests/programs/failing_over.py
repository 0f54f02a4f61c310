"""Connections that stay and connections that come and go, while relays are killed. HOST PORT

Reads a line to go on: opens eight that stay and says so; the next line, says how those fared that stayed and, if
nothing went wrong, how the others did. Others come and go all the time, in four threads.
"""

import collections
import errno
import socket
import sys
import threading

host, port = sys.argv[1], int(sys.argv[2])
counts = collections.Counter()
changed = threading.Condition()


def note(what):
    with changed:
        counts[what] += 1
        changed.notify_all()


def wait(what, more):
    with changed:
        wanted = counts[what] + more
        changed.wait_for(lambda: counts[what] >= wanted or lost())


def lost():
    return [what for what in counts if what not in ("served", "reset")]


def said(s, word):
    s.sendall(word)
    heard = b""
    while len(heard) < len(word):
        piece = s.recv(len(word) - len(heard))
        if not piece:
            return "an end in the middle"
        heard += piece
    return None if heard == word else "other bytes"


def come_and_go():
    while not lost():
        try:
            # Without a time limit: with one it is SO_ERROR that is read, which also holds a reset of what is open.
            s = socket.create_connection((host, port))
            s.settimeout(60)
        except ConnectionResetError:
            # It was there, and was reset before this thread has run: connect(2) says so natively, too.
            note("reset")
            continue
        except OSError as error:
            return note(f"not connected: {errno.errorcode.get(error.errno, error)}")
        with s:
            try:
                wrong = said(s, b"a word " * 100)
                s.shutdown(socket.SHUT_WR)
                if not wrong and s.recv(1) != b"":
                    wrong = "more than there is"
                note(wrong or "served")
            except ConnectionResetError:
                note("reset")
            except OSError as error:
                if error.errno == errno.ENOTCONN:  # shutdown(2) of what was reset
                    note("reset")
                    continue
                note(f"not reset: {errno.errorcode.get(error.errno, error)}")


def open_one():
    s = socket.create_connection((host, port), timeout=60)
    assert said(s, b"stay") is None
    return s


def fared(s):
    try:
        return "an end" if s.recv(1) == b"" else "a byte"
    except ConnectionResetError:
        return "reset"
    except OSError as error:
        return str(error)


for _ in range(4):
    threading.Thread(target=come_and_go, daemon=True).start()
for _ in sys.stdin:
    staying = [open_one() for _ in range(8)]
    wait("served", 20)
    print("stay", flush=True)
    sys.stdin.readline()
    print(*collections.Counter(map(fared, staying)).items(), flush=True)
    wait("served", 100)
    print(*lost() or ["no other was lost"], flush=True)
