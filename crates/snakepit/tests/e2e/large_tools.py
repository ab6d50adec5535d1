"""Tools with large results, and a small one beside them."""

from snakepit_bridge import tool

TEXTS = {}
BYTES = {}


@tool
async def text(mb: int) -> str:
    """The same text every time: making it is no part of sending it."""
    return TEXTS.setdefault(mb, "x" * (mb << 20))


@tool
async def data(mb: int) -> bytes:
    return BYTES.setdefault(mb, bytes(mb << 20))


@tool
async def small() -> int:
    return 1
