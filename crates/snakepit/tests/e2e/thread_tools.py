"""Tools for workers of several slots."""

import os
import threading
import time
from pathlib import Path

from snakepit_bridge import BaseAdapter, SessionContext, tool

__thread_safe__ = True

_barriers: dict[int, threading.Barrier] = {}
_lock = threading.Lock()


def _meet(count: int) -> None:
    with _lock:
        barrier = _barriers.setdefault(count, threading.Barrier(count))
    barrier.wait(120)


@tool
def pid() -> int:
    return os.getpid()


@tool
def meet(count: int) -> str:
    """Returns only while `count` calls are in it."""
    _meet(count)
    return threading.current_thread().name


@tool
def who(count: int, ctx: SessionContext) -> list:
    """Returns the session in the context, once all calls have begun and once all have written."""
    before = ctx.session_id
    ctx["mine"] = before
    _meet(count)
    read = ctx["mine"]
    _meet(count)
    return [before, read, ctx.session_id]


@tool
def ask(count: int, ctx: SessionContext) -> list[int]:
    _meet(count)
    return [ctx.call_host_tool("together", n=n) for n in range(3)]


@tool
def items(count: int, length: int):
    _meet(count)
    for n in range(length):
        yield n


@tool
def double(n: int) -> int:
    return 2 * n


@tool
def wait(begun: str, end: str) -> str:
    """Begins, and returns the content of `end` once it exists."""
    Path(begun).write_text("begun")
    # A file is there before its text is.
    while not (Path(end).exists() and Path(end).read_text()):
        time.sleep(0.002)  # the tool sleeps
    return Path(end).read_text()


@tool
def loops(begun: str) -> None:
    Path(begun).write_text("begun")
    while True:
        pass


@tool
def sleeps(begun: str) -> None:
    """Sleeps in a system call, where only the main thread is interrupted."""
    Path(begun).write_text("begun")
    time.sleep(3600)  # the tool sleeps


@tool
def dies(count: int) -> None:
    _meet(count)
    os._exit(7)


class Undeclared(BaseAdapter):
    """An adapter without a declaration about threads."""

    def __init__(self) -> None:
        self.inside = 0

    @tool
    def alone(self) -> int:
        self.inside += 1
        time.sleep(0.002)  # the tool sleeps: others would come now
        most, self.inside = self.inside, self.inside - 1
        return most


class Declared(BaseAdapter):
    __thread_safe__ = True

    @tool
    def context(self, count: int) -> str | None:
        _meet(count)
        return self.session_context.session_id
