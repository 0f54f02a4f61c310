# MODE HOST:PORT...: connects to each in turn, with a blocking or a nonblocking socket, wants the
# greeting and nothing before it, says a word and wants it back. Writes one line for each: `greeted`,
# or what went wrong first, by which call.
import errno
import os
import select
import socket
import sys

WAIT_MS = 60000


def wait(fd, event):
    poll = select.poll()
    poll.register(fd, event)
    if not poll.poll(WAIT_MS):
        raise TimeoutError(errno.ETIME, "nothing came")


def connect(stream, address, nonblocking):
    stream.setblocking(not nonblocking)
    error = stream.connect_ex(address)
    if nonblocking and error == errno.EINPROGRESS:
        wait(stream, select.POLLOUT)
        error = stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


def receive(stream, length, nonblocking):
    data = b""
    while len(data) < length:
        if nonblocking:
            wait(stream, select.POLLIN)
        more = stream.recv(length - len(data))
        if not more:
            raise EOFError(data)
        data += more
    return data


def visit(host, port, nonblocking):
    call = "getaddrinfo"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as stream:
            call = "connect"
            connect(stream, address, nonblocking)
            call = "greeting"
            data = receive(stream, 6, nonblocking)
            if data != b"hello\n":
                return f"greeting {data!r}"
            call = "echo"
            stream.sendall(b"0123456789")
            data = receive(stream, 10, nonblocking)
            return "greeted" if data == b"0123456789" else f"echo {data!r}"
    except socket.gaierror as error:
        return f"getaddrinfo {error.errno}"
    except EOFError as error:
        return f"{call} end"
    except OSError as error:
        # Two names of one number.
        name = errno.errorcode.get(error.errno, error).replace("ENOTSUP", "EOPNOTSUPP")
        return name if call == "connect" else f"{call} {name}"


for target in sys.argv[2:]:
    host, port = target.rsplit(":", 1)
    print(visit(host, int(port), sys.argv[1] == "nonblocking"), flush=True)
