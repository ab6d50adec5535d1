"""Counters of a `ThreadSafetyChecker`: runs of methods, and waits for locks."""

from __future__ import annotations

import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..thread_safety_checker import ThreadSafetyChecker


class MethodRuns:
    """Counters of one method."""

    __slots__ = ("calls", "peak", "running", "seconds", "threads")

    def __init__(self) -> None:
        """Create zero counters."""
        self.calls = self.running = self.peak = 0
        self.seconds = 0.0
        self.threads: set[int] = set()

    def report(self) -> dict[str, Any]:
        """Return the counters for `get_report`."""
        return {
            "calls": self.calls,
            "threads": len(self.threads),
            "peak_concurrency": self.peak,
            "seconds": self.seconds,
        }


class LockWaits:
    """Counters of the locks of one class."""

    __slots__ = ("contended", "longest", "taken", "waited")

    def __init__(self) -> None:
        """Create zero counters."""
        self.taken = self.contended = 0
        self.waited = self.longest = 0.0

    def report(self) -> dict[str, Any]:
        """Return the counters for `get_report`."""
        return {
            "taken": self.taken,
            "contended": self.contended,
            "waited_seconds": self.waited,
            "longest_wait_seconds": self.longest,
        }


class Execution:
    """A run of a method, for `with`."""

    __slots__ = ("_checker", "_name", "_owner", "_safe", "_started", "_thread")

    def __init__(self, checker: ThreadSafetyChecker, name: str, owner: object, safe: bool) -> None:
        """Create a run that has not begun."""
        self._checker = checker
        self._name = name
        self._owner = owner
        self._safe = safe
        self._thread = 0
        self._started = 0.0

    def __enter__(self) -> None:
        """Begin the run."""
        self._thread = threading.get_ident()
        self._started = time.monotonic()
        self._checker._enter(self._name, self._owner, self._thread, self._safe)

    def __exit__(self, *_: object) -> None:
        """End the run."""
        took = time.monotonic() - self._started
        self._checker._leave(self._name, self._owner, self._thread, took)
