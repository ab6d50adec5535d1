"""The event loop of a worker: made when the first coroutine comes, kept until the end.

`asyncio` costs a worker 20 ms to import, so a worker without coroutines never imports it. A loop
belongs to one thread; with several slots each slot's thread has its own. Tasks that a tool leaves
behind go on whenever the loop runs the next coroutine, and are cancelled at the end.
"""

from _thread import _local, get_ident

from .adapter import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Callable
    from typing import Any


class _State:
    """The loop of one thread, and the task that it is run for."""

    __slots__ = ("cancelled", "loop", "task")

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.task: asyncio.Task[Any] | None = None
        self.cancelled: asyncio.Task[Any] | None = None


_thread = _local()

#: By thread: the main thread cancels the tasks of the others.
_states: dict[int, _State] = {}


#: What makes loops, where it is not asyncio.
_make: "Callable[[], asyncio.AbstractEventLoop] | None" = None


def choose(event_loop: str) -> None:
    """Which loops are made from now on: `asyncio`, `uvloop`, or `auto`, uvloop where it is there.

    Raises `ImportError` when uvloop is asked for and cannot be imported.
    """
    global _make
    if event_loop == "asyncio":
        return
    try:
        import uvloop  # pyright: ignore[reportMissingImports]
    except ImportError:
        if event_loop == "uvloop":
            raise
    else:
        _make = uvloop.new_event_loop


def loop() -> "asyncio.AbstractEventLoop":
    """The loop of this thread."""
    return _loop(_state())


def _state() -> _State:
    state: _State | None = getattr(_thread, "state", None)
    if state is None:
        state = _thread.state = _states[get_ident()] = _State()
    return state


def _loop(state: _State) -> "asyncio.AbstractEventLoop":
    loop = state.loop
    if loop is None or loop.is_closed():
        import asyncio

        loop = state.loop = _make() if _make is not None else asyncio.new_event_loop()
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


def _given_up(state: _State, task: "Any") -> bool:
    """The ladder has cancelled this task."""
    return state.cancelled is task


def _complete(coroutine: "Any") -> "Any":
    state = _state()
    loop = _loop(state)
    task = state.task = loop.create_task(coroutine)
    state.cancelled = None
    try:
        return loop.run_until_complete(task)
    except BaseException as error:
        # An exception of a signal handler may leave the loop while the task still waits.
        while not task.done() and not loop.is_closed():
            task.cancel()
            _settle(loop, task)
        if _given_up(state, task) and task.cancelled() and not isinstance(error, Cancelled):
            raise Cancelled("the call was cancelled") from error
        raise
    finally:
        state.task = None


def _settle(loop: "asyncio.AbstractEventLoop", task: "asyncio.Task[Any]") -> None:
    """Wait for a cancelled task; returns early when the wait itself is interrupted."""
    try:
        loop.run_until_complete(task)
    except BaseException:
        return


def cancel_task(told: "Callable[[int], None]", call: int, thread: "int | None" = None) -> None:
    """Cancel the coroutine that the loop of a thread runs, of this one unless told otherwise.

    `told(call)` is called once the loop has done it: a loop that a blocking tool holds cannot.
    """
    state = _states.get(get_ident() if thread is None else thread)
    task = None if state is None else state.task
    if state is None or task is None:
        return

    def cancel() -> None:
        if task.cancel():
            state.cancelled = task
            told(call)

    # Wakes the loop, which `task.cancel` alone would not.
    _soon(task.get_loop(), cancel)


def wake_loop(thread: int) -> None:
    """Let the loop of a thread go round, if it has one."""
    state = _states.get(thread)
    if state is not None and state.loop is not None:
        _soon(state.loop, lambda: None)


def _soon(loop: "asyncio.AbstractEventLoop", what: "Callable[[], None]") -> None:
    try:
        loop.call_soon_threadsafe(what)
    except RuntimeError:
        # Its thread has closed it just now.
        return


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
    state = _states.pop(get_ident(), None)
    if state is None:
        return
    del _thread.state
    loop = state.loop
    if loop is None or loop.is_closed():
        return
    import asyncio

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
