"""Clients of a relay that have no key, or no token. HOST MODE AUTHORITY [TOKEN]

`body`: what whoever shows no token, or not the right one, is answered in both protocols, one answer a line.
`sessions`: sessions of HTTP/2 side by side, and how each fares; then one of them ends, and another is tried. Without a
token they are those of whoever has the key.
"""

import collections
import http.client
import ssl
import socket
import sys

import h2.events
import h2.exceptions

# Nothing is left beside the scripts.
sys.dont_write_bytecode = True

from relay_h2 import PORT, Client

CONTEXT = ssl.create_default_context(cafile="relay.key.crt")


def by_http_1(host, request):
    tls = CONTEXT.wrap_socket(socket.create_connection((host, PORT), timeout=60), server_hostname=host)
    tls.sendall(request)
    answer = http.client.HTTPResponse(tls, method="GET")
    answer.begin()
    return answer.status, answer.getheader("Proxy-Status"), answer.read()


def by_http_2(host, fields):
    client = Client(host, key=None)
    stream = client.h2.get_next_available_stream_id()
    client.h2.send_headers(stream, fields, end_stream=True)
    client.flush()
    seen, head = b"", {}
    while event := client.next():
        if getattr(event, "stream_id", None) != stream:
            continue
        if isinstance(event, h2.events.ResponseReceived):
            head = dict(event.headers)
        if isinstance(event, h2.events.DataReceived):
            seen += event.data
        if isinstance(event, h2.events.StreamEnded):
            break
    return int(head[":status"]), head["proxy-status"], seen


def bodies(host, authority):
    wrong = "Proxy-Authorization: Bearer wrong\r\n"
    for request in [
        f"CONNECT {authority} HTTP/1.1\r\nHost: a\r\n\r\n",
        f"CONNECT {authority} HTTP/1.1\r\nHost: a\r\n{wrong}\r\n",
        f"CONNECT nowhere.test:1 HTTP/1.1\r\nHost: a\r\n{wrong}\r\n",
        f"CONNECT web.test HTTP/1.1\r\nHost: a\r\nHost: b\r\n{wrong}\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nfour",
        "what is this?\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nX: {'y' * 20_000}\r\n\r\n",
    ]:
        yield by_http_1(host, request.encode())
    connect = [(":method", "CONNECT"), (":authority", authority)]
    get = [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "a")]
    for fields in [connect, [*connect, ("proxy-authorization", "Bearer wrong")], get]:
        yield by_http_2(host, fields)


def opened(host, authority, token):
    client = Client(host, key=None) if token else Client(host)
    try:
        shown = [("proxy-authorization", f"Bearer {token}")] if token else []
        return client, client.status(client.ask(authority, shown))
    except h2.exceptions.ProtocolError:
        # This library takes nothing more after the first GOAWAY.
        return client, "GOAWAY"
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
        return client, "cut"


def sessions(host, authority, token=None):
    clients = [opened(host, authority, token) for _ in range(70)]
    print(*sorted(collections.Counter(status for _, status in clients).items()))
    clients[0][0].tls.close()
    while opened(host, authority, token)[1] != "200":
        pass
    print("another is served")


def main():
    host, mode, authority = sys.argv[1:4]
    if mode == "body":
        return print(*bodies(host, authority), sep="\n")
    sessions(host, authority, *sys.argv[4:])


main()
