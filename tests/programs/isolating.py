# PORT: a SOCKS5 proxy that takes any credentials and only tells them apart, as Tor does. Writes `ready`,
# then `USER HOST:PORT` for each connection that it makes.
import socket
import sys
import threading


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
    methods = take(client, take(client, 2)[1])
    client.sendall(b"\5\2" if 2 in methods else b"\5\xff")
    user = take(client, take(client, 2)[1])
    password = take(client, take(client, 1)[0])
    client.sendall(b"\1\0")
    kind = take(client, 4)[3]
    name = socket.inet_ntoa(take(client, 4)) if kind == 1 else take(client, take(client, 1)[0]).decode()
    port = int.from_bytes(take(client, 2), "big")
    far = socket.create_connection((name, port))
    print((user + b":" + password).hex(), f"{name}:{port}", flush=True)
    client.sendall(b"\5\0\0\1" + bytes(6))
    threading.Thread(target=copy, args=(far, client), daemon=True).start()
    copy(client, far)


server = socket.create_server(("", int(sys.argv[1])))
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
