"""What benches/reliability has on both sides of a fault: servers, and programs that are busy when it comes.

serve ADDRESS: an echo (port 7), a page that takes 300 ms (80), and bytes without end (9). echo ADDRESS: ten echoes in
300 ms. slow ADDRESS: ten connections that are not read. flood ADDRESS PORT: 500 connections that say nothing.
"""
import asyncio
import socket
import sys
import time


async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


async def page(reader, writer):
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\nConnection: close\r\n\r\n" + bytes(10000))
        await writer.drain()
        await asyncio.sleep(0.3)
        writer.write(bytes(10000))
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    writer.close()


async def endless(reader, writer):
    try:
        while True:
            writer.write(bytes(65536))
            await writer.drain()
    except OSError:
        pass
    writer.close()


async def serve(address):
    for port, what in ((7, echo), (80, page), (9, endless)):
        await asyncio.start_server(what, address, port, backlog=4096)
    print("ready", flush=True)
    await asyncio.Future()


def echoes(address):
    stream = socket.create_connection((address, 7), 12)
    for number in range(10):
        stream.sendall(b"%d" % number)
        assert stream.recv(9) == b"%d" % number
        time.sleep(0.03)


def slow(address):
    kept = [socket.create_connection((address, 9), 12) for _ in range(10)]
    time.sleep(60)
    return kept


def flood(address, port):
    kept = [socket.socket() for _ in range(500)]
    for stream in kept:
        stream.setblocking(False)
        stream.connect_ex((address, int(port)))
    time.sleep(60)


what, *arguments = sys.argv[1:]
if what == "serve":
    asyncio.run(serve(*arguments))
else:
    {"echo": echoes, "slow": slow, "flood": flood}[what](*arguments)
