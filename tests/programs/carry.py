"""Says a word through a connection many times, hears it as often, and keeps the connection. HOST PORT WORD"""

import socket
import sys

host, port, word = sys.argv[1:]
s = socket.create_connection((host, int(port)), timeout=60)
assert s.recv(6) == b"hello\n"
said = f"Host: {host}\r\n{word}\r\n".encode()
for _ in range(64):
    s.sendall(said)
    heard = b""
    while len(heard) < len(said):
        heard += s.recv(len(said) - len(heard))
    assert heard == said, heard
print("carried", flush=True)
sys.stdin.readline()
s.shutdown(socket.SHUT_WR)
assert s.recv(1) == b""
s.close()
print("ended", flush=True)
sys.stdin.readline()
