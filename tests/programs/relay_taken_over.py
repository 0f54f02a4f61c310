"""A listener of a relay that goes from one stream to the next, by somebody else's HTTP/2: HOST RELAY_PORT PIN_KEY EXIT PORT

Each stream but the last is cut in another way. Says how many who have come were told of when many wait.
"""

import sys

import h2.events

# Nothing is left beside the scripts.
sys.dont_write_bytecode = True

from relay_listen import LISTEN, Session, announced, say

# So many that it can be seen whether the relay keeps anything of them.
UNWANTED = 8_000


def of(kind, stream):
    return lambda event: isinstance(event, kind) and event.stream_id == stream


def unwanted(count, more=()):
    """Asks so often for a listener, and takes each back at once."""
    for _ in range(count // 100):
        # By so many, the relay has not had enough of one connection.
        session = Session()
        for _ in range(100):
            stream = session.h2.get_next_available_stream_id()
            asked = [(":method", "CONNECT"), (":protocol", "underpass-listen-1"), (":scheme", "https")]
            session.h2.send_headers(stream, [*asked, (":path", LISTEN), (":authority", "relay.test"), *more])
            session.h2.reset_stream(stream)
        session.h2.ping(b"8 bytes.")
        session.flush()
        session.until(lambda event: isinstance(event, h2.events.PingAckReceived))
        session.tls.close()


def told(session, stream):
    """Who is told of until nobody is for a while."""
    found = set()
    session.tls.settimeout(0.4)
    try:
        while True:
            data = session.data(stream)
            found |= {announced(data[at : at + 28])[0] for at in range(0, len(data), 28)}
    except TimeoutError:
        pass
    session.tls.settimeout(60)
    return found


def main():
    first = Session()
    stream, said = first.ask("underpass-listen-1", LISTEN)
    token = ("underpass-resume", said["underpass-resume"])
    # Its own stream is reset, by which it is without one; the next takes it, and from that one another does.
    first.h2.reset_stream(stream)
    first.flush()
    streams = []
    for _ in range(3):
        session = Session()
        stream, said = session.ask("underpass-listen-1", LISTEN, [token])
        say(said[":status"])
        if streams:
            streams[-1][0].until(of(h2.events.StreamReset, streams[-1][1]))
        streams.append((session, stream))
    say("many may come")
    sys.stdin.readline()
    session, stream = streams[-1]
    whole = told(session, stream)
    say(len(whole))
    for _ in range(2):
        session.h2.reset_stream(stream)
        session.flush()
        session = Session()
        stream, said = session.ask("underpass-listen-1", LISTEN, [token])
        whole |= told(session, stream)
        say(said[":status"], len(whole))
    # It is wanted, and then it is not: the relay keeps it.
    session.h2.reset_stream(stream)
    session.flush()
    unwanted(200, [token])
    session = Session()
    stream, said = session.ask("underpass-listen-1", LISTEN, [token])
    say(said[":status"], "again")
    session.h2.end_stream(stream)
    session.flush()
    session.until(of(h2.events.StreamEnded, stream))
    sys.stdin.readline()
    unwanted(UNWANTED)
    say("none was wanted")


main()
