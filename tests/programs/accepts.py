"""A server that takes four connections by libc's own calls, and says what each has written. PORT"""

import ctypes
import errno
import platform
import select
import socket
import sys

libc = ctypes.CDLL(None, use_errno=True)
SYS_ACCEPT = 43 if platform.machine() == "x86_64" else 202

server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("0.0.0.0", int(sys.argv[1])))
server.listen()
server.setblocking(False)
assert libc.accept(server.fileno(), None, None) == -1
print("listens", errno.errorcode[ctypes.get_errno()], flush=True)


def by_number(fd, address, size):
    return libc.syscall(SYS_ACCEPT, fd, address, size)


for name, call, room in [
    ("whole", libc.accept, 32),
    ("short", libc.accept, 4),
    ("none", libc.accept, None),
    ("number", by_number, 32),
]:
    select.select([server], [], [])
    address, size = ctypes.create_string_buffer(b"\xee" * 32, 32), ctypes.c_uint(room or 0)
    fd = call(server.fileno(), *((None, None) if room is None else (address, ctypes.byref(size))))
    connection = socket.socket(fileno=fd)
    told = bytes(address)
    print(name, size.value, told[:2].hex(), told[2:4].hex(), told[4:8].hex(), told[16:18].hex(), flush=True)
    host, port = connection.getpeername()
    connection.setblocking(True)
    connection.sendall(f"{host} {port}\n".encode())
    while connection.recv(100):
        pass
    connection.close()
