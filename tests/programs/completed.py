"""A shell at a terminal: `completed.py TOLD SHELL TYPED WANTED…` tells it something, types, and presses Tab.

Ends well when each WANTED was there or offered; who waits in vain says for what.
"""
import os
import pty
import select
import sys
import time

PATIENCE = 60

told, shell, *lines = sys.argv[1:]
child, master = pty.fork()
if child == 0:
    os.environ.update(TERM="dumb", PS1="ready> ")
    os.execvp(shell.split()[0], shell.split())
seen = ""


def wait(wanted):
    end = time.monotonic() + PATIENCE
    global seen
    while wanted not in seen:
        if not select.select([master], [], [], max(0, end - time.monotonic()))[0]:
            sys.exit(f"no {wanted!r} in {seen!r}")
        try:
            seen += os.read(master, 4096).decode(errors="replace")
        except OSError:
            sys.exit(f"ended, and no {wanted!r} in {seen!r}")


def say(text):
    """What was seen before it is forgotten."""
    global seen
    seen = ""
    os.write(master, text.encode())


def command(text, name):
    # The quotes are in what is echoed, and not in what is printed.
    say(f"{text}; echo {name[:2]}''{name[2:]}\n")
    wait(f"{name}\r\n")
    wait("ready> ")


wait("ready> ")
command(told, "told")
for typed, wanted in zip(lines[::2], lines[1::2]):
    say(typed)
    wait(typed)
    os.write(master, b"\t")
    # The shell goes on in the line, or writes it anew, or lists what there is.
    wait(wanted)
    # Ctrl-U: the line is forgotten.
    os.write(master, b"\x15")
    command("true", "next")
