"""The event loop of a worker: created for the first coroutine, kept until the end.

`asyncio` takes 20 ms to import, so a worker without coroutines never imports it. A loop belongs to
one thread; with several slots, each slot's thread has its own. Tasks that a tool leaves behind
continue whenever the loop runs the next coroutine, and are cancelled at the end.
"""

from __future__ import annotations

import sys
from _thread import _local, get_ident

from ..adapter import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Callable
    from contextvars import Context
    from typing import Any


class _State:
    """The loop of one thread, and the task that it runs."""

    __slots__ = ("cancelled", "context", "generator", "loop", "task")

    def __init__(self) -> None:
        #: The stream that the thread serves, and the context for all its items.
        self.generator: AsyncGenerator[Any, None] | None = None
        self.context: Context | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.task: asyncio.Task[Any] | None = None
        self.cancelled: asyncio.Task[Any] | None = None


_thread = _local()

#: States by thread: the main thread cancels the tasks of the others.
_states: dict[int, _State] = {}


_forks_watched = False

#: Factory of event loops, if it is not asyncio's.
_make: Callable[[], asyncio.AbstractEventLoop] | None = None


def choose(event_loop: str) -> None:
    """Choose the kind of event loop: `asyncio`, `uvloop`, or `auto` (uvloop if it is installed).

    Raises `ImportError` if uvloop is required and cannot be imported.
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


def loop() -> asyncio.AbstractEventLoop:
    """Return the loop of this thread, created if necessary."""
    return _loop(_state())


def _state() -> _State:
    state: _State | None = getattr(_thread, "state", None)
    if state is None:
        state = _thread.state = _states[get_ident()] = _State()
    return state


def _loop(state: _State) -> asyncio.AbstractEventLoop:
    loop = state.loop
    if loop is None or loop.is_closed():
        import asyncio

        loop = state.loop = _make() if _make is not None else asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        _watch_forks()
        # Imported now: when it is needed, imports may be impossible.
        from . import task_stacks as task_stacks
    return loop


def _watch_forks() -> None:
    global _forks_watched
    if not _forks_watched:
        from os import register_at_fork

        _forks_watched = True
        register_at_fork(after_in_child=_forked)


def _forked() -> None:
    """End a copy of the process that a task has forked, before another task runs there.

    The copy ends when the code that forked returns control to the event loop.
    """
    state = _states.get(get_ident())
    loop = None if state is None else state.loop
    if loop is None or not loop.is_running():
        return
    from .._native import _end_copy

    ready: Any = getattr(loop, "_ready", None)
    if ready is not None:
        import asyncio

        ready.appendleft(asyncio.Handle(_end_copy, (), loop))
        return
    # uvloop hides its queue, so the step of the task is watched instead.
    step = None
    frame = sys._getframe()
    while frame is not None and frame.f_code not in RUNNERS:
        if frame.f_code.co_filename.endswith("/multiprocessing/popen_fork.py"):
            # This never returns.
            return
        step, frame = frame, frame.f_back
    if frame is None:
        return

    def profile(returning: object, event: str, _: object) -> None:
        if event == "return" and returning is step:
            _end_copy()

    sys.setprofile(profile)


class Left(Exception):
    """An exception that would end the loop although it concerns only one call."""

    def take(self) -> BaseException:
        """Return the carried exception, and drop the reference to it."""
        (carried,), self.args = self.args, ()
        return carried


async def _wait(awaitable: Any) -> Any:
    # A traceback holds this frame, so the frame must not hold an object, such as a task, that holds
    # the exception.
    try:
        return await awaitable
    except (SystemExit, KeyboardInterrupt) as error:
        raise Left(error) from None
    finally:
        del awaitable


def run(awaitable: Any) -> Any:
    """Wait for a coroutine on this thread's loop; return any other value as it is."""
    if not hasattr(awaitable, "__await__"):
        return awaitable
    try:
        return _complete(_wait(awaitable))
    finally:
        del awaitable


def _given_up(state: _State, task: object) -> bool:
    """Return whether a cancellation has cancelled this task."""
    return state.cancelled is task


def _complete(coroutine: Any, context: Context | None = None) -> Any:
    state = _state()
    loop = _loop(state)
    if context is None:
        task = state.task = loop.create_task(coroutine)
    else:
        # Python 3.10 has no `context` argument.
        create: Any = loop.create_task
        task = state.task = create(coroutine, context=context)
    state.cancelled = None
    try:
        _turn(loop, task)
        return task.result()
    except BaseException as error:
        # An exception of a signal handler may leave the loop while the task still waits.
        while not task.done() and not loop.is_closed():
            task.cancel()
            _settle(loop, task)
        if _given_up(state, task) and task.cancelled() and not isinstance(error, Cancelled):
            raise Cancelled("the call was cancelled") from error
        if isinstance(error, Left):
            raise error.take() from None
        raise
    finally:
        # The task holds the exception, whose traceback holds this frame.
        state.task = state.cancelled = None
        del task, coroutine


def _turn(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    """Run the loop until the task is done; a tool may stop the loop meanwhile.

    `run_until_complete` would leave a frame in the traceback that holds the task.
    """
    task.add_done_callback(_stop)
    try:
        while not task.done():
            loop.run_forever()
    finally:
        task.remove_done_callback(_stop)
        del task


#: The code that runs loops: the outermost frame of everything that a loop runs.
RUNNERS = {_turn.__code__}


def _stop(task: asyncio.Task[Any]) -> None:
    task.get_loop().stop()


def _settle(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    """Wait for a cancelled task; return early if the wait itself is interrupted."""
    try:
        _turn(loop, task)
    except BaseException:
        return


def cancel_task(told: Callable[[int], None], call: int, thread: int | None = None) -> None:
    """Cancel the coroutine that a thread's loop runs, by default this thread's.

    `told(call)` is called once the loop has cancelled it. A loop that a blocking tool holds cannot
    do so.
    """
    state = _states.get(get_ident() if thread is None else thread)
    task = None if state is None else state.task
    if state is None or task is None:
        return

    def cancel() -> None:
        if task.cancel():
            state.cancelled = task
            told(call)

    # This wakes the loop, which `task.cancel` alone would not.
    _soon(task.get_loop(), cancel)


def wake_loop(thread: int) -> None:
    """Wake the loop of a thread, if it has one, so that it runs an iteration."""
    state = _states.get(thread)
    if state is not None and state.loop is not None:
        _soon(state.loop, lambda: None)


def _soon(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(what)
    except RuntimeError:
        # Its thread has just closed it.
        return


def anext(generator: AsyncGenerator[Any, None]) -> Any:
    """Return the next item of an async iterator, or raise `StopAsyncIteration`."""
    state = _state()
    try:
        if state.generator is not generator:
            state.generator, state.context = generator, _context()
        return _complete(_wait(generator.__anext__()), state.context)
    except StopAsyncIteration:
        state.generator = state.context = None
        raise
    finally:
        del generator


def _context() -> Context | None:
    """Return one context for all items of a stream, so that they share its variables."""
    if sys.version_info < (3, 11):
        return None
    from contextvars import copy_context

    return copy_context()


def aclose(generator: Any) -> None:
    """Close an async generator, so that its `finally` blocks run."""
    state = _state()
    context = state.context if state.generator is generator else None
    state.generator = state.context = None
    close = getattr(generator, "aclose", None)
    if close is not None:
        _complete(_wait(close()), context)


def close() -> None:
    """Cancel the tasks that still run on this thread's loop, and close the loop."""
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
