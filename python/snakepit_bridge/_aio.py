"""The event loop of a worker: made when the first coroutine comes, kept until the end.

`asyncio` costs a worker 20 ms to import, so a worker without coroutines never imports it. A loop
belongs to one thread; with several slots each slot's thread has its own. Tasks that a tool leaves
behind go on whenever the loop runs the next coroutine, and are cancelled at the end.
"""

from _thread import _local

from .adapter import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Callable
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
    return _complete(coroutine)


def _given_up(task: "Any") -> bool:
    """The ladder has cancelled this task."""
    return _thread.cancelled is task


def _complete(coroutine: "Any") -> "Any":
    loop = _loop()
    task = _thread.task = loop.create_task(coroutine)
    _thread.cancelled = None
    try:
        return loop.run_until_complete(task)
    except BaseException as error:
        # An exception of a signal handler may leave the loop while the task still waits.
        while not task.done() and not loop.is_closed():
            task.cancel()
            _settle(loop, task)
        if _given_up(task) and task.cancelled() and not isinstance(error, Cancelled):
            raise Cancelled("the call was cancelled") from error
        raise
    finally:
        _thread.task = None


def _settle(loop: "asyncio.AbstractEventLoop", task: "asyncio.Task[Any]") -> None:
    """Wait for a cancelled task; returns early when the wait itself is interrupted."""
    try:
        loop.run_until_complete(task)
    except BaseException:
        return


def cancel_task(told: "Callable[[int], None]", call: int) -> None:
    """Cancel the coroutine that this thread's loop runs; for a signal handler.

    `told(call)` is called once the loop has done it: a loop that a blocking tool holds cannot.
    """
    task = getattr(_thread, "task", None)
    if task is None:
        return

    def cancel() -> None:
        if task.cancel():
            _thread.cancelled = task
            told(call)

    # Wakes the loop, which `task.cancel` alone would not.
    task.get_loop().call_soon_threadsafe(cancel)


def anext(generator: "AsyncGenerator[Any, None]") -> "Any":
    """The next item of an async iterator, or `StopAsyncIteration`."""
    return _complete(_wait(generator.__anext__()))


def aclose(generator: "Any") -> None:
    """Close an async generator, so that its `finally` blocks run."""
    close = getattr(generator, "aclose", None)
    if close is not None:
        _complete(_wait(close()))


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
