"""Tools for workers of several slots."""

import asyncio
import contextlib
import contextvars
import ctypes
import os
import sys
import threading
import time
from pathlib import Path

from snakepit_bridge import BaseAdapter, Context, tool

__thread_safe__ = True

_barriers: dict[int, threading.Barrier] = {}
_lock = threading.Lock()
_own = contextvars.ContextVar("own", default=0)


def _meet(count):
    with _lock:
        barrier = _barriers.setdefault(count, threading.Barrier(count))
    return barrier.wait(60)


def _say(path):
    Path(path).write_text("begun")


@tool
def meet(count: int):
    """Return only while `count` calls are in it."""
    _meet(count)
    return threading.current_thread().name


@tool
async def meet_async(count: int):
    await asyncio.sleep(0)
    _meet(count)
    await asyncio.sleep(0)
    return id(asyncio.get_running_loop())


@tool
def session_of(count: int, ctx: Context):
    """Return the session in the context before and after all other calls have begun."""
    before = ctx.call_id, ctx.session_id
    _own.set(ctx.call_id)
    _meet(count)
    return [before == (ctx.call_id, ctx.session_id) and _own.get() == ctx.call_id, *before]


@tool
def ask(count: int, ctx: Context):
    _meet(count)
    return [ctx._native._request(2, f"call {ctx.call_id}", n, None) for n in range(20)]


@tool
def items(count: int, length: int):
    _meet(count)
    for n in range(length):
        yield [threading.get_ident(), n]


@tool
async def items_async(count: int, length: int):
    _meet(count)
    for n in range(length):
        await asyncio.sleep(0)
        yield [threading.get_ident(), n]


@tool
def loops(begun: str):
    _say(begun)
    n = 0
    while True:
        n += 1


@tool
def naps(begun: str):
    _say(begun)
    while True:
        time.sleep(0.01)  # the tool sleeps


@tool
def sleeps(begun: str, seconds: float):
    _say(begun)
    time.sleep(seconds)  # the tool sleeps
    return "slept"


@tool
def pauses(begun: str):
    """Wait in a library that gives up when a signal arrives."""
    _say(begun)
    while True:
        ctypes.CDLL(None).pause()


@tool
async def awaits(begun: str):
    _say(begun)
    await asyncio.Event().wait()


@tool
async def shields(begun: str):
    """Swallow the first cancellation."""
    _say(begun)
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.Event().wait()


@tool
def sees_the_flag(begun: str, ctx: Context):
    _say(begun)
    while not ctx.cancelled:
        time.sleep(0.005)  # the tool sleeps
    return "flag"


@tool
def swallows_once(begun: str):
    try:
        _say(begun)
        while True:
            time.sleep(0.005)  # the tool sleeps
    except BaseException:
        while True:
            time.sleep(0.005)  # the tool sleeps


@tool
def cleans_up(begun: str, closed: str):
    try:
        _say(begun)
        while True:
            time.sleep(0.005)  # the tool sleeps
    finally:
        Path(closed).write_text("closed")


@tool
def short(seconds: float):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return "done"


@tool
def spins_then_works():
    return sum(n % 7 for n in range(200_000))


@tool
def names():
    return sorted(thread.name for thread in threading.enumerate())


@tool
def dies():
    os._exit(7)


class Shared(BaseAdapter):
    __thread_safe__ = True

    def __init__(self):
        self.started = []

    def initialize(self):
        self.started.append(threading.current_thread() is threading.main_thread())

    def cleanup(self):
        if place := os.environ.get("CLEANED"):
            Path(place).write_text(threading.current_thread().name)

    @tool
    def started_once(self):
        return self.started

    @tool
    def own_context(self, count: int):
        before = self.session_context
        _meet(count)
        return [before is self.session_context, before.call_id, before.session_id]

    @tool
    async def own_context_async(self, count: int):
        before = self.session_context
        await asyncio.sleep(0)
        _meet(count)
        return [before is self.session_context, before.call_id, before.session_id]

    @tool
    def no_context(self):
        found = []
        thread = threading.Thread(target=lambda: found.append(self.session_context))
        thread.start()
        thread.join()
        # A free-threaded interpreter gives a new thread the context of the one that starts it.
        inherits = getattr(sys.flags, "thread_inherit_context", False)
        own = self.session_context
        return [own is not None, found[0] is (own if inherits else None)]
