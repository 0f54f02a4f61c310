"""Writes what goes over a link to a file, each frame after its length. INTERFACE FILE

Says when it begins; when its input ends, how many frames there were and how many were lost. The kernel puts frames into
a ring (packet(7), TPACKET_V3): a socket's buffer is small, and this process may have to wait for its turn.
"""

import mmap
import select
import socket
import struct
import sys
import time

ALL = 3  # ETH_P_ALL
PACKET = 263  # SOL_PACKET
RX_RING, STATISTICS, VERSION = 5, 6, 10
KERNEL, USER = 0, 1  # whose a block is
SIZE, COUNT, FRAME, RETIRE_MS = 1 << 20, 8, 1 << 11, 20

interface, path = sys.argv[1:]
# No protocol before there is an interface: what the others carry does not belong here.
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
sock.setsockopt(PACKET, VERSION, 2)
# A block is given over when it is full, or some time after its first frame.
sock.setsockopt(PACKET, RX_RING, struct.pack("7I", SIZE, COUNT, FRAME, SIZE // FRAME * COUNT, RETIRE_MS, 0, 0))
ring = mmap.mmap(sock.fileno(), SIZE * COUNT)
sock.bind((interface, ALL))
print("captures", flush=True)


def frames():
    """What is there of the ring, from where it was left off."""
    global block
    while True:
        status, number, at = struct.unpack_from("3I", ring, block + 8)
        if not status & USER:
            return
        at += block
        for _ in range(number):
            following, _, _, captured, length, _, start = struct.unpack_from("6IH", ring, at)
            assert captured == length, (captured, length)
            yield ring[at + start : at + start + length]
            at += following
        struct.pack_into("I", ring, block + 8, KERNEL)
        block = (block + SIZE) % (SIZE * COUNT)


block = found = seen = lost = 0
with open(path, "wb") as file:
    is_over = False
    while not is_over or found + lost < seen:
        if is_over:
            time.sleep(RETIRE_MS / 1000)
        else:
            ready, _, _ = select.select([sock, sys.stdin], [], [])
            is_over = sys.stdin in ready
        for frame in frames():
            file.write(struct.pack("!I", len(frame)) + frame)
            found += 1
        if is_over:
            # It counts from the last time that it was asked. What had come before the input ended is read.
            more, dropped, _ = struct.unpack("3I", sock.getsockopt(PACKET, STATISTICS, 12))
            seen, lost = seen + more, lost + dropped
print(found, "frames,", lost, "lost", flush=True)
