"""Tools that take too long, each in its own way; a comment `here` marks the line where it is then."""

import ctypes
import threading
import time

from snakepit_bridge import tool

_go_on = threading.Event()


@tool
def echo(n: int) -> int:
    return n


@tool
def loops() -> None:
    while True: pass  # noqa: E701  # fmt: skip  # here: loops


@tool
def sleeps() -> None:
    time.sleep(3600)  # the tool sleeps; here: sleeps


@tool
def holds_the_gil() -> None:
    library, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(64)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)  # here: holds_the_gil


@tool
async def blocks_its_loop() -> None:
    _nested()


def _nested() -> None:
    time.sleep(3600)  # the tool sleeps; here: _nested


@tool
def streams():
    yield 1
    time.sleep(3600)  # the tool sleeps; here: streams


def _loads() -> None:
    _go_on.wait()


@tool
def crowd(n: int, depth: int = 0) -> int:
    """Threads `loader-0` and on, that wait for ever."""

    def dive(left: int) -> None:
        _loads() if left == 0 else dive(left - 1)

    for index in range(n):
        name = f"loader-{index}"
        threading.Thread(target=dive, args=(depth,), name=name, daemon=True).start()
    return threading.active_count()


@tool
def churns(seconds: float) -> int:
    """Threads that come and go, and frames of all depths, for a while."""

    def dive(left: int) -> int:
        return sum(range(5000)) if left == 0 else dive(left - 1)

    end, made = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        thread = threading.Thread(target=dive, args=(made % 60,))
        thread.start()
        dive(made % 90)
        thread.join()
        made += 1
    return made
