"""Large results, and a small one beside them."""

from snakepit_bridge import tool

MB = 1 << 20


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
async def small(marker: str = "") -> int:
    if marker:
        open(marker, "x").close()
    return 1
