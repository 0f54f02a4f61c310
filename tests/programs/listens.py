"""A server that says what its sockets show. HOW HOST PORT [COUNT]

names: two connections, one after the other; epoll: COUNT at once, without blocking; fork: a process for each;
share: COUNT processes with a socket of their own at one port (SO_REUSEPORT).
Each connection is told who it is to the server, and then gets back what it sends until its end.
"""

import os
import selectors
import signal
import socket
import sys

how, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
count = int(sys.argv[4]) if len(sys.argv) > 4 else 2
family = socket.AF_INET6 if ":" in host else socket.AF_INET


def say(*words):
    print(*words, flush=True)


def shown(address):
    return f"{address[0]} {address[1]}"


def listening(backlog=128):
    server = socket.socket(family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if how == "share":
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        server.bind((host, port))
        server.listen(backlog)
    except OSError as error:
        say("errno", error.errno)
        sys.exit(3)
    return server


def serve(connection, peer):
    connection.sendall(f"{shown(peer)}\n".encode())
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.close()


if how == "share":
    for number in range(count):
        if os.fork() == 0:
            server = listening()
            say("listens", shown(server.getsockname()))
            while True:
                serve(*server.accept())
    os.wait()
    sys.exit()

server = listening(1024)
say("listens", shown(server.getsockname()))
if how == "names":
    for _ in range(2):
        connection, peer = server.accept()
        say("accept", shown(peer))
        say("peer", shown(connection.getpeername()))
        say("name", shown(connection.getsockname()))
        serve(connection, peer)
    server.close()
    say("closed")
    sys.stdin.readline()
elif how == "fork":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, peer = server.accept()
        if os.fork() == 0:
            server.close()
            serve(connection, peer)
            os._exit(0)
        connection.close()
elif how == "epoll":
    server.setblocking(False)
    selector = selectors.EpollSelector()
    selector.register(server, selectors.EVENT_READ)
    ended = 0
    while ended < count:
        for key, _ in selector.select():
            if key.fileobj is server:
                try:
                    connection, peer = server.accept()
                except BlockingIOError:
                    continue
                connection.setblocking(False)
                connection.send(f"{shown(peer)}\n".encode())
                selector.register(connection, selectors.EVENT_READ)
                continue
            data = key.fileobj.recv(65536)
            if data:
                key.fileobj.send(data)
            else:
                selector.unregister(key.fileobj)
                key.fileobj.close()
                ended += 1
    say("served", ended)
