"""Looks for words in everything that a process can read of its own memory. PROCESS WORD...

Says how many bytes there were, then each word that is there, as often as it is there.
"""

import sys

PIECE = 4 << 20

process, *words = sys.argv[1:]
words = [word.encode() for word in words]
longest = max(map(len, words))
total = 0
found = dict.fromkeys(words, 0)
with open(f"/proc/{process}/maps") as maps, open(f"/proc/{process}/mem", "rb", buffering=0) as memory:
    for line in maps:
        span, access, *_ = line.split()
        if "r" not in access or "[v" in line:  # vvar, vsyscall: the kernel's
            continue
        at, end = (int(number, 16) for number in span.split("-"))
        tail = b""
        while at < end:
            memory.seek(at)
            piece = memory.read(min(PIECE, end - at))
            assert piece, f"{line.strip()} cannot be read"
            at += len(piece)
            total += len(piece)
            piece = tail + piece
            for word in words:
                found[word] += piece.count(word)
            # A word that two pieces share; the last of a word's length is short of one.
            tail = piece[len(piece) - (longest - 1) :] if longest > 1 else b""
            for word in words:
                found[word] -= tail.count(word)
        for word in words:
            found[word] += tail.count(word)
print(total)
for word in words:
    print(word.decode(), found[word])
