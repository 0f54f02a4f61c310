"""A process outside of the wrapper that does things for others: PATH of a Unix socket. Asked anything, it sends a
question about a name; asked for a socket ("s"), it hands one over. It is told by datagrams at PATH.datagrams."""

import array
import os
import select
import socket
import sys

listener = socket.socket(socket.AF_UNIX)
os.makedirs(os.path.dirname(sys.argv[1]), exist_ok=True)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
listener.listen()
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.bind(sys.argv[1] + ".datagrams")
os.chmod(sys.argv[1] + ".datagrams", 0o777)
QUESTION = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\4echo\4test\0\0\1\0\1"
print("serves", flush=True)
while True:
    ready, _, _ = select.select([listener, told], [], [])
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if told in ready:
        told.recv(4096)
        datagrams.sendto(QUESTION, ("10.77.0.1", 53))
    if listener not in ready:
        continue
    client, _ = listener.accept()
    asked = client.recv(4096)
    if asked == b"s":
        datagrams.connect(("10.99.0.1", 7007))
        given = array.array("i", [datagrams.fileno()])
        client.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, given)])
    else:
        datagrams.sendto(QUESTION, ("10.77.0.1", 53))
        client.sendall(b"x")
    client.close()
