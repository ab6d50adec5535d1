"""An adapter for several slots, with each of the three ways to be safe.

`snakepit call snakepit_bridge.adapters.threaded_showcase stress_test threads=16`. The guide
`docs/guides/thread-safe-adapters.md` explains the ways.
"""

import math
import threading
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from snakepit_bridge.base_adapter_threaded import (
    ThreadSafeAdapter,
    thread_safe_method,
    tool,
    validate_thread_safety,
)

#: Most entries of the log.
_LOG = 1000


class ThreadedShowcaseAdapter(ThreadSafeAdapter):
    """One instance in each worker; every slot calls it."""

    __thread_safe__ = True

    def initialize(self) -> None:
        """Create the shared state before the first call."""
        # 1. Shared and never changed: no lock.
        sines = tuple(math.sin(angle / 10) for angle in range(64))
        self.model: Mapping[str, Any] = MappingProxyType({"name": "sines", "weights": sines})
        # 3. Shared and changed: only under the lock.
        self.total = 0
        self.log: list[dict[str, Any]] = []
        #: Barriers that wait for more calls, and the number that waits; the last call removes it.
        self.meetings: dict[str, tuple[threading.Barrier, int]] = {}

    @tool("The model that all slots share and none of them changes.")
    @thread_safe_method
    def model_info(self) -> dict[str, Any]:
        """Use the first way: read-only."""
        return {"name": self.model["name"], "weights": len(self.model["weights"])}

    @tool("Compute with the shared model, then note the result.")
    @thread_safe_method
    def compute_intensive(self, data: list[float], rounds: int = 10) -> dict[str, Any]:
        """Use the first and third way: a computation without the lock, a note with it."""
        weights: tuple[float, ...] = self.model["weights"]
        result = 0.0
        for _ in range(rounds):
            for index, value in enumerate(data):
                result += math.sqrt(value * value + 1) * weights[index % len(weights)]
        return {"result": result, "request_number": self._note("compute_intensive", result)}

    @tool("Multiply two matrices given as lists of rows.")
    @thread_safe_method
    def matrix_multiply(self, a: list[list[float]], b: list[list[float]]) -> list[list[float]]:
        """Use only values of this call: nothing is shared, so no lock is needed."""
        if any(len(row) != len(b) for row in a) or len({len(row) for row in b}) > 1:
            raise ValueError("the rows of `a` must be as long as `b` has rows")
        columns = list(zip(*b, strict=True))
        return [
            [math.fsum(x * y for x, y in zip(row, column, strict=True)) for column in columns]
            for row in a
        ]

    @tool("Compute once in each slot, and remember it there.")
    @thread_safe_method
    def compute_cached(self, key: str) -> dict[str, Any]:
        """Use the second way: each thread has its own cache, so no lock is needed."""
        cache: dict[str, float] = self.get_thread_local("cache", factory=dict)
        cached = key in cache
        if not cached:
            weights: tuple[float, ...] = self.model["weights"]
            cache[key] = math.fsum(weights[ord(char) % len(weights)] for char in key)
        thread = threading.current_thread().name
        return {"value": cache[key], "cached": cached, "thread": thread, "entries": len(cache)}

    @tool("Compute for many items; a stream of results.", supports_streaming=True)
    @thread_safe_method
    def batch_process(self, items: list[float], rounds: int = 10):
        """Count a stream as one request, from its first item to its end."""
        for index, item in enumerate(items):
            result = self.compute_intensive([item], rounds)
            yield {"index": index, **result}

    @tool("Wait until so many calls are in this worker at the same time.")
    @thread_safe_method
    def meet(self, parties: int, name: str = "", timeout_s: float = 10.0) -> dict[str, Any]:
        """Return only once `parties` calls overlap, so that overlaps are counted exactly."""
        with self.acquire_lock():
            barrier, joined = self.meetings.pop(name, (threading.Barrier(parties), 0))
            joined += barrier.parties == parties
            if joined < barrier.parties:
                self.meetings[name] = (barrier, joined)
        if barrier.parties != parties:
            raise ValueError(f"`{name}` is a meeting of {barrier.parties}")
        try:
            place = barrier.wait(timeout_s)
        except threading.BrokenBarrierError:
            with self.acquire_lock():
                if self.meetings.get(name, (None, 0))[0] is barrier:
                    del self.meetings[name]
            raise
        return {"place": place, "parties": parties, "thread": threading.current_thread().name}

    @tool("Threads of one call that all write; says whether a write was lost.")
    @thread_safe_method
    def stress_test(self, threads: int = 16, rounds: int = 1000) -> dict[str, Any]:
        """Use the third way under load: all threads begin together and do nothing else."""
        start = threading.Barrier(threads)
        count = 0

        def write() -> None:
            nonlocal count
            start.wait()
            for number in range(rounds):
                with self.acquire_lock():
                    before = count
                    if number % 8 == 0:
                        # Other threads may run between reading and writing; without the lock they
                        # do.
                        time.sleep(0)
                    count = before + 1

        running = [threading.Thread(target=write) for _ in range(threads)]
        began = time.monotonic()
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        took = time.monotonic() - began
        expected = threads * rounds
        return {"expected": expected, "counted": count, "lost": expected - count, "seconds": took}

    @tool("The last entries of the log that all slots write.")
    @thread_safe_method
    def read_log(self, last: int = 10) -> list[dict[str, Any]]:
        """Use the third way: readers take the lock too, and return a copy."""
        with self.acquire_lock():
            return [dict(entry) for entry in self.log[-last:]] if last > 0 else []

    @tool("What this worker did, by thread.")
    @thread_safe_method
    def thread_stats(self) -> dict[str, Any]:
        """Return the counters of `thread_safe_method`, and the adapter's own."""
        with self.acquire_lock():
            total, entries = self.total, len(self.log)
        return {
            **self.get_stats(),
            "declared": validate_thread_safety(type(self)),
            "noted": total,
            "log_entries": entries,
        }

    def _note(self, operation: str, result: float) -> int:
        thread = threading.current_thread().name
        with self.acquire_lock():
            self.total += 1
            self.log.append({"operation": operation, "result": result, "thread": thread})
            del self.log[:-_LOG]
            return self.total
