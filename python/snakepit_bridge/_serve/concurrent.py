"""The event loop of a worker that runs many calls at once, and the coroutines of their tasks.

The native server reads frames and starts the calls; each is a task of the loop.
"""

from __future__ import annotations

import asyncio
import functools
import sys

from ..adapter import Cancelled
from . import aio, task_stacks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType
    from typing import Any

    from .loop_types import Server, Work


def serve(server: Server) -> None:
    """Run this thread's loop until the server ends."""
    loop = aio.loop()
    descriptors = server.descriptors()
    server.attach(loop, sys.modules[__name__])
    task_stacks.serves(server)
    _watch_programs(server)
    former = loop.get_exception_handler()

    def failed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # The loop has skipped a callback, and with it a step of some call.
        error = context.get("exception")
        if error is not None and raised_by_signal(error):
            server.fail_with(error)
        elif former is not None:
            former(loop, context)
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(failed)
    for descriptor, ready in zip(descriptors, (server.readable, server.heard), strict=True):
        loop.add_reader(descriptor, ready)
    try:
        # A tool may stop the loop; the worker continues.
        while not server.is_over():
            loop.run_forever()
    finally:
        for descriptor in descriptors:
            loop.remove_reader(descriptor)


aio.RUNNERS.add(serve.__code__)


def _watch_programs(server: Server) -> None:
    """Report programs to the server when they are started, in the context that starts them.

    Later, nothing tells which of the calls on the loop has started a child.
    """
    import os
    import subprocess

    original: Any = subprocess.Popen.__init__

    @functools.wraps(original)
    def __init__(self: subprocess.Popen[Any], *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        server.program(self.pid)

    subprocess.Popen.__init__ = __init__

    def telling(spawn: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(spawn)
        def spawned(*args: Any, **kwargs: Any) -> int:
            pid = spawn(*args, **kwargs)
            server.program(pid)
            return pid

        return spawned

    os.posix_spawn = telling(os.posix_spawn)
    os.posix_spawnp = telling(os.posix_spawnp)
    # uvloop starts programs by itself, and reports them as `os.fork` does.
    os.register_at_fork(after_in_parent=server.forked)


def raised_by_signal(error: BaseException) -> bool:
    """Return whether a signal's handler has raised the exception, or a cause of it.

    The handler runs in the middle of any code that the loop runs at that moment.
    """
    import signal

    codes: set[Any] = set()
    interrupts = False
    for number in range(1, signal.NSIG):
        try:
            handler: Any = signal.getsignal(number)
        except ValueError:
            continue
        interrupts |= handler is signal.default_int_handler
        # The handler may be a partial, a bound method, or a callable object.
        handler = getattr(handler, "func", handler)
        handler = getattr(handler, "__func__", handler)
        if not hasattr(handler, "__code__"):
            handler = vars(type(handler)).get("__call__")
        codes.add(getattr(handler, "__code__", None))
    codes.discard(None)
    seen: set[int] = set()
    step: BaseException | None = error
    while step is not None and id(step) not in seen:
        seen.add(id(step))
        if isinstance(step, aio.Left):
            step = step.args[0] if step.args else None
            continue
        trace, last = step.__traceback__, None
        while trace is not None:
            if trace.tb_frame.f_code in codes:
                return True
            trace, last = trace.tb_next, trace
        if interrupts and isinstance(step, KeyboardInterrupt) and not _is_raise(last):
            return True
        step = step.__cause__ or step.__context__
    return False


def _is_raise(trace: TracebackType | None) -> bool:
    """Return whether the instruction is a `raise`; `default_int_handler` has no frame."""
    from opcode import opmap

    if trace is None:
        return False
    return trace.tb_frame.f_code.co_code[trace.tb_lasti] == opmap["RAISE_VARARGS"]


def current_task() -> asyncio.Task[Any] | None:
    """Return the task whose code runs now; for a signal handler."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def shown(error: BaseException, given_up: bool) -> BaseException:
    """Return a task's exception as its caller sees it; `given_up` if the call was cancelled."""
    if isinstance(error, aio.Left):
        error = error.take()
    if given_up and isinstance(error, asyncio.CancelledError):
        cancelled = Cancelled("the call was cancelled")
        cancelled.__cause__ = error
        return cancelled
    return error


# The traceback of an exception holds the frames of these coroutines. So they drop every reference
# to objects that may hold the exception: otherwise the tool's frames, with all that they refer to,
# would stay until the cyclic collector runs.


async def _value(made: Any, work: Work | None = None) -> Any:
    try:
        if work is not None and not work.begin():
            _discard(made)
            return None
        # The wrapper of a coroutine function may return anything.
        return await made if hasattr(made, "__await__") else made
    except (SystemExit, KeyboardInterrupt) as error:
        raise aio.Left(error) from None
    finally:
        del made, work


#: The coroutine of one call.
call = _value


def _discard(made: object) -> None:
    """Close a coroutine that never began, because the host has taken its call back."""
    close = getattr(made, "close", None)
    if close is not None:
        close()


async def many(work: Work) -> None:
    """Run the items of a batch one after the other; each has its own outcome."""
    while (made := work.next()) is not None:
        try:
            coroutine, made = _value(made), None
            result = await coroutine
        except BaseException as error:
            work.fail(error)
        else:
            work.put(result)
            del result
        finally:
            coroutine = None


async def stream(made: Any, work: Work) -> None:
    """Send the items of a streaming tool; waits while the consumer does not take them."""
    if not work.begin():
        _discard(made)
        return
    coroutine, made = _value(made), None
    items = iterator = item = close = None
    try:
        items = await coroutine
        if hasattr(items, "__anext__"):
            try:
                async for item in items:
                    if not await _sent(work.chunk(item)):
                        return
            finally:
                close = getattr(items, "aclose", None)
                if close is not None:
                    await close()
        elif (iterator := work.iterate(items)) is not None:
            for item in iterator:
                if not await _sent(work.chunk(item)):
                    return
                # The iterator never waits by itself, so other tasks get a turn here.
                await asyncio.sleep(0)
    except (SystemExit, KeyboardInterrupt) as error:
        raise aio.Left(error) from None
    finally:
        del coroutine, work, items, iterator, item, close


async def _sent(answer: bool | Awaitable[object]) -> bool:
    """Wait for room if necessary; return whether the stream continues."""
    if isinstance(answer, bool):
        return answer
    await answer
    return True
