"""Tools for the comparison of profiles: waiting, computing, and lookups in shared data."""

import os
import threading
import time
from array import array

from snakepit_bridge import tool

try:
    import numpy
except ImportError:
    numpy = None

__thread_safe__ = True

# Stands for a model: large, loaded once, only read. Without numpy an array of the standard library.
SIZE = 4_000_000
TABLE = (
    numpy.arange(SIZE, dtype="float64") if numpy is not None else array("d", [0.5]) * SIZE
)


@tool
def echo(value):
    """Return the argument."""
    return value


_blocks = {}


@tool
def block(size: int) -> bytes:
    """Return a large block, the same each time: creating it is no part of the answer."""
    if size not in _blocks:
        _blocks[size] = b"\x07" * size
    return _blocks[size]


@tool
def wait(seconds: float) -> None:
    """Wait in a system call, as for a disk or another server."""
    time.sleep(seconds)


@tool
def spin(rounds: int) -> int:
    """Compute in pure Python."""
    total = 0
    for number in range(rounds):
        # Small numbers live for ever. A constant that does not is counted by all threads, which costs 3.14t more than the loop.
        total = (total * 31 + number) % 251
    return total


@tool
def look(start: int, count: int) -> float:
    """Sum some values of the table."""
    total = 0.0
    for index in range(start, start + count):
        total += TABLE[index % SIZE]
    return float(total)


@tool
def has_numpy() -> bool:
    """Return true if the table is a numpy array."""
    return numpy is not None


@tool
async def nap(seconds: float) -> None:
    """Wait on the event loop."""
    import asyncio

    await asyncio.sleep(seconds)


_here = 0
_most = 0
_lock = threading.Lock()


@tool
def overlap(seconds: float) -> int:
    """Wait; return the largest number of concurrent calls of this tool in this process so far."""
    global _here, _most
    with _lock:
        _here += 1
        _most = max(_most, _here)
    time.sleep(seconds)
    with _lock:
        _here -= 1
        return _most


@tool
def pid() -> int:
    """Return the id of this process."""
    return os.getpid()
