# SERVER tcp|udp: sends the DNS messages of its input, one a line in hexadecimal, all at once, and writes what
# comes back for each, by their ids: ID CODE COUNTS [truncated], or `nothing`.
import socket
import struct
import sys

server, how = sys.argv[1:3]
messages = [bytes.fromhex(line) for line in sys.stdin]
family = socket.AF_INET6 if ":" in server else socket.AF_INET
kind = socket.SOCK_STREAM if how == "tcp" else socket.SOCK_DGRAM
asking = socket.socket(family, kind)
asking.settimeout(60)
asking.connect((server, 53))
if how == "tcp":
    asking.sendall(b"".join(struct.pack(">H", len(message)) + message for message in messages))
    stream = asking.makefile("rb")
else:
    for message in messages:
        asking.send(message)


def take():
    if how == "udp":
        return asking.recv(65535)
    length = stream.read(2)
    return stream.read(struct.unpack(">H", length)[0]) if length else b""


answers = []
for _ in messages:
    try:
        answer = take()
    except OSError:
        answer = b""
    if len(answer) < 12:
        answers.append("nothing")
        continue
    number, flags, *counts = struct.unpack(">6H", answer[:12])
    cut = " truncated" if flags & 0x200 else ""
    answers.append(f"{number} {flags & 15} {'/'.join(map(str, counts))}{cut}")
print("\n".join(sorted(answers)))
