"""Connects to a server that says who one is: HOST PORT COUNT AT_ONCE. Says how many got the right answers."""

import asyncio
import sys

host, port, count, at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])


async def visit(number, room):
    async with room:
        reader, writer = await asyncio.open_connection(host, port)
        name = writer.get_extra_info("sockname")
        told = (await reader.readline()).decode().split()
        words = f"visit {number}\n".encode() * 200
        writer.write(words)
        writer.write_eof()
        back = await reader.read()
        writer.close()
        told[0] = told[0].removeprefix("::ffff:")
        return told == [name[0], str(name[1])] and back == words


async def main():
    room = asyncio.Semaphore(at_once)
    visits = await asyncio.gather(*(visit(n, room) for n in range(count)), return_exceptions=True)
    print(sum(visit is True for visit in visits), "of", count)
    for odd in [visit for visit in visits if visit is not True][:3]:
        print(repr(odd), file=sys.stderr)


asyncio.run(asyncio.wait_for(main(), 80))
