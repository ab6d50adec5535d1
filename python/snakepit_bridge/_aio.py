"""The event loop of a worker: made when the first coroutine comes, kept until the end.

`asyncio` costs a worker 20 ms to import, so a worker without coroutines never imports it. A loop
belongs to one thread; with several slots each slot's thread has its own. Tasks that a tool leaves
behind go on whenever the loop runs the next coroutine, and are cancelled at the end.
"""

import sys
from _thread import _local, get_ident

from .adapter import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Callable
    from contextvars import Context
    from typing import Any


class _State:
    """The loop of one thread, and the task that it is run for."""

    __slots__ = ("cancelled", "context", "generator", "loop", "task")

    def __init__(self) -> None:
        #: The stream of the thread, and the context in which all its items are made.
        self.generator: AsyncGenerator[Any, None] | None = None
        self.context: Context | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.task: asyncio.Task[Any] | None = None
        self.cancelled: asyncio.Task[Any] | None = None


_thread = _local()

#: By thread: the main thread cancels the tasks of the others.
_states: dict[int, _State] = {}


_forks_watched = False

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
        _watch_forks()
        # Nothing can be imported when it is needed.
        from . import _task_stacks as _task_stacks
    return loop


def _watch_forks() -> None:
    global _forks_watched
    if not _forks_watched:
        from os import register_at_fork

        _forks_watched = True
        register_at_fork(after_in_child=_forked)


def _forked() -> None:
    """In a copy of the process that a task has forked: no other task runs there.

    The copy ends when the code that forked gives the event loop its turn again.
    """
    state = _states.get(get_ident())
    loop = None if state is None else state.loop
    if loop is None or not loop.is_running():
        return
    from ._native import _end_copy

    ready: Any = getattr(loop, "_ready", None)
    if ready is not None:
        import asyncio

        ready.appendleft(asyncio.Handle(_end_copy, (), loop))
        return
    # uvloop keeps its queue to itself: the step of the task is watched instead.
    step = None
    frame = sys._getframe()
    while frame is not None and frame.f_code not in RUNNERS:
        if frame.f_code.co_filename.endswith("/multiprocessing/popen_fork.py"):
            # It never returns.
            return
        step, frame = frame, frame.f_back
    if frame is None:
        return

    def profile(returning: object, event: str, _: object) -> None:
        if event == "return" and returning is step:
            _end_copy()

    sys.setprofile(profile)


class Left(Exception):
    """Carries an exception that would end the loop, and concerns only one call."""

    def take(self) -> BaseException:
        """The exception, which is not held any more."""
        (carried,), self.args = self.args, ()
        return carried


async def _wait(awaitable: "Any") -> "Any":
    # A traceback holds this frame: it must not hold what holds the exception, such as a task.
    try:
        return await awaitable
    except (SystemExit, KeyboardInterrupt) as error:
        raise Left(error) from None
    finally:
        del awaitable


def run(awaitable: "Any") -> "Any":
    """Wait for a coroutine on this thread's loop; any other value is returned as it is."""
    if not hasattr(awaitable, "__await__"):
        return awaitable
    try:
        return _complete(_wait(awaitable))
    finally:
        del awaitable


def _given_up(state: _State, task: "Any") -> bool:
    """The escalation has cancelled this task."""
    return state.cancelled is task


def _complete(coroutine: "Any", context: "Context | None" = None) -> "Any":
    state = _state()
    loop = _loop(state)
    if context is None:
        task = state.task = loop.create_task(coroutine)
    else:
        # Python 3.10 has no contexts.
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


def _turn(loop: "asyncio.AbstractEventLoop", task: "Any") -> None:
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


#: The code that runs loops; what they run has it for its outer frame.
RUNNERS = {_turn.__code__}


def _stop(task: "asyncio.Task[Any]") -> None:
    task.get_loop().stop()


def _settle(loop: "asyncio.AbstractEventLoop", task: "asyncio.Task[Any]") -> None:
    """Wait for a cancelled task; returns early when the wait itself is interrupted."""
    try:
        _turn(loop, task)
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


def _context() -> "Context | None":
    """A context for all items of a stream; its variables would be lost from one to the next."""
    if sys.version_info < (3, 11):
        return None
    from contextvars import copy_context

    return copy_context()


def aclose(generator: "Any") -> None:
    """Close an async generator, so that its `finally` blocks run."""
    state = _state()
    context = state.context if state.generator is generator else None
    state.generator = state.context = None
    close = getattr(generator, "aclose", None)
    if close is not None:
        _complete(_wait(close()), context)


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
