"""Adapters whose single instance serves several slots at once.

The original's module of this name. `ThreadSafeAdapter` has a lock, storage for each thread and
counters; `thread_safe_method` counts the calls of a method. Neither takes the lock by itself: code
that must not overlap belongs in `with self.acquire_lock():`.
"""

from __future__ import annotations

import threading

from . import thread_safety_checker as _checker
from ._threads.around import NOTHING, around
from ._threads.measured_lock import measured
from ._threads.request_tracker import RequestTracker
from ._threads.thread_local import ThreadLocalStorage
from .base_adapter import BaseAdapter, ToolMetadata, tool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])

__all__ = [
    "BaseAdapter",
    "RequestTracker",
    "ThreadLocalStorage",
    "ThreadSafeAdapter",
    "ToolMetadata",
    "require_thread_safe",
    "thread_safe_method",
    "tool",
    "validate_thread_safety",
]


class _Tracked:
    """A request, counted from `with` to its end, and reported to the checker, if one is active."""

    __slots__ = ("_adapter", "_execution", "_method", "_number")

    def __init__(self, adapter: ThreadSafeAdapter, method: str) -> None:
        self._adapter = adapter
        self._method = method
        self._execution: Any = None
        self._number = 0

    def __enter__(self) -> int:
        self._number = self._adapter._tracker.start_request()
        try:
            checker = _checker.active_checker()
            if checker is not None:
                execution = checker.track_execution(self._method, self._adapter)
                execution.__enter__()
                self._execution = execution
        except BaseException:
            self._adapter._tracker.end_request(request_id=self._number, failed=True)
            raise
        return self._number

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A stream that is closed early has not failed.
        failed = kind is not None and not issubclass(kind, GeneratorExit)
        self._adapter._tracker.end_request(request_id=self._number, failed=failed)
        if self._execution is not None:
            self._execution.__exit__(kind, error, traceback)


class ThreadSafeAdapter(BaseAdapter):
    """Base of shared adapters: their methods may run in several threads at once.

    The worker checks `__thread_safe__`; an adapter without it runs one call at a time. A subclass
    that is not safe after all sets `__thread_safe__ = False`, and marks no methods.
    """

    __thread_safe__ = True

    _lock: threading.RLock  # pyright: ignore[reportUninitializedInstanceVariable]
    _thread_local: ThreadLocalStorage  # pyright: ignore[reportUninitializedInstanceVariable]
    _tracker: RequestTracker  # pyright: ignore[reportUninitializedInstanceVariable]

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Any:
        """Create the shared state here, so that an `__init__` without `super` loses nothing."""
        self = super().__new__(cls)
        self._lock = threading.RLock()
        self._thread_local = ThreadLocalStorage()
        self._tracker = RequestTracker()
        return self

    def acquire_lock(self) -> Any:
        """Return the adapter's lock, for `with`; a thread that holds it may acquire it again.

        While a `ThreadSafetyChecker` is active, waits for it are measured.
        """
        checker = _checker.active_checker()
        if checker is None:
            return self._lock
        return measured(self._lock, checker.lock_waits(type(self).__qualname__))

    def get_thread_local(
        self, key: str, default: Any = None, *, factory: Callable[[], Any] | None = None
    ) -> Any:
        """Return this thread's value; a missing one is `default`, or created by `factory`."""
        return self._thread_local.get(key, default, factory=factory)

    def set_thread_local(self, key: str, value: Any) -> None:
        """Keep a value for this thread."""
        self._thread_local.set(key, value)

    def clear_thread_local(self, key: str | None = None) -> None:
        """Drop one value of this thread, or all of them."""
        if key is None:
            self._thread_local.clear()
        else:
            self._thread_local.delete(key)

    def get_stats(self) -> dict[str, Any]:
        """Return a snapshot of the counters of `thread_safe_method` and `track_request`."""
        requests = self._tracker.get_stats()
        return {
            "adapter": type(self).__qualname__,
            "adapter_class": type(self).__name__,
            "thread_safe": validate_thread_safety(type(self)),
            "tracker": requests,
            **requests,
        }

    def get_stats_dict(self) -> dict[str, Any]:
        """Return the counters, for a subclass with a `get_stats` of its own."""
        return ThreadSafeAdapter.get_stats(self)

    def track_request(self, request_id: Any = None) -> Any:
        """Count a `with` block as a request; `request_id` names it in a checker's report."""
        return _Tracked(self, "request" if request_id is None else str(request_id))


def thread_safe_method(function: F) -> F:
    """Declare that a method may run in several threads at once, and count its calls.

    It takes no lock. Streams and coroutines are counted until they end. On objects other than a
    `ThreadSafeAdapter` the method runs unchanged. It may stand above or below `@tool`.
    """
    name = str(getattr(function, "__name__", "method"))

    def context(args: tuple[Any, ...]) -> Any:
        return _Tracked(args[0], name) if isinstance(args[0], ThreadSafeAdapter) else NOTHING

    wrapper = around(function, context)
    wrapper.__thread_safe__ = True
    #: The method reports its calls to the active checker itself.
    wrapper.__snakepit_tracked__ = True
    return wrapper


def validate_thread_safety(adapter_class: Any) -> bool:
    """Return whether a class (or an object) declares `__thread_safe__`."""
    return bool(getattr(adapter_class, "__thread_safe__", False))


#: The original has this function in both modules.
require_thread_safe = _checker.require_thread_safe_adapter
