"""Tools that use the state that the host keeps for them."""

import asyncio
import os
from array import array
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

from snakepit_bridge import HostError, SessionContext, tool


@tool
def pid() -> int:
    return os.getpid()


@tool
def code_of(what: str, context: SessionContext) -> list[str]:
    """Makes a request that the host rejects; returns code and message of the error."""
    steps = {
        "unknown variable": lambda: context.get_variable("nonesuch"),
        "wrong type": lambda: context.set_variable("count", "three"),
        "constraint": lambda: context.set_variable("count", 11),
        "stale": lambda: context.set_variable("count", 2, expected_version=99),
        "exists": lambda: context.register_variable("count", "integer", 1),
        "bad type": lambda: context.register_variable("x", "colour", 1),
        "unknown program": lambda: context.get_program("nonesuch"),
        "panics": lambda: context.call_host_tool("panics"),
        "fails": lambda: context.call_host_tool("fails"),
        "blocks": lambda: context.call_host_tool("blocks", timeout=0.05),
        "bad arguments": lambda: context.call_host_tool("double", n="x"),
        "missing argument": lambda: context.call_host_tool("double"),
        "nothing": lambda: context.get_variable("count"),
    }
    try:
        steps[what]()
    except HostError as error:
        return [error.code, str(error)]
    return []


@tool
def tools(context: SessionContext) -> list[str]:
    return sorted(context.host_tools)


@tool
def call(name: str, arguments: dict[str, object], context: SessionContext) -> object:
    return context.call_host_tool(name, **arguments)


@tool
async def call_many(count: int, context: SessionContext) -> list[object]:
    """Makes the given number of calls at once."""
    calls = [context.call_host_tool_async("double", n=n) for n in range(count)]
    return list(await asyncio.gather(*calls))


@tool
def call_in_threads(count: int, context: SessionContext) -> list[object]:
    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(lambda n: context.call_host_tool("double", n=n), range(count)))


@tool
def countdown(n: int, context: SessionContext) -> Iterator[int]:
    yield from context.host_tools["countdown"](n=n)


@tool
async def countdown_async(n: int, context: SessionContext) -> AsyncIterator[int]:
    async for item in context.host_tools["countdown"].stream_async(n=n):
        yield item


@tool
def first_two(context: SessionContext) -> list[int]:
    """Closes a stream that has no end after two items."""
    stream = iter(context.host_tools["countdown"](n=1 << 40))
    return [next(stream), next(stream)]


@tool
def again(depth: int, context: SessionContext) -> int:
    """Calls itself through the host."""
    return context.call_host_tool("again", depth=depth) if depth else os.getpid()


@tool
def increments(count: int, context: SessionContext) -> None:
    """Makes optimistic updates beside those of other writers."""
    for _ in range(count):
        context.update_variable("count", lambda value: value + 1)


@tool
def numbers(context: SessionContext) -> float:
    """Doubles an embedding in place of the host's."""
    values = array("d", context["vector"])
    context["vector"] = array("d", [2.0 * value for value in values])
    return sum(values)


@tool
def waits(context: SessionContext) -> None:
    """Waits in the host for a change that never comes."""
    context.call_host_tool("never")


@tool
def remember(key: str, value: int) -> int:
    """Stores a value in the memory of this process only."""
    globals()[f"remembered_{key}"] = value
    return os.getpid()


class Opaque:
    """A class whose instances cannot be sent."""

    def __repr__(self) -> str:
        return "Opaque(api_key='sk-0123456789abcdef0123')"


@tool
def opaque() -> dict[str, object]:
    return {"fine": 1, "opaque": Opaque()}
