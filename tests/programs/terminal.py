"""Sessions at a terminal: `terminal.py SCENE WRAPPER…` prints what a person would see happen.

Nothing is waited for but what must come; who waits in vain says for what, and ends.
"""
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

PATIENCE = 60
WRAPPER = " ".join(sys.argv[2:])


class Terminal:
    def __init__(self, words):
        self.seen = ""
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="dumb", PS1="ready> ", PS2="")
            os.execvp(words[0], words)

    def type(self, text):
        os.write(self.master, text.encode())

    def line(self, text):
        self.type(text + "\n")

    def expect(self, pattern):
        """The first group, or all, of what matches; what was before it is forgotten."""
        end = time.monotonic() + PATIENCE
        while True:
            found = re.search(pattern, self.seen)
            if found:
                self.seen = self.seen[found.end():]
                return found.group(found.lastindex or 0)
            if not select.select([self.master], [], [], max(0, end - time.monotonic()))[0]:
                sys.exit(f"no {pattern!r} in {self.seen!r}")
            try:
                self.seen += os.read(self.master, 4096).decode()
            except OSError:
                sys.exit(f"ended, and no {pattern!r} in {self.seen!r}")

    def size(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def shell(*wrapper):
    terminal = Terminal([*wrapper, "bash", "--norc", "--noprofile", "--noediting", "-i"])
    terminal.expect("ready> ")
    terminal.line("stty -echo; alias run='%s '; echo quiet" % WRAPPER)
    terminal.expect("\nquiet\r\nready> ")
    return terminal


def told(what, text):
    print(what + ":", text, flush=True)


def status(terminal):
    terminal.line("echo status $?")
    return terminal.expect(r"status (\d+)\r\nready> ")


def jobs():
    """^Z, fg, bg and ^C of a shell that is outside."""
    terminal = shell()
    terminal.line("run cat")
    terminal.line("one")
    told("cat", terminal.expect("one\r\n").strip())
    terminal.type("\x1a")
    told("^Z", terminal.expect(r"(Stopped)[^\n]*\n(?:.*\n)*ready> "))
    told("status", status(terminal))
    terminal.line("jobs")
    told("jobs", terminal.expect(r"(Stopped)[^\n]*\nready> "))
    terminal.line("fg")
    terminal.line("two")
    told("fg", terminal.expect("two\r\n").strip())
    terminal.type("\x1a")
    told("^Z", terminal.expect(r"(Stopped)[^\n]*\nready> "))
    terminal.line("bg")
    # It reads from the terminal in the background.
    terminal.line("while ! jobs | grep -q 'Stopped'; do :; done; echo tty input")
    told("bg", terminal.expect("tty input"))
    terminal.line("fg")
    terminal.line("three")
    told("fg", terminal.expect("three\r\n").strip())
    terminal.type("\x03")
    terminal.expect("ready> ")
    told("^C", status(terminal))
    terminal.line("run sh -c 'echo begun; exec sleep 1000'")
    terminal.expect("begun")
    terminal.type("\x1c")
    terminal.expect("ready> ")
    told("^\\", status(terminal))
    terminal.line("run sh -c 'kill -TERM $$'")
    terminal.expect("ready> ")
    told("TERM", status(terminal))


def ended_input():
    """^D, and a program that goes on at a terminal."""
    terminal = shell()
    terminal.line("run cat")
    terminal.line("one")
    told("cat", terminal.expect("one\r\n").strip())
    terminal.type("\x04")
    terminal.expect("ready> ")
    told("^D", status(terminal))


def inner():
    """A shell that is itself under guard, with jobs of its own."""
    terminal = shell(*sys.argv[2:])
    terminal.line("cat")
    terminal.line("one")
    told("cat", terminal.expect("one\r\n").strip())
    terminal.type("\x1a")
    told("^Z", terminal.expect(r"(Stopped)[^\n]*\n(?:.*\n)*ready> "))
    terminal.line("jobs")
    told("jobs", terminal.expect(r"(Stopped)[^\n]*\nready> "))
    terminal.line("fg")
    terminal.line("two")
    told("fg", terminal.expect("two\r\n").strip())
    terminal.type("\x03")
    terminal.expect("ready> ")
    told("^C", status(terminal))
    terminal.line("sleep 1000 & kill %1; wait %1; echo waited $?")
    told("kill %1", terminal.expect(r"waited (\d+)"))
    terminal.line("exit 9")
    told("exit", os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1]))


def size():
    """SIGWINCH, once for each change."""
    script = (
        "import os, signal\n"
        "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])\n"
        "while True:\n"
        "    print('size', *os.get_terminal_size(), flush=True)\n"
        "    signal.sigwait([signal.SIGWINCH])\n"
    )
    terminal = Terminal([*sys.argv[2:], "python3", "-c", script])
    terminal.expect("size ")
    for rows, columns in (50, 120), (24, 80):
        terminal.size(rows, columns)
        told("size", terminal.expect(rf"{columns} {rows}"))
    terminal.type("\x03")
    told("^C", os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1]))


def hangup():
    """The terminal goes away: who does not ignore SIGHUP ends."""
    waits = "echo begun; while [ ! -e go ]; do sleep 0.02; done; echo late >after"
    for words in ["sh", "-c", "echo begun; exec sleep 1000"], ["nohup", "sh", "-c", waits]:
        terminal = Terminal([*sys.argv[2:], *words])
        if words[0] == "sh":
            terminal.expect("begun")
            os.close(terminal.master)
            told("hangup", os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1]))
            continue
        while not os.path.exists("nohup.out") or "begun" not in open("nohup.out").read():
            time.sleep(0.01)
        os.close(terminal.master)
        open("go", "w").close()
        told("nohup", os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1]))
        told("after", open("after").read().strip())


globals()[sys.argv[1]]()
