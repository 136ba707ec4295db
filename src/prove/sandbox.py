"""Where somebody else's application runs: a process of its own with bounds on time, memory and files, without a network
and with no way to outlive its end, as far as the system permits it."""

import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import socket
import struct
import tempfile
import time
import traceback

NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
SET_PDEATHSIG, SET_CHILD_SUBREAPER = 1, 36
SIOCSIFFLAGS, UP = 0x8914, 0x41

MEMORY = 4 << 30
FILE = 256 << 20
FILES = 1024


def libc():
    return ctypes.CDLL(None, use_errno=True)


def confine():
    """Cuts this process off the network, and its children off other processes; what could not be done."""
    own = os.getuid(), os.getgid()
    try:
        unshare = libc().unshare
        done = unshare(NEWUSER | NEWNET | NEWPID) == 0
        if done:
            for name, text in ("setgroups", "deny"), ("uid_map", "{0} {0} 1"), ("gid_map", "{1} {1} 1"):
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(text.format(*own))
        elif unshare(NEWNET | NEWPID) != 0:
            return f"no namespaces: {os.strerror(ctypes.get_errno())}"
        # Its own loopback interface, for applications that bring their own server.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", UP))
    except (OSError, AttributeError) as error:
        return f"no namespaces: {error}"
    return None


def prctl(option, value):
    try:
        libc().prctl(option, value, 0, 0, 0)
    except (OSError, AttributeError):
        pass  # Not Linux.


def limit(seconds):
    bounds = [
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, FILE),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_CORE, 0),
    ]
    for what, most in bounds:
        try:
            _, hard = resource.getrlimit(what)
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(what, (most, most))
        except (OSError, ValueError):
            pass  # Some systems know no bound on memory.


def children(of):
    """The processes below `of`."""
    above = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                above[int(name)] = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            pass  # It has ended.
    below, found = {of}, []
    while below:
        below = {pid for pid, parent in above.items() if parent in below}
        found.extend(below)
    return found


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass  # It has ended.


def end(first):
    """Ends `first` and everything that it started: its namespace, its group, and what went away from both."""
    try:
        os.killpg(first, signal.SIGKILL)
    except OSError:
        pass
    kill(first)
    for _ in range(100):
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        if os.path.isdir("/proc/self"):
            for pid in children(os.getpid()):
                kill(pid)
        time.sleep(0.02)


def line(reading, seconds):
    """The first line from `reading`, within `seconds`."""
    until, found = time.monotonic() + seconds, b""
    while not found.endswith(b"\n"):
        left = until - time.monotonic()
        if left <= 0 or not select.select([reading], [], [], left)[0]:
            return None
        more = os.read(reading, 1 << 16)
        if not more:
            return b""
        found += more
    return found


def work(function, seconds, writing):
    """In the innermost process: `function`, and its outcome as a line."""
    limit(seconds)
    log = tempfile.TemporaryFile()
    for stream in 1, 2:
        os.dup2(log.fileno(), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        outcome = function()
    except BaseException as error:
        outcome = {"error": "failed", "message": f"{type(error).__name__}: {error}"}
        traceback.print_exc()
    log.seek(0)
    outcome["log"] = log.read().decode(errors="replace")[-4000:]
    os.write(writing, json.dumps(outcome).encode() + b"\n")


def run(function, seconds):
    """What `function` gives, a dictionary, in a process that is ended afterwards with all that it started."""
    open_network = confine()
    prctl(SET_CHILD_SUBREAPER, 1)
    reading, writing = os.pipe()
    first = os.fork()
    if first == 0:
        prctl(SET_PDEATHSIG, signal.SIGKILL)
        os.setpgid(0, 0)
        # The first process of a namespace gets no signals of its own: the application is the second.
        second = os.fork()
        if second == 0:
            try:
                work(function, seconds, writing)
            finally:
                os._exit(0)
        os.close(writing)
        os.waitpid(second, 0)
        # What it left behind may hold the pipe: the end of the line is the end of the outcome.
        time.sleep(seconds)
        os._exit(0)
    os.close(writing)
    try:
        found = wait(reading, seconds)
    finally:
        end(first)
    found["open-network"] = open_network
    return found


def wait(reading, seconds):
    found = line(reading, seconds)
    if found is None:
        return {"error": "timed-out", "message": f"it did not come to an end within {seconds} s"}
    try:
        return json.loads(found)
    except ValueError:
        return {"error": "ended", "message": "its process came to an end before it answered"}
