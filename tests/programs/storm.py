# HOST PORT N: N connections at once by asyncio; each is greeted and hears what it said. Meanwhile
# the event loop must turn.
import asyncio
import sys

host, port, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


async def turn():
    loop, longest = asyncio.get_running_loop(), 0.0
    try:
        while True:
            before = loop.time()
            await asyncio.sleep(0.01)
            longest = max(longest, loop.time() - before)
    except asyncio.CancelledError:
        return longest


async def main():
    turning = asyncio.create_task(turn())
    # All are open before the first one speaks.
    streams = await asyncio.gather(*(asyncio.open_connection(host, port) for _ in range(number)))

    async def speak(n, reader, writer):
        assert await reader.readline() == b"hello\n"
        said = b"client %d\n" % n
        writer.write(said)
        await writer.drain()
        assert await reader.readline() == said
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(speak(n, *stream) for n, stream in enumerate(streams)))
    turning.cancel()
    longest = await turning
    assert longest < 10, f"the event loop stood still for {longest:.1f} s"
    print(f"{number} at once")


asyncio.run(asyncio.wait_for(main(), 60))
