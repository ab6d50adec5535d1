"""Tools for a worker that runs many calls at once."""

import asyncio
import threading
import time
from contextvars import ContextVar

from snakepit_bridge import BaseAdapter, Context, tool

MARK: ContextVar[int] = ContextVar("mark", default=0)


class Adapter(BaseAdapter):
    """An adapter whose calls share the loop."""

    async def initialize(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.open = asyncio.Event()
        self.running = 0
        self.most = 0
        self.closed: list[str] = []

    @tool
    async def meet(self, parties: int) -> int:
        """Return once this many calls run at the same time."""
        self.running += 1
        self.most = max(self.most, self.running)
        if self.running >= parties:
            self.open.set()
        await self.open.wait()
        return self.most

    @tool
    async def same_loop(self) -> bool:
        return asyncio.get_running_loop() is self.loop

    @tool
    async def add(self, x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    @tool
    async def blob(self, size: int) -> str:
        return "x" * size

    @tool
    async def fails(self, text: str) -> None:
        await asyncio.sleep(0)
        raise ValueError(text)

    @tool
    async def leaves(self) -> None:
        raise SystemExit(3)

    @tool
    async def stops_the_loop(self) -> int:
        asyncio.get_running_loop().stop()
        return 7

    @tool
    async def waits(self, ctx: Context) -> None:
        """Wait forever, and report when the wait ends."""
        try:
            await asyncio.Event().wait()
        finally:
            self.closed.append(str(ctx.session_id))

    @tool
    async def swallows(self) -> str:
        """Ignore the first cancellation."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.closed.append("swallowed")
            await asyncio.Event().wait()
        return "never"

    @tool
    async def blocks(self, ctx: Context) -> None:
        """Block the event loop."""
        self.closed.append("blocks")
        await ctx.call_host_tool_async("blocking")
        time.sleep(600)  # the tool sleeps

    @tool
    async def blocks_for(self, seconds: float) -> None:
        time.sleep(seconds)  # the tool sleeps

    @tool
    async def what_closed(self) -> list:
        return self.closed

    @tool
    async def who(self, steps: int) -> list:
        """Return the session that the context shows at several moments."""
        seen = []
        MARK.set(int(self.session_context.session_id))
        for _ in range(steps):
            await asyncio.sleep(0)
            seen.append(self.session_context.session_id)
            seen.append(str(MARK.get()))
        return seen

    @tool
    async def asks(self, ctx: Context, x: int) -> object:
        return await ctx.call_host_tool_async("echo", x)

    @tool
    async def asks_and_blocks(self, ctx: Context) -> object:
        return ctx.call_host_tool("echo", 1)

    @tool
    def asks_on_a_thread(self, ctx: Context, x: int) -> object:
        return ctx.call_host_tool("echo", x)

    @tool
    def plain(self, x: int) -> list:
        return [x + 1, threading.current_thread() is threading.main_thread()]

    @tool
    def spins(self, ctx: Context) -> None:
        ctx.call_host_tool("spinning")
        while True:
            pass

    @tool
    async def count(self, to: int, size: int = 0):
        try:
            for number in range(to):
                yield [number, "x" * size]
        finally:
            self.closed.append("count")

    @tool
    def count_plainly(self, to: int, size: int = 0):
        for number in range(to):
            yield [number, "x" * size]

    @tool
    async def odd_chunk(self):
        yield 1
        yield object()
