"""Tools for the life of a worker: what it leaves behind, how it reacts to signals, how it ends."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from array import array
from multiprocessing import resource_tracker, shared_memory
from pathlib import Path

from snakepit_bridge import BaseAdapter, Context, tool

KEPT = []


def wait_for_the_tracker() -> None:
    """Waits until the tracker has read that there is a block. It starts slowly on a busy machine."""
    tracker, unread = resource_tracker.getfd(), array("i", [1])
    while unread[0]:
        fcntl.ioctl(tracker, termios.FIONREAD, unread)
        time.sleep(0.001)  # the tool sleeps


def leads_home(fd: int) -> bool:
    """Returns whether a descriptor is a connection of the worker."""
    try:
        with socket.socket(fileno=os.dup(fd)) as connection:
            return connection.getpeername() == os.environ["SNAKEPIT_WORKER_LINK"]
    except OSError:
        return False


HEIR = """
import os, sys, time
said, parent, links = sys.argv[1], int(sys.argv[2]), [int(fd) for fd in sys.argv[3:]]
while os.getppid() == parent or not os.path.exists(said + ".go"):
    time.sleep(0.001)  # the tool sleeps
outcomes = []
for fd in links:
    try:
        outcomes.append(f"sent {os.write(fd, bytes(24))}")
    except OSError as error:
        outcomes.append(type(error).__name__)
with open(said + ".tmp", "w") as file:
    file.write(" ".join(outcomes) or "nothing")
os.rename(said + ".tmp", said)
"""


def leave_a_child(said: str) -> None:
    """Starts a program that leaves the group and keeps every connection of the worker.

    Once its parent is gone it says what became of an attempt to write to them.
    """
    links = [fd for fd in range(3, 64) if leads_home(fd)]
    args = [sys.executable, "-c", HEIR, said, str(os.getpid()), *map(str, links)]
    KEPT.append(subprocess.Popen(args, pass_fds=links, start_new_session=True))


def end(how: str) -> None:
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(3600)  # the tool sleeps


class Life(BaseAdapter):
    """An adapter that reports when its clean-up begins, and takes a while for it."""

    @tool
    def pid(self) -> int:
        return os.getpid()

    @tool
    def dies(self, said: str, how: str) -> None:
        leave_a_child(said)
        end(how)

    @tool
    def dies_in_stream(self, said: str, how: str):
        yield 1
        leave_a_child(said)
        end(how)

    @tool
    def dies_asking(self, ctx: Context, said: str, how: str) -> None:
        leave_a_child(said)
        def late() -> None:
            time.sleep(0.2)  # the tool sleeps
            end(how)

        threading.Thread(target=late, daemon=True).start()
        ctx.call_host_tool("never")

    @tool
    async def dies_in_loop(self, said: str, how: str) -> None:
        leave_a_child(said)
        end(how)

    @tool
    def shares(self) -> str:
        block = shared_memory.SharedMemory(create=True, size=1 << 16)
        KEPT.append(block)
        wait_for_the_tracker()
        return block.name

    @tool
    def shares_with_a_child(self) -> str:
        """Starts a child in the group that holds the tracker's pipe as well."""
        name = self.shares()
        if os.fork() == 0:
            time.sleep(3600)  # the tool sleeps
        return name

    @tool
    def shares_and_sticks(self, named: str) -> None:
        Path(named).write_text(self.shares())
        while True:
            try:
                time.sleep(3600)  # the tool sleeps
            except BaseException:
                continue

    @tool
    def crashes(self) -> None:
        os._exit(3)

    @tool
    def gives_signals_back(self) -> None:
        """Restores the default of a signal, as libraries do that use it for a while."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            old = signal.signal(number, lambda *_: None)
            signal.signal(number, old)
        import asyncio

        async def nothing() -> None:
            pass

        asyncio.run(nothing())

    @tool
    def handles_sigterm(self, told: str) -> None:
        signal.signal(signal.SIGTERM, lambda *_: Path(told).write_text("told"))

    @tool
    def exits_on_sigterm(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))

    @tool
    def signals_itself(self, number: int) -> None:
        os.kill(os.getpid(), number)
        time.sleep(3600)  # the tool sleeps

    @tool
    def waits(self, started: str, go: str) -> int:
        Path(started).write_text(str(os.getpid()))
        while not os.path.exists(go):
            time.sleep(0.002)  # the tool sleeps
        return os.getpid()

    @tool
    def sticks(self, started: str) -> None:
        Path(started).write_text(str(os.getpid()))
        while True:
            try:
                time.sleep(3600)  # the tool sleeps
            except Exception:
                continue
            except BaseException:
                continue

    @tool
    def cleans_up(self, file: str, seconds: float) -> None:
        self.file, self.seconds = file, seconds

    def cleanup(self) -> None:
        file = getattr(self, "file", None)
        if file is not None:
            Path(file + ".began").write_text("began")
            time.sleep(self.seconds)  # the tool sleeps
            Path(file).write_text("cleaned")
