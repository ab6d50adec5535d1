"""The event loop of a worker: made when the first coroutine comes, kept until the end.

`asyncio` costs a worker 20 ms to import, so a worker without coroutines never imports it. A loop
belongs to one thread; with several slots each slot's thread has its own. Tasks that a tool leaves
behind go on whenever the loop runs the next coroutine, and are cancelled at the end.
"""

from _thread import _local

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator
    from typing import Any

_thread = _local()


def _loop() -> "asyncio.AbstractEventLoop":
    loop = getattr(_thread, "loop", None)
    if loop is None or loop.is_closed():
        import asyncio

        loop = _thread.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    return loop


async def _wait(awaitable: "Any") -> "Any":
    return await awaitable


def run(awaitable: "Any") -> "Any":
    """Wait for a coroutine on this thread's loop; any other value is returned as it is."""
    if not hasattr(awaitable, "__await__"):
        return awaitable
    coroutine = awaitable if hasattr(awaitable, "cr_code") else _wait(awaitable)
    return _loop().run_until_complete(coroutine)


def anext(generator: "AsyncGenerator[Any, None]") -> "Any":
    """The next item of an async iterator, or `StopAsyncIteration`."""
    return _loop().run_until_complete(_wait(generator.__anext__()))


def aclose(generator: "Any") -> None:
    """Close an async generator, so that its `finally` blocks run."""
    close = getattr(generator, "aclose", None)
    if close is not None:
        _loop().run_until_complete(_wait(close()))


def close() -> None:
    """Cancel what still runs on this thread's loop and close it."""
    loop = getattr(_thread, "loop", None)
    if loop is None or loop.is_closed():
        return
    import asyncio

    _thread.loop = None
    try:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
