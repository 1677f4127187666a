# Child processes that are never left behind: own process groups, logs in files, ended by pid, deadlines for everything.
# SPDX-License-Identifier: Apache-2.0
import ctypes
import os
import re
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """Something the person at the terminal should read; the text says what happened and where to look."""


def wait_for(predicate, seconds, what, every=0.1, alive=()):
    """Calls predicate until it returns something true, and returns that. Raises Failed when the deadline passes or
    when one of the processes in `alive` has ended: waiting for the dead is pointless."""
    deadline = time.monotonic() + seconds
    while True:
        value = predicate()
        if value:
            return value
        for process in alive:
            if not process.running():
                raise Failed(f"{process.name} ended ({process.ending()}) while waiting for {what}\n{process.tail()}")
        if time.monotonic() >= deadline:
            raise Failed(f"{what}: not within {seconds:g} s")
        time.sleep(min(every, max(0.0, deadline - time.monotonic())))


def free_ports(count, first=None):
    """`count` TCP ports of 127.0.0.1: consecutive from `first`, or any that are free. Held until all are known, so
    that they differ from each other."""
    held = []
    try:
        for index in range(count):
            probe = socket.socket()
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", 0 if first is None else first + index))
            except OSError as error:
                probe.close()
                raise Failed(f"port {first + index} of 127.0.0.1 is not free ({error.strerror}): "
                             "choose another with --rest-port") from error
            held.append(probe)
        return [probe.getsockname()[1] for probe in held]
    finally:
        for probe in held:
            probe.close()


def go_ahead_of_others():
    """This process and its children before other people's work on this machine, where root may say so. A weight within
    the session's scheduling group alone would not do: groups share evenly."""
    try:
        with open("/proc/self/autogroup", "w") as file:
            file.write("-20")
    except OSError:
        pass                # a kernel without such groups
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    except PermissionError:
        pass


class Process:
    """One child: started and ended by us, its output appended to a log file across restarts."""

    ahead_of_others = False     # of every child: benchmarks measure the programs, not who else is at work here

    def __init__(self, name, arguments, log, environment=None, outlive=False):
        self.name = name
        self.arguments = [str(a) for a in arguments]
        self.log = log
        self.environment = environment or {}
        self.outlive = outlive       # True: it may go on when this program has ended (--keep)
        self.child = None
        self.starts = 0

    @property
    def pid(self):
        return self.child.pid if self.child else None

    def start(self):
        assert not self.running()
        self.starts += 1
        environment = dict(os.environ, **self.environment)

        def in_child():
            # A session of its own: a Ctrl-C at the terminal reaches us only, and we end the children in order.
            os.setsid()
            if self.ahead_of_others:
                go_ahead_of_others()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if not self.outlive:
                _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

        with open(self.log, "ab") as log:
            log.write(f"--- start {self.starts}: {' '.join(self.arguments)}\n".encode())
            log.flush()
            try:
                self.child = subprocess.Popen(self.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                              env=environment, preexec_fn=in_child, close_fds=True)
            except OSError as error:
                raise Failed(f"cannot start {self.arguments[0]}: {error.strerror}") from error
        return self

    def running(self):
        return self.child is not None and self.child.poll() is None

    def ending(self):
        code = self.child.poll() if self.child else None
        if code is None:
            return "still running"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def kill(self):
        """SIGKILL, as a crash: nothing gets the chance to tidy up."""
        if self.running():
            self.child.kill()
        if self.child:
            self.child.wait()

    def stop(self, seconds=10):
        """SIGTERM, then SIGKILL when it does not listen. Returns True if it ended by itself with 0."""
        if not self.running():
            return self.child is None or self.child.returncode == 0
        self.child.terminate()
        try:
            return self.child.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            self.kill()
            return False

    def tail(self, lines=25):
        try:
            with open(self.log, "rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - 64 * 1024))
                text = log.read().decode("utf-8", "backslashreplace").splitlines()[-lines:]
        except OSError:
            text = []
        return f"  last lines of {self.log}:\n" + "\n".join("  | " + line for line in text)


def stop_all(processes, seconds=10):
    """SIGTERM to all at once, then wait for each: shutting down five processes takes as long as the slowest."""
    for process in processes:
        if process.running():
            process.child.terminate()
    deadline = time.monotonic() + seconds
    for process in processes:
        if process.child:
            try:
                process.child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()


def parse_rate(text):
    """'1G', '250M', '9.5k' or plain bits per second, as an integer."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kMG]?)(?:bit|bps)?", text.strip())
    if not match:
        raise ValueError(f"'{text}' is not a rate: write for example 1G, 250M or 1000000000")
    return int(float(match[1]) * {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}[match[2]])


def parse_milliseconds(text):
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(us|ms|s)", text.strip())
    if not match:
        raise ValueError(f"'{text}' is not a time: write for example 50ms or 0.1s")
    return float(match[1]) * {"us": 0.001, "ms": 1, "s": 1000}[match[2]]


def parse_share(text):
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", text.strip())
    share = float(match[1]) / (100 if match[2] else 1) if match else -1
    if not 0 <= share < 1:
        raise ValueError(f"'{text}' is not a share: write for example 0.1% or 0.001")
    return share
