# PORT SECONDS: a SOCKS5 proxy that gives a client up that was greeted and asks for nothing in so many seconds, one by
# an end, the next by a reset. Writes `ready`, then `closed` for each of them, and `kept` for each that asked later than
# a hundredth of a second after it was greeted.
import itertools
import select
import socket
import struct
import sys
import threading
import time

limit = float(sys.argv[2])
turns = itertools.count()


def take(stream, length):
    data = stream.recv(length, socket.MSG_WAITALL)
    if len(data) < length:
        raise EOFError
    return data


def copy(one, other):
    while data := one.recv(65536):
        other.sendall(data)
    other.shutdown(socket.SHUT_WR)


def serve(client):
    take(client, take(client, 2)[1])
    client.sendall(b"\5\0")
    greeted = time.monotonic()
    if not select.select([client], [], [], limit)[0]:
        if next(turns) % 2:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        print("closed", flush=True)
        return
    kind = take(client, 4)[3]
    if time.monotonic() - greeted > 0.01:
        print("kept", flush=True)
    host = socket.inet_ntoa(take(client, 4)) if kind == 1 else take(client, take(client, 1)[0]).decode()
    far = socket.create_connection((host, int.from_bytes(take(client, 2), "big")))
    client.sendall(b"\5\0\0\1" + bytes(6))
    threading.Thread(target=copy, args=(far, client), daemon=True).start()
    copy(client, far)


def serve_quietly(client):
    try:
        serve(client)
    except (EOFError, OSError):
        client.close()


server = socket.create_server(("", int(sys.argv[1])), backlog=1024)
print("ready", flush=True)
while True:
    threading.Thread(target=serve_quietly, args=(server.accept()[0],), daemon=True).start()
