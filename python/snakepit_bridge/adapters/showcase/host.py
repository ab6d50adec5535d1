"""Callbacks: tools of the Rust program, called from Python."""

import asyncio
from collections.abc import Iterator
from typing import Any

from snakepit_bridge import Context, tool


class Host:
    """Tools that call host tools."""

    @tool
    def list_host_tools(self, ctx: Context) -> dict[str, str]:
        """Return the host tools that this call may use, as `help()` shows them."""
        return {name: proxy.__doc__ or "" for name, proxy in ctx.host_tools.items()}

    @tool
    def call_host(self, ctx: Context, tool_name: str, arguments: dict[str, Any]) -> Any:
        """Call a host tool, wait for it and return its result."""
        return ctx.host_tools[tool_name](**arguments)

    @tool
    def stream_host(self, ctx: Context, tool_name: str, arguments: dict[str, Any]) -> Iterator[Any]:
        """Forward the items of a streaming host tool as they arrive."""
        with ctx.host_tools[tool_name](**arguments) as items:
            yield from items

    @tool
    async def call_host_many(
        self, ctx: Context, tool_name: str, calls: list[dict[str, Any]]
    ) -> list[Any]:
        """Call a host tool several times at once."""
        waiting = [ctx.call_host_tool_async(tool_name, arguments) for arguments in calls]
        return list(await asyncio.gather(*waiting))

    @tool
    def call_elixir_demo(self, ctx: Context, tool_name: str, **arguments: Any) -> Any:
        """Call a host tool by the original's name."""
        return ctx.call_elixir_tool(tool_name, **arguments)
