"""Runs a program on a pseudo-terminal of so many columns and types what comes on standard input, line by line, each
when it is asked for. Prints what the terminal showed, at the end and as it comes into the file $SHOWN; gives the program's
exit code."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios

columns, *command = sys.argv[1:]
lines = sys.stdin.buffer.read().splitlines(keepends=True)
child, terminal = pty.fork()
if child == 0:
    os.execvp(command[0], command)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, int(columns), 0, 0))
shown = b""
answered = 0
while True:
    ready, _, _ = select.select([terminal], [], [], 60)
    try:
        data = os.read(terminal, 65536) if ready else b""
    except OSError:  # Linux says so that the other end is closed.
        data = b""
    if not data:
        break
    shown += data
    if "SHOWN" in os.environ:
        with open(os.environ["SHOWN"], "ab") as file:
            file.write(data)
    # A question ends with `] `, perhaps in colour, or with `) `.
    tail = shown.replace(b"\x1b[0m", b"").replace(b"\x1b[1m", b"")
    if lines and len(tail) > answered and tail.endswith((b"] ", b") ")):
        answered = len(tail)
        os.write(terminal, lines.pop(0))
os.write(1, shown.replace(b"\r\n", b"\n"))
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
