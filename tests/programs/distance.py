#!/usr/bin/env python3
"""Makes proxies far: what the client side sends to some ports of the far side takes a while.

Each line of input names the ports that are far from now on, and is answered with `ok`. Their packets are
dropped where they come in, and the copies that a packet socket has taken of them come in again later, by
another interface. That needs no device of the host's, so an ordinary user's namespaces will do.
"""
import collections
import select
import socket
import subprocess
import sys
import time

DELAY = 0.5
ALL = socket.htons(0x0003)  # ETH_P_ALL
SOL_PACKET, PACKET_VNET_HDR = 263, 15  # packet(7), linux/if_packet.h
HEADER = 10  # struct virtio_net_hdr: what is left to the hardware, checksums among it

RULES = """
table inet distance {
  set far { type inet_service; }
  chain in {
    type filter hook prerouting priority -400;
    iifname veth-n tcp dport @far drop
  }
}
"""


def run(*words, text=None):
    subprocess.run(words, input=text, text=True, check=True)


def taps(interface):
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, ALL)
    tap.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    tap.bind((interface, 0x0003))
    return tap


def port_of(frame):
    """The TCP port that an IPv4 packet is for."""
    packet = frame[HEADER + 14:]
    if frame[HEADER + 12:HEADER + 14] != b"\x08\x00" or packet[9] != socket.IPPROTO_TCP:
        return None
    start = (packet[0] & 15) * 4 + 2
    return int.from_bytes(packet[start:start + 2], "big")


def main():
    # Of the same address, so that the copies are for this machine.
    run("ip", "link", "add", "later-a", "type", "veth", "peer", "name", "later-b", "address", "02:00:00:00:00:01")
    for end in ("later-a", "later-b"):
        run("ip", "link", "set", end, "up")
    run("nft", "-f", "-", text=RULES)
    tap, later = taps("veth-n"), taps("later-a")
    far, waiting = set(), collections.deque()
    print("ready", flush=True)
    while True:
        pause = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        readable, _, _ = select.select([tap, sys.stdin], [], [], pause)
        if tap in readable:
            frame, source = tap.recvfrom(1 << 17)
            if source[2] != socket.PACKET_OUTGOING and port_of(frame) in far:
                waiting.append((time.monotonic() + DELAY, frame))
        if sys.stdin in readable:
            line = sys.stdin.readline()
            if not line:
                return
            far = {int(word) for word in line.split()}
            run("nft", "flush set inet distance far")
            if far:
                run("nft", f"add element inet distance far {{ {', '.join(map(str, far))} }}")
            print("ok", flush=True)
        while waiting and waiting[0][0] <= time.monotonic():
            later.send(waiting.popleft()[1])


main()
