"""The tools that the tests of the worker call."""

import asyncio
import dataclasses
import enum
import os
import sys
import time

from snakepit_bridge import BaseAdapter, Context, tool


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


@tool
def echo(x):
    return x


@tool
def mean(xs: list[float]) -> float:
    return sum(xs) / len(xs)


@tool
def typed(p: Point, c: Color = Color.RED, t: tuple[int, ...] = (), s: set[str] | None = None):
    return [type(p).__name__, p.x, p.y, c.name, list(t), type(t).__name__, type(s).__name__]


@tool
def mixed(a, /, b, *rest, c=3, **more):
    return [a, b, list(rest), c, more]


@tool
async def aecho(x, delay: float = 0.0):
    await asyncio.sleep(delay)  # the tool sleeps
    return x


@tool
def count(n: int):
    yield from range(n)


@tool
async def acount(n: int):
    for i in range(n):
        await asyncio.sleep(0)
        yield i


@tool
def big(n: int) -> bytes:
    return bytes(n)


@tool
def unsendable():
    return [{"x": sys}]


@tool(streaming=True)
def not_a_stream():
    return 3


@tool
def bad_chunks():
    yield 1
    yield sys


@tool
def fails(how: str = "value"):
    if how == "exit":
        raise SystemExit(3)
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "recursion":
        return fails("recursion")
    try:
        {}["key"]
    except KeyError as error:
        raised = ValueError("bad value")
        raised.__notes__ = ["a note"]
        raise raised from error


@tool
def fails_late(n: int):
    yield from range(n)
    raise ValueError("late")


@tool
def prints(text: str):
    print(text)
    print(text, file=sys.stderr)
    os.write(1, b"raw\n")
    return len(text)


@tool
def about(ctx: Context):
    return {
        "call_id": ctx.call_id,
        "session_id": ctx.session_id,
        "worker_id": ctx.worker_id,
        "left": ctx.remaining(),
        "deadline": ctx.deadline,
        "now": time.monotonic(),
        "cancelled": ctx.cancelled,
    }


@tool
def until_cancelled(ctx: Context, how: str = "flag"):
    end = time.monotonic() + 15
    while time.monotonic() < end:
        if how == "raise":
            ctx.raise_if_cancelled()
        elif ctx.cancelled:
            return "saw it"
    return "never"


CLOSED: list[str] = []


@tool
def endless():
    try:
        number = 0
        while True:
            yield number
            number += 1
    finally:
        CLOSED.append("endless")


@tool
async def aendless():
    try:
        while True:
            yield 0
            await asyncio.sleep(0)
    finally:
        CLOSED.append("aendless")


@tool
def closed() -> list[str]:
    return CLOSED


@tool
def environment(name: str):
    return os.environ.get(name)


class Adapter(BaseAdapter):
    """A counter that records its life in a file."""

    def __init__(self):
        self.number = 0
        self.log("init")

    def log(self, text):
        path = os.environ.get("TEST_LOG")
        if path:
            with open(path, "a") as file:
                print(text, file=file)

    async def initialize(self):
        await asyncio.sleep(0)
        self.log("initialize")

    def cleanup(self):
        self.log("cleanup")

    @tool
    def add(self, n: int = 1) -> int:
        self.number += n
        return self.number

    @tool
    def my_call(self):
        assert self.session_context is not None
        return self.session_context.call_id


@tool
def context_first(ctx: Context, a: int, b: int = 2, *rest: int, c: int = 3, **extra: int):
    return [ctx.call_id > 0, a, b, list(rest), c, extra]


@tool
def context_between(a: int = 1, ctx: Context | None = None, b: int = 2):
    assert ctx is not None
    return [a, b]


@tool
def divide(a: float, b: float):
    return a / b
