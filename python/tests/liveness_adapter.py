"""Tools that keep the interpreter to themselves."""

import threading
import time

from snakepit_bridge import tool


@tool
def hold(amount: int) -> int:
    """Stays inside one C function that never lets the interpreter go."""
    return sum(range(amount))


@tool
def spin(seconds: float) -> int:
    """Computes in Python, which lets others have their turn."""
    n, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        n += 1
    return n


@tool
def crowd(n: int) -> int:
    """Threads that compute for as long as the process lives."""

    def work():
        while True:
            pass

    for _ in range(n):
        threading.Thread(target=work, daemon=True).start()
    return n


@tool
def names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]
