"""Tools for the tests."""

import ctypes
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from snakepit_bridge import BaseAdapter, Context, tool


@dataclass
class Point:
    """A point."""

    x: float
    y: float = 0.0


@tool
def mean(xs: list[float]) -> float:
    """The arithmetic mean."""
    return sum(xs) / len(xs)


@tool
def echo(value):
    return value


@tool
def note(path: str, number: int) -> int:
    with open(path, "a") as file:
        file.write(f"{number}\n")
    return number


@tool
async def later(value: int) -> int:
    return value + 1


@tool
def norm(point: Point) -> float:
    return (point.x**2 + point.y**2) ** 0.5


@tool
def hello(name: str, greeting: str = "hello") -> str:
    print("greeting", name)
    return f"{greeting} {name}"


@tool
def nothing() -> None:
    return None


@tool
def pid() -> int:
    return os.getpid()


@tool
def slow(seconds: float) -> float:
    time.sleep(seconds)  # the tool sleeps
    return seconds


@tool
def hold_gil() -> None:
    """Wait for ever in C, with the GIL: for a lock that the same thread has."""
    library, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(64)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)


@tool
def wait_for(path: str) -> str:
    """Return once the file exists."""
    while not Path(path).exists():
        time.sleep(0.005)  # the tool sleeps
    return path


@tool
def meet(started: str, go: str) -> int:
    """Report that the call has begun, then wait until told to end."""
    Path(started).write_text(str(os.getpid()))
    while not Path(go).exists():
        time.sleep(0.005)  # the tool sleeps
    return os.getpid()


@tool
def boom(text: str) -> None:
    try:
        raise KeyError("first")
    except KeyError as error:
        failure = ValueError(text)
        failure.add_note("a note") if hasattr(failure, "add_note") else None
        raise failure from error


@tool
def die() -> None:
    os._exit(7)


@tool
def unsendable():
    return [{"x": threading.Lock()}]


@tool
def blob(size: int) -> bytes:
    return bytes(size)


@tool
def deep(levels: int):
    value = None
    for _ in range(levels):
        value = [value]
    return value


@tool
def count(limit: int) -> Iterator[int]:
    yield from range(limit)


@tool
async def count_later(limit: int) -> AsyncIterator[int]:
    for number in range(limit):
        yield number


@tool
def forever(finished: str) -> Iterator[bytes]:
    try:
        while True:
            yield bytes(1024)
    finally:
        Path(finished).write_text("closed")


@tool
def first_then_wait(go: str) -> Iterator[str]:
    yield "first"
    while not Path(go).exists():
        time.sleep(0.005)  # the tool sleeps
    yield "second"


@tool
def broken_stream() -> Iterator[int]:
    yield 1
    raise RuntimeError("in the middle")


@tool
def half(n: int) -> float:
    if n == 13:
        raise ValueError("thirteen")
    return n / 2


@tool
def where(ctx: Context) -> dict[str, object]:
    return {
        "session": ctx.session_id,
        "worker": ctx.worker_id,
        "limited": ctx.deadline is not None,
    }


class Counter(BaseAdapter):
    """Counts its calls."""

    def initialize(self) -> None:
        self.calls = 0

    @tool
    def tick(self) -> int:
        self.calls += 1
        return self.calls
