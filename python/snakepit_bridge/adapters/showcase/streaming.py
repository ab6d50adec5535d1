"""Streams: generators, plain and async; the caller may stop at any item."""

import asyncio
import random
import time
from typing import Any

from snakepit_bridge import Context, tool


class Streaming:
    """Tools with many results."""

    @tool
    def stream_data(self, count: int = 5, delay: float = 0.0):
        """Stream some items, with a pause of `delay` seconds between them."""
        for index in range(count):
            if index and delay:
                time.sleep(delay)
            yield {"index": index, "value": index * index}

    @tool
    async def stream_progress(self, steps: int = 10, delay_ms: float = 100):
        """Stream the steps of work that awaits something."""
        began = time.monotonic()
        for step in range(1, steps + 1):
            await asyncio.sleep(delay_ms / 1000)
            yield {
                "step": step,
                "total": steps,
                "percent": 100 * step / steps,
                "elapsed_ms": 1000 * (time.monotonic() - began),
                "is_final": step == steps,
            }

    @tool
    def stream_fibonacci(self, count: int = 20):
        """Stream the first Fibonacci numbers; those beyond 64 bits as text."""
        a, b = 0, 1
        for _ in range(count):
            yield a if a < 2**64 else str(a)
            a, b = b, a + b

    @tool
    def generate_dataset(self, rows: int = 1000, chunk_size: int = 100):
        """Stream rows of numbers in chunks, so that neither side holds all of them."""
        chooser = random.Random(rows)
        for first in range(0, rows, chunk_size):
            size = min(chunk_size, rows - first)
            chunk: list[list[Any]] = [[first + i, chooser.gauss(0, 1)] for i in range(size)]
            yield {"first": first, "rows": chunk, "is_final": first + size >= rows}

    @tool
    def infinite_stream(self, ctx: Context, delay_ms: float = 0):
        """Stream numbers until the caller stops."""
        number = 0
        while not ctx.cancelled:
            yield number
            number += 1
            if delay_ms:
                time.sleep(delay_ms / 1000)
