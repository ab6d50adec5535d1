"""Tools that take too long, each in its own way; a comment `here` marks where they wait."""

import asyncio
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
    """Starts threads `loader-0` and on, which wait forever."""

    def dive(left: int) -> None:
        _loads() if left == 0 else dive(left - 1)

    for index in range(n):
        name = f"loader-{index}"
        threading.Thread(target=dive, args=(depth,), name=name, daemon=True).start()
    return threading.active_count()


@tool
def churns(seconds: float) -> int:
    """Starts and ends threads, with stacks of all depths, for a while."""

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


@tool
async def waits() -> None:
    await _outer()


async def _outer() -> None:
    await _inner()


async def _inner() -> None:
    await asyncio.sleep(3600)  # the tool sleeps; here: _inner


@tool
async def gathers() -> None:
    await asyncio.gather(_outer(), asyncio.sleep(0))


@tool
async def limits() -> None:
    await asyncio.wait_for(_outer(), 3600)


@tool
async def iterates() -> None:
    async for _ in _items():
        pass


async def _items():
    yield 1
    await _inner()


@tool
async def trickles():
    yield 1
    await _outer()


class _Hostile(asyncio.Future):
    """Code that must not run when a stack is read."""

    def __getattribute__(self, name: str):
        if name in ("_children", "done", "get_coro", "_tasks"):
            open("looked", "w").close()
        return super().__getattribute__(name)


@tool
async def traps() -> None:
    await _Hostile()  # here: traps


@tool
async def keeps_the_loop() -> None:
    time.sleep(3600)  # the tool sleeps; here: keeps_the_loop
