"""Tools that fail with something large in their frames."""

import asyncio
import gc
import weakref

from snakepit_bridge import tool

__thread_safe__ = True

# Nothing is freed by the cyclic collector.
gc.disable()
MADE: "list[weakref.ref[Large]]" = []


class Large:
    """A stand-in for a table, a response or a model in a local variable."""


def large() -> Large:
    made = Large()
    MADE.append(weakref.ref(made))
    return made


@tool
def alive() -> int:
    """Return how many large objects of earlier calls still exist."""
    count = sum(made() is not None for made in MADE)
    MADE.clear()
    return count


@tool
def function(x: int = 0) -> None:
    data = large()
    raise ValueError(f"{x} {data is None}")


@tool
async def coroutine(x: int = 0) -> None:
    data = large()
    await asyncio.sleep(0)
    raise ValueError(f"{x} {data is None}")


@tool
async def inner(x: int = 0) -> None:
    data = large()
    try:
        await coroutine(x)
    except ValueError as error:
        raise KeyError(data is None) from error


@tool
async def leaves(x: int = 0) -> None:
    data = large()
    await asyncio.sleep(0)
    raise SystemExit(f"{x} {data is None}")


async def _of_a_task(x: int) -> None:
    await asyncio.ensure_future(coroutine(x))


def _task(x: int = 0) -> "asyncio.Future[None]":
    return asyncio.ensure_future(coroutine(x))


@tool
async def task(x: int = 0) -> None:
    await _of_a_task(x)


@tool
async def returns_a_task(x: int = 0) -> object:
    return await _task(x)


@tool
def items(x: int = 0):
    data = large()
    yield x
    raise ValueError(f"{x} {data is None}")


@tool
async def items_async(x: int = 0):
    data = large()
    yield x
    await asyncio.sleep(0)
    raise ValueError(f"{x} {data is None}")


@tool
async def waits(begun: str) -> None:
    data = large()
    with open(begun, "w") as file:
        file.write("begun")
    await asyncio.sleep(600)  # the tool sleeps
    del data


class Broken(Exception):
    """An exception whose text is not available."""

    def __init__(self, data: Large) -> None:
        self.data = data

    def __str__(self) -> str:
        raise ValueError(self.data is None)


@tool
def broken_str() -> None:
    raise Broken(large())


@tool
def take_all_descriptors() -> None:
    import os
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
    try:
        while True:
            os.open("/dev/null", os.O_RDONLY)
    except OSError:
        return


@tool
def package() -> str:
    import os

    import snakepit_bridge

    return os.path.dirname(snakepit_bridge.__file__)


@tool
def secret() -> None:
    raise ValueError("password=hunter2hunter2")


@tool
def break_describing() -> None:
    from snakepit_bridge._serve import errors

    def broken(*_):
        raise RuntimeError("broken on purpose")

    errors._describe = broken
