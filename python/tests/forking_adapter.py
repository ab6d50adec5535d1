"""Tools that fork and let the copy continue in the tool."""

import asyncio
import os

from snakepit_bridge import Context, tool

__thread_safe__ = True
PARENT = os.getpid()
FORKED: "list[int]" = []


def fork() -> bool:
    """Return whether this process is the copy."""
    child = os.fork()
    if child:
        FORKED.append(child)
    return child == 0


def reap() -> "list[int]":
    """Return the exit codes of the copies."""
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in FORKED]
    FORKED.clear()
    return codes


@tool
def codes() -> "list[int]":
    return reap()


@tool
def returns() -> int:
    fork()
    return os.getpid()


@tool
def fails() -> None:
    fork()
    raise ValueError("in both")


@tool
def leaves() -> int:
    if fork():
        raise SystemExit(0)
    return 1


@tool
def asks(ctx: Context) -> object:
    copy = fork()
    try:
        return ctx.call_host_tool("echo", os.getpid())
    except RuntimeError:
        if not copy:
            raise
        return "in the copy"


@tool
def chunks():
    yield 1
    fork()
    yield 2
    yield 3


@tool
async def returns_async() -> int:
    fork()
    return os.getpid()


@tool
async def fails_async() -> None:
    fork()
    raise ValueError("in both")


@tool
async def awaits() -> int:
    fork()
    await asyncio.sleep(0)
    return os.getpid()


@tool
async def forks_in_a_task() -> int:
    async def forks() -> int:
        await asyncio.sleep(0)
        fork()
        await asyncio.sleep(0)
        return os.getpid()

    return await asyncio.create_task(forks())


@tool
async def asks_async(ctx: Context) -> object:
    copy = fork()
    try:
        return await ctx.call_host_tool_async("echo", os.getpid())
    except RuntimeError:
        if not copy:
            raise
        return "in the copy"


@tool
async def chunks_async():
    yield 1
    fork()
    yield 2
    await asyncio.sleep(0)
    yield 3


@tool
async def runs_beside(began: str) -> "list[int]":
    """Return the processes in which this coroutine has run until the file exists."""
    seen: set[int] = set()
    while not os.path.exists(began):
        if os.getpid() != PARENT:
            os._exit(77)
        seen.add(os.getpid())
        await asyncio.sleep(0)
    return sorted(seen)


@tool
async def pool(n: int) -> "list[int]":
    """Start children of multiprocessing, which work as usual."""
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(2) as workers:
        return workers.map(abs, range(-n, 0))
