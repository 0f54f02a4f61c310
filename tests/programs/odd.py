# PORT NAME...: looks each name up, which is given as hexadecimal digits, by getaddrinfo and gethostbyname, and
# connects to what comes of it. Writes one line for each: what went wrong first, by which call.
import errno
import socket
import sys


def by_getaddrinfo(name):
    return socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]


def attempt(lookup, name):
    try:
        address = lookup(name)
    except socket.gaierror as error:
        return f"no name {error.errno}"
    except socket.herror as error:
        return f"no host {error.errno}"
    with socket.socket() as stream:
        return errno.errorcode.get(stream.connect_ex((address, int(sys.argv[1]))), "connected")


for digits in sys.argv[2:]:
    name = bytes.fromhex(digits)
    print(attempt(by_getaddrinfo, name), attempt(socket.gethostbyname, name), sep=", ", flush=True)
