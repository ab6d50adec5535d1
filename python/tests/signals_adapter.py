"""Handlers of signals that raise, and calls that have nothing to do with them."""

import asyncio
import os
import signal
from functools import partial

from snakepit_bridge import tool


def raises(number: int, frame: object) -> None:
    raise TimeoutError("from a handler")


class Raises:
    def __call__(self, number: int, frame: object) -> None:
        raises(number, frame)

    def method(self, number: int, frame: object) -> None:
        raise LookupError("from a method")


def extra(what: str, number: int, frame: object) -> None:
    raise OSError(what)


HANDLERS = {
    "function": raises,
    "object": Raises(),
    "method": Raises().method,
    "partial": partial(extra, "from a partial"),
    "interrupt": signal.default_int_handler,
}


@tool
async def install(handler: str) -> None:
    signal.signal(signal.SIGUSR1, HANDLERS[handler])


@tool
async def waits() -> None:
    await asyncio.Event().wait()


@tool
async def is_hit() -> int:
    """Send a signal that arrives while this coroutine runs."""
    os.kill(os.getpid(), signal.SIGUSR1)
    return sum(range(100_000))


@tool
async def is_hit_and_wraps() -> int:
    try:
        return await is_hit()
    except BaseException as error:
        raise RuntimeError("wrapped") from error


@tool
async def yields_until_hit():
    yield 1
    await is_hit()


@tool
async def fails() -> None:
    raise TimeoutError("its own")


@tool
async def interrupts() -> None:
    raise KeyboardInterrupt
