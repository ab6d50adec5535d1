"""Counters of running and finished requests, and of their threads."""

from __future__ import annotations

import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Most threads that are counted by name; all others are counted together.
MAX_THREADS = 1024
OTHERS = "(others)"


class RequestTracker:
    """Counts requests; all counters are under one lock, so that they always add up."""

    def __init__(self) -> None:
        """Create zero counters."""
        self._lock = threading.Lock()
        self._next = 1
        #: Number, thread and start of each running request.
        self._active: dict[int, tuple[int, float]] = {}
        self._finished = 0
        self._failed = 0
        self._peak = 0
        self._busy = 0.0
        self._by_thread: dict[str, int] = {}

    def start_request(self, thread_id: int | None = None) -> int:
        """Begin a request on a thread, by default the current one; return its number."""
        name = threading.current_thread().name if thread_id is None else f"thread-{thread_id}"
        ident = threading.get_ident() if thread_id is None else thread_id
        now = time.monotonic()
        with self._lock:
            number = self._next
            self._next += 1
            self._active[number] = (ident, now)
            self._peak = max(self._peak, len(self._active))
            if name not in self._by_thread and len(self._by_thread) >= MAX_THREADS:
                name = OTHERS
            self._by_thread[name] = self._by_thread.get(name, 0) + 1
        return number

    def end_request(
        self,
        thread_id: int | None = None,
        *,
        request_id: int | None = None,
        failed: bool = False,
    ) -> None:
        """End a request; without a number the youngest one of a thread, by default the current.

        A request that is over, or never began, is not counted.
        """
        ident = threading.get_ident() if thread_id is None else thread_id
        now = time.monotonic()
        with self._lock:
            if request_id is None:
                own = (number for number, entry in self._active.items() if entry[0] == ident)
                request_id = max(own, default=0)
            entry = self._active.pop(request_id, None)
            if entry is None:
                return
            self._finished += 1
            self._failed += failed
            self._busy += now - entry[1]

    def get_stats(self) -> dict[str, Any]:
        """Return a snapshot; `total_requests` counts active and finished requests."""
        with self._lock:
            return {
                "total_requests": self._finished + len(self._active),
                "active_requests": len(self._active),
                "total_active_requests": len(self._active),
                "active_threads": len({ident for ident, _ in self._active.values()}),
                "threads_seen": len(self._by_thread),
                "failed_requests": self._failed,
                "peak_requests": self._peak,
                "busy_seconds": self._busy,
                "thread_utilization": dict(self._by_thread),
            }
