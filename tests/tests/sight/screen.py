"""A terminal with a screen that can be read: screen.py COLUMNS ROWS COMMAND...

It obeys what comes on standard input, a line each: `keys TEXT` (with Python's escapes), `wait TEXT` (until the screen has
it) and `gone TEXT` (until it has not), `show`, `size COLUMNS ROWS`, `signal NAME`, `stopped` (waits until it is stopped),
`mode` (whether the terminal is as it was), `end` (waits for the end). It knows no more of a terminal than it needs.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

PATIENCE = 20
columns, rows = int(sys.argv[1]), int(sys.argv[2])


class Screen:
    def __init__(self):
        self.cells = {}
        self.at = [0, 0]
        self.alternate = False
        self.cursor = True
        self.wrap = True
        self.rest = ""

    def lines(self):
        line = lambda row: "".join(self.cells.get((row, column), " ") for column in range(columns)).rstrip()
        return [line(row) for row in range(rows)]

    def erase(self, keep):
        self.cells = {at: cell for at, cell in self.cells.items() if keep(at)}

    def write(self, text):
        text = self.rest + text
        self.rest = ""
        while text:
            found = re.match(r"\x1b(\[([?>]?)([0-9;]*)([@-~])|[()].|[78=>])", text)
            if found:
                text = text[found.end():]
                self.control(found[2], found[3], found[4])
            elif text[0] == "\x1b" and len(text) < 20:
                self.rest = text
                return
            else:
                self.put(text[0])
                text = text[1:]

    def put(self, c):
        if c == "\r":
            self.at[1] = 0
        elif c == "\n":
            self.at[0] += 1
        elif c >= " ":
            self.cells[tuple(self.at)] = c
            self.at[1] = min(self.at[1] + 1, columns)

    def control(self, private, numbers, kind):
        if kind == "H":
            row, column = (numbers + ";").split(";")[:2]
            self.at = [int(row or 1) - 1, int(column or 1) - 1]
        elif kind == "K":
            row, column = self.at
            self.erase(lambda at: at[0] != row or at[1] < column)
        elif kind == "J":
            here = [0, 0] if numbers == "2" else list(self.at)
            self.erase(lambda at: list(at) < here)
        elif private == "?" and numbers == "1049":
            self.alternate = kind == "h"
            self.cells = {}
        elif private == "?" and numbers == "25":
            self.cursor = kind == "h"
        elif private == "?" and numbers == "7":
            self.wrap = kind == "h"


def resize():
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


screen = Screen()
master, slave = pty.openpty()
resize()
before = termios.tcgetattr(slave)
child = os.fork()
if child == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(slave, number)
    os.closerange(3, 100)
    os.environ["TERM"] = "xterm-256color"
    os.execvp(sys.argv[3], sys.argv[3:])


def look(seconds):
    """Takes what has come within so much time."""
    if select.select([master], [], [], seconds)[0]:
        screen.write(os.read(master, 65536).decode("utf-8", "replace"))


def until(holds):
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            return "no"
        look(0.05)
    return "yes"


def say(text):
    print(text, flush=True)


for line in sys.stdin:
    word, _, rest = line.rstrip("\n").partition(" ")
    if word == "keys":
        os.write(master, rest.encode().decode("unicode_escape").encode())
        say("sent")
    elif word in ("wait", "gone"):
        say(until(lambda: (rest in "\n".join(screen.lines())) == (word == "wait")))
    elif word == "show":
        while select.select([master], [], [], 0)[0]:
            look(0)
        for text in screen.lines():
            say(text)
    elif word == "size":
        columns, rows = map(int, rest.split())
        screen.cells = {}
        resize()
        say("resized")
    elif word == "signal":
        os.kill(child, getattr(signal, "SIG" + rest))
        say("sent")
    elif word == "stopped":
        stopped = lambda: os.waitpid(child, os.WNOHANG | os.WUNTRACED) != (0, 0)
        say(until(stopped))
    elif word == "mode":
        look(0.2)
        restored = termios.tcgetattr(slave) == before and screen.cursor and screen.wrap and not screen.alternate
        say("as it was" if restored else "taken")
    elif word == "end":
        status = [None]

        def ended():
            pid, status[0] = os.waitpid(child, os.WNOHANG)
            return pid != 0

        said = until(ended)
        look(0)
        say("%s %s" % (said, os.waitstatus_to_exitcode(status[0]) if said == "yes" else "-"))
