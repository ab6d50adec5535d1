"""Numbers in bulk: bytes and arrays are sent as they are, not as text."""

from __future__ import annotations

import array
import hashlib
import math
import time
from typing import Any

from snakepit_bridge import Context, tool


def embedding(text: str, dimensions: int) -> array.array[float]:
    """Return a unit vector that depends only on the text."""
    numbers: list[float] = []
    block = 0
    while len(numbers) < dimensions:
        digest = hashlib.sha256(f"{block}:{text}".encode()).digest()
        numbers += [byte / 127.5 - 1 for byte in digest]
        block += 1
    del numbers[dimensions:]
    length = math.sqrt(sum(x * x for x in numbers)) or 1.0
    return array.array("f", [x / length for x in numbers])


class Arrays:
    """Tools for bytes, embeddings and tensors."""

    @tool
    def create_bytes(self, size: int) -> bytes:
        """Return a number of bytes, which are not copied on their way out."""
        return bytes(size)

    @tool
    def create_embedding(self, text: str, dimensions: int = 384) -> Any:
        """Return a vector for a text: an array if it is large, else a list."""
        return embedding(text, dimensions)

    @tool
    def create_tensor(self, shape: list[int], fill: float = 0.0) -> Any:
        """Return a tensor of float32; large ones are sent as one block."""
        data = array.array("f", [fill]) * math.prod(shape)
        return memoryview(data).cast("B").cast("f", shape) if shape else fill

    @tool
    def store_embedding(self, ctx: Context, name: str, text: str, dimensions: int = 384) -> int:
        """Store a vector in a variable of the session; return its version."""
        vector = embedding(text, dimensions)
        if name in ctx:
            return ctx.set_variable(name, vector)
        return ctx.register_variable(name, "embedding", vector, {"dimensions": dimensions})

    @tool
    def measure_bytes(self, data: bytes) -> dict[str, Any]:
        """Return size and digest of the received bytes."""
        return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    @tool
    def benchmark_encoding(
        self, start_kb: int = 1, end_kb: int = 1024, step_factor: int = 4
    ) -> list[dict[str, float]]:
        """Measure encoding: seconds for bytes and for a list, by size."""
        from snakepit_bridge._native import pack

        out: list[dict[str, float]] = []
        size = max(1, start_kb)
        while size <= end_kb:
            numbers = [0.5] * (size * 128)
            began = time.perf_counter()
            pack(bytes(size * 1024))
            between = time.perf_counter()
            pack(numbers)
            ended = time.perf_counter()
            out.append({"kb": size, "bytes_s": between - began, "list_s": ended - between})
            size *= max(2, step_factor)
        return out
