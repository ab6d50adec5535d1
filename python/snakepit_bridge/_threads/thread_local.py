"""Thread-local values by name."""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class ThreadLocalStorage:
    """Named values, each visible only to the thread that set it.

    A slot is a thread, so a value that a slot stores is there again in its next call. All
    coroutines of a worker run on one thread and see the same values.
    """

    def __init__(self) -> None:
        """Create an empty storage."""
        self._local = threading.local()

    def get(
        self, key: str, default: Any = None, *, factory: Callable[[], Any] | None = None
    ) -> Any:
        """Return this thread's value; `default` if there is none.

        With a `factory`, a missing value is created by it and kept for this thread.
        """
        values: dict[str, Any] = self._local.__dict__
        if key in values:
            return values[key]
        if factory is None:
            return default
        value = values[key] = factory()
        return value

    def set(self, key: str, value: Any) -> None:
        """Keep a value for this thread."""
        self._local.__dict__[key] = value

    def delete(self, key: str) -> None:
        """Drop this thread's value, if there is one."""
        self._local.__dict__.pop(key, None)

    def clear(self) -> None:
        """Drop all values of this thread; those of other threads stay."""
        self._local.__dict__.clear()
