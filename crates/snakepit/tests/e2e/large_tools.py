"""Tools with large results and arguments, and a small one beside them."""

from snakepit_bridge import Context, tool


@tool
async def data(mb: int, fill: int) -> bytes:
    return bytes([fill]) * (mb << 20)


@tool
async def echoed(ctx: Context, mb: int, fill: int) -> bool:
    """Returns whether the host sends its argument back."""
    sent = bytes([fill]) * (mb << 20)
    return await ctx.call_host_tool_async("echo", {"data": sent}) == {"data": sent}


@tool
async def small() -> int:
    return 1
