"""Tools that hold the interpreter's lock."""

import threading
import time

from snakepit_bridge import tool


@tool
def hold(amount: int) -> int:
    """Stay inside one C function that never releases the interpreter."""
    return sum(range(amount))


@tool
def spin(seconds: float) -> int:
    """Compute in Python, which gives other threads a turn."""
    n, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        n += 1
    return n


@tool
def crowd(n: int) -> int:
    """Start threads that compute as long as the process lives."""

    def work():
        while True:
            pass

    for _ in range(n):
        threading.Thread(target=work, daemon=True).start()
    return n


@tool
def names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]
