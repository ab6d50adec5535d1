"""Tools for the benchmarks: as little of their own work as can be."""

from snakepit_bridge import tool


@tool
def echo(value):
    """Give back what came."""
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
def endless(size: int):
    """Yield blocks of this many bytes for as long as somebody reads."""
    block = b"\x07" * size
    while True:
        yield block
