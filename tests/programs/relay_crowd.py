"""Connections to a relay that never say who they are. HOST COUNT"""

import os
import selectors
import socket
import sys

host, count = sys.argv[1], int(sys.argv[2])
waiting = selectors.DefaultSelector()
for number in range(count):
    sock = socket.create_connection((host, 4433), timeout=60)
    if number % 2:
        # The beginning of a ClientHello, which never ends.
        sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(32))
    waiting.register(sock, selectors.EVENT_READ)
print(count, "are there", flush=True)
while waiting.get_map():
    ready = waiting.select(timeout=60)
    assert ready, f"{len(waiting.get_map())} are still there"
    for key, _ in ready:
        try:
            ended = key.fileobj.recv(4096) == b""
        except ConnectionResetError:
            ended = True
        if ended:
            waiting.unregister(key.fileobj)
            key.fileobj.close()
print("all have ended", flush=True)
