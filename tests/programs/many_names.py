# PREFIX COUNT PORT TOLD: resolves PREFIX1.test, PREFIX2.test, … and writes `NAME ADDRESS` for each to the file
# TOLD; or, where that exists, dials each address that it names and says how many connections were made.
import os
import selectors
import socket
import sys

prefix, count, port, told = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
AT_ONCE = 100


def resolve():
    with open(told + ".new", "w") as out:
        for number in range(1, count + 1):
            name = f"{prefix}{number}.test"
            address = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
            out.write(f"{name} {address}\n")
    os.rename(told + ".new", told)
    print("resolved", count)


def dial():
    waiting = selectors.DefaultSelector()
    addresses = (line.split()[1] for line in open(told))
    made = open_now = 0
    more = True
    while more or open_now:
        while more and open_now < AT_ONCE:
            address = next(addresses, None)
            if address is None:
                more = False
                break
            connection = socket.socket()
            connection.setblocking(False)
            connection.connect_ex((address, port))
            waiting.register(connection, selectors.EVENT_READ)
            open_now += 1
        for key, _ in waiting.select(20):
            try:
                made += key.fileobj.recv(6) == b"hello\n"
            except OSError:
                pass
            waiting.unregister(key.fileobj)
            key.fileobj.close()
            open_now -= 1
    print("made", made)


if os.path.exists(told):
    dial()
else:
    resolve()
