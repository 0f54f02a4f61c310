"""Writes what goes over a link to a file, each frame after its length. INTERFACE FILE

Says when it begins; when its input ends, how many frames there were and how many were lost.
"""

import select
import socket
import struct
import sys

ALL = 3  # ETH_P_ALL
PACKET = 263  # SOL_PACKET
STATISTICS = 6  # PACKET_STATISTICS

interface, path = sys.argv[1:]
# No protocol before there is an interface: what the others carry does not belong here.
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
sock.bind((interface, ALL))
sock.setblocking(False)
print("captures", flush=True)
frames = 0
with open(path, "wb") as file:
    while True:
        ready, _, _ = select.select([sock, sys.stdin], [], [])
        # What had come before the input ended is read.
        try:
            while True:
                frame = sock.recv(1 << 17)
                file.write(struct.pack("!I", len(frame)) + frame)
                frames += 1
        except BlockingIOError:
            pass
        if sys.stdin in ready:
            break
_, lost = struct.unpack("II", sock.getsockopt(PACKET, STATISTICS, 8))
print(frames, "frames,", lost, "lost", flush=True)
