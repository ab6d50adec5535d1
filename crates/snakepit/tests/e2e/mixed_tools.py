"""Tools for a mixed load on many slots of one interpreter."""

import asyncio
import os
import threading
import time

from snakepit_bridge import SessionContext, tool

__thread_safe__ = True


@tool
def add(a: int, b: int) -> int:
    """A small call."""
    return a + b


@tool
def spin(rounds: int) -> int:
    """Pure Python that takes a while."""
    total = 0
    for number in range(rounds):
        total += number & 3
    return total


@tool
def doze(seconds: float) -> float:
    """Waits in a system call."""
    time.sleep(seconds)  # the tool sleeps
    return seconds


@tool
async def nap(seconds: float) -> float:
    """Waits on the event loop."""
    await asyncio.sleep(seconds)  # the tool sleeps
    return seconds


@tool
def count(n: int):
    """A stream."""
    yield from range(n)


@tool
def doubled(n: int, context: SessionContext) -> int:
    """Calls a host tool."""
    return context.host_tools["double"](n=n)


@tool
def whose(context: SessionContext) -> str:
    """Returns the session that the context shows, read twice during the call."""
    first = context.session_id
    time.sleep(0.001)  # the tool sleeps: other slots get their turn
    assert context.session_id == first
    return first


@tool
def fail(n: int) -> None:
    """Raises."""
    raise ValueError(f"number {n}")


@tool
def forever() -> None:
    """Runs until it is stopped."""
    while True:
        time.sleep(0.001)  # the tool sleeps


@tool
def deaf(seconds: float) -> int:
    """Resists being stopped for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            time.sleep(0.001)  # the tool sleeps
        except BaseException:
            continue
    return threading.get_ident()


@tool
def pid() -> int:
    """Returns the id of this process."""
    return os.getpid()
