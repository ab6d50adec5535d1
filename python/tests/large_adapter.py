"""Large results, large requests to the host, and a small result beside them."""

import asyncio

from snakepit_bridge import Context, tool

MB = 1 << 20
PING = 40


@tool
async def data(mb: int) -> bytes:
    return bytes(mb * MB)


@tool
async def text(mb: int) -> str:
    return "x" * (mb * MB)


@tool
async def numbers(mb: int) -> list[int]:
    return list(range(mb * MB // 8))


@tool
def data_on_a_thread(mb: int) -> bytes:
    return bytes(mb * MB)


@tool
def text_on_a_thread(mb: int) -> str:
    return "x" * (mb * MB)


@tool
async def chunks(sizes: list[int]):
    for size in sizes:
        yield bytes(size)


@tool
def chunks_on_a_thread(sizes: list[int]):
    for size in sizes:
        yield bytes(size)


@tool
async def asks(ctx: Context, mb: int) -> int:
    return await ctx._native._request_async(PING, "n", bytes(mb * MB), None)


@tool
def asks_on_a_thread(ctx: Context, mb: int) -> int:
    return ctx._native._request(PING, "n", bytes(mb * MB), None)


@tool
async def asks_after_others(ctx: Context, mb: int) -> int:
    """Make a large request after others, which are as many as the host accepts."""
    others = [ctx._native._request_async(PING, "n", i, None) for i in range(64)]
    *_, last = await asyncio.gather(*others, asks(ctx, mb))
    return last


@tool
async def small(marker: str = "") -> int:
    if marker:
        open(marker, "x").close()
    return 1
