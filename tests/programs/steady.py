# HOST PORT COUNT SECONDS: COUNT conversations in about so many seconds, half of them by threads with
# blocking sockets, half by an event loop, and as many more in the same measure until its input ends. Each is greeted
# and hears what it said. Writes `begins`, and one line for each: start and end (seconds since 1970) and `greeted`,
# `connect ERRNO` or `stream ERRNO`.
import asyncio
import errno
import socket
import sys
import threading
import time

host, port, count, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
WORKERS = 4
SAID = b"0123456789"
each = count // (2 * WORKERS)
pause = seconds / each
lines = []
told_to_end = threading.Event()


def goes_on(done):
    return done < each or not told_to_end.is_set()


def name(error):
    return errno.errorcode.get(getattr(error, "errno", None), type(error).__name__)


def note(start, what):
    lines.append(f"{start:.4f} {time.time():.4f} {what}")


def talk():
    stage = "connect"
    try:
        with socket.create_connection((host, port)) as stream:
            stage = "stream"
            file = stream.makefile("rb")
            if file.readline() != b"hello\n":
                return "stream end"
            stream.sendall(SAID)
            return "greeted" if file.read(len(SAID)) == SAID else "stream end"
    except OSError as error:
        return f"{stage} {name(error)}"


async def talk_too():
    stage = "connect"
    try:
        reader, writer = await asyncio.open_connection(host, port)
        stage = "stream"
        try:
            if await reader.readline() != b"hello\n":
                return "stream end"
            writer.write(SAID)
            await writer.drain()
            return "greeted" if await reader.readexactly(len(SAID)) == SAID else "stream end"
        finally:
            writer.close()
    except asyncio.IncompleteReadError:
        return "stream end"
    except OSError as error:
        return f"{stage} {name(error)}"


def thread():
    done = 0
    while goes_on(done):
        done += 1
        start = time.time()
        note(start, talk())
        time.sleep(pause)


async def task():
    done = 0
    while goes_on(done):
        done += 1
        start = time.time()
        note(start, await talk_too())
        await asyncio.sleep(pause)


async def tasks():
    await asyncio.gather(*(task() for _ in range(WORKERS)))


threading.Thread(target=lambda: (sys.stdin.read(), told_to_end.set()), daemon=True).start()
print("begins", flush=True)
threads = [threading.Thread(target=thread) for _ in range(WORKERS)]
for one in threads:
    one.start()
asyncio.run(tasks())
for one in threads:
    one.join()
print("\n".join(lines))
