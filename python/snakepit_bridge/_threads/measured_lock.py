"""A lock that reports how long a thread waited for it."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def measured(lock: Any, waited: Callable[[float | None], None]) -> Any:
    """Return a context manager around the reentrant `lock` of `threading`.

    Each time the lock is acquired, `waited` is called with the seconds of the wait, `None` if the
    lock was free. The lock is held during that call, so calls of `waited` never overlap. If this
    thread holds the lock already, the lock itself is returned.

    A call may be cancelled by an exception between any two instructions. In that case the lock is
    released again. Releasing is the lock's own method, which is written in C, so that no exception
    can come before it.
    """
    if lock._is_owned():
        return lock

    def enter(_: Any) -> Any:
        try:
            if lock.acquire(False):
                waited(None)
            else:
                started = time.monotonic()
                lock.acquire()
                waited(time.monotonic() - started)
        except BaseException:
            if lock._is_owned():
                lock.release()
            raise
        return lock

    # A class attribute that is no Python function is called without the instance.
    return type("MeasuredLock", (), {"__enter__": enter, "__exit__": lock.__exit__})()
