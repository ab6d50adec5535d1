"""A lock that tells how long it was waited for."""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def measured(lock: "Any", waited: "Callable[[float | None], None]") -> "Any":
    """A context manager around the reentrant `lock` of `threading`.

    Each time that it is taken `waited` gets the seconds of the wait, `None` when the lock was
    free. The lock is held then, so that calls of `waited` never overlap. A lock that this thread
    holds already is given back as it is.

    A call may be cancelled by an exception that comes between any two instructions. Taking gives
    the lock back in this case; and releasing is done by the lock's own method, which is written in
    C, so that nothing can come before it.
    """
    if lock._is_owned():
        return lock

    def enter(_: "Any") -> "Any":
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

    # A method of the class that is no Python function is called without the instance.
    return type("MeasuredLock", (), {"__enter__": enter, "__exit__": lock.__exit__})()
