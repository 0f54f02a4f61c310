# NAME ADDRESS...: a name server that knows one name, which has these addresses by turns. Writes `ready`, then each
# name that it is asked for.
import itertools
import socket
import sys

known, addresses = sys.argv[1].lower(), itertools.cycle(map(socket.inet_aton, sys.argv[2:]))
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 53))
print("ready", flush=True)
while True:
    query, client = server.recvfrom(512)
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]])
        at += 1 + query[at]
    name = b".".join(labels).decode().lower()
    print(name, flush=True)
    question, kind = query[12 : at + 5], query[at + 1 : at + 3]
    is_here = name == known
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + next(addresses) if is_here and kind == b"\0\1" else b""
    # A response to a recursive query: no error, or the name does not exist (RFC 1035 section 4.1.1).
    flags = b"\x81\x80" if is_here else b"\x81\x83"
    counts = b"\0\1" + (b"\0\1" if answer else b"\0\0") + b"\0\0\0\0"
    server.sendto(query[:2] + flags + counts + question + answer, client)
