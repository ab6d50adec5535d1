"""Tools of `snakepit demo`."""

import os
import re
import signal
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator

from snakepit_bridge import BaseAdapter, SessionContext, tool


@tool
def count_words(text: str) -> dict[str, int]:
    """Count each word: letters only, in lower case."""
    return dict(Counter(re.findall(r"[a-z]+", text.lower())))


@tool
def primes(limit: int, steps: int = 20) -> Iterator[dict[str, int]]:
    """Count the primes below `limit`, telling after each part how far it is."""
    sieve = bytearray([1]) * limit
    sieve[0:2] = b"\0\0"
    for number in range(2, int(limit**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, limit, number)))
    found = 0
    for step in range(steps):
        start, end = limit * step // steps, limit * (step + 1) // steps
        found += sieve.count(1, start, end)
        yield {"below": end, "primes": found}


@tool
def checksum(data: bytes) -> dict[str, int | bytes]:
    """The Adler-32 checksum of `data`, and `data` itself."""
    return {"adler32": zlib.adler32(data), "data": data}


@tool
def square(n: int) -> int:
    """`n` times `n`."""
    return n * n


@tool
def crash() -> None:
    """Kill the process that runs this."""
    os.kill(os.getpid(), signal.SIGKILL)


class Tally(BaseAdapter):
    """Adds up. Each worker has one of its own."""

    def initialize(self) -> None:
        """Start from nothing, once per worker."""
        self.total = 0

    @tool
    def add(self, amount: int) -> int:
        """Add `amount` and tell the sum so far."""
        self.total += amount
        return self.total


@tool
def rate_words(text: str, context: SessionContext) -> int:
    """The sum of what the host says of each word, kept in the session as well."""
    points = context.host_tools["points"]
    total = sum(points(word=word) for word in text.split())
    context.update_variable("points", lambda before: before + total)
    return total


@tool
def halve(numbers: list[float]) -> array:
    """Half of each number."""
    return array("d", [number / 2 for number in numbers])
