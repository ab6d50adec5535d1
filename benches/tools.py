"""Tools for the benchmarks, with as little work of their own as possible."""

import json
from array import array
from time import perf_counter

from snakepit_bridge import SessionContext, telemetry, tool


@tool
def echo(value):
    """Return the argument."""
    return value


@tool
def add(a: int, b: int) -> int:
    """Add two numbers, with checked arguments."""
    return a + b


@tool
def chunks(n: int):
    """Yield n small integers."""
    yield from range(n)


@tool
def flood(count: int) -> int:
    """Report this many records as fast as possible."""
    for number in range(count):
        telemetry.emit("tool.flood", {"number": number}, {"text": "x" * 100})
    return count


@tool
def endless(size: int):
    """Yield blocks of this many bytes until the consumer stops."""
    block = b"\x07" * size
    while True:
        yield block


def p50(seconds, step):
    """Return the seconds that the median step took."""
    times, end = [], perf_counter() + seconds
    while True:
        begin = perf_counter()
        step()
        now = perf_counter()
        times.append(now - begin)
        if now >= end:
            return sorted(times)[len(times) // 2]


@tool
def host_tool(seconds: float, context: SessionContext) -> float:
    """Call a function of the host with one small argument."""
    increment = context.host_tools["increment"]
    return p50(seconds, lambda: increment(n=1))


@tool
def variable(seconds: float, context: SessionContext) -> float:
    """Read a small variable from the host each time."""
    context.cache_ttl = 0
    return p50(seconds, lambda: context.get_variable("small"))


@tool
def cached(seconds: float, context: SessionContext) -> float:
    """Read a small variable from the cache; the mean of a thousand at a time, for the clock takes longer than one."""
    context.cache_ttl = 3600
    context.get_variable("small")

    def step():
        for _ in range(1000):
            context.get_variable("small")

    return p50(seconds, step) / 1000


@tool
def embedding(seconds: float, context: SessionContext) -> float:
    """Set and get 1 MB of numbers."""
    context.cache_ttl = 0
    numbers = array("f", [0.5]) * 262_144

    def step():
        context.set_variable("large", numbers)
        context.get_variable("large")

    return p50(seconds, step)


@tool
def embedding_as_json(seconds: float, context: SessionContext) -> float:
    """Set and get 1 MB of numbers as text."""
    context.cache_ttl = 0
    numbers = array("f", [0.5]) * 262_144

    def step():
        context.set_variable("text", json.dumps(numbers.tolist()))
        array("f", json.loads(context.get_variable("text")))

    return p50(seconds, step)


@tool
def hold_gil(seconds: float) -> None:
    """Keep the GIL in C code."""
    import ctypes  # it costs each start of a worker some milliseconds

    ctypes.PyDLL(None).usleep(int(seconds * 1e6))
