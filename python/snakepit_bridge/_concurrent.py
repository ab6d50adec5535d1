"""The event loop of a worker that runs many calls at once, and the coroutines of their tasks.

The native server reads frames and starts the calls; each is a task of the loop.
"""

import asyncio
import functools
import sys

from . import _aio, _task_stacks
from .adapter import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def serve(server: "Any") -> None:
    """Run this thread's loop until the server says that it is over."""
    loop = _aio.loop()
    descriptors = server.descriptors()
    server.attach(loop, sys.modules[__name__])
    _task_stacks.serves(server)
    _watch_programs(server)
    former = loop.get_exception_handler()

    def failed(loop: asyncio.AbstractEventLoop, context: "dict[str, Any]") -> None:
        # The loop has skipped some callback, and with it the turn of some call.
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
        # A tool may stop the loop; its worker goes on.
        while not server.is_over():
            loop.run_forever()
    finally:
        for descriptor in descriptors:
            loop.remove_reader(descriptor)


_aio.RUNNERS.add(serve.__code__)


def _watch_programs(server: "Any") -> None:
    """Tell the server of programs when they are started, in the context that starts them.

    No child can tell later which of the calls on the loop has started it.
    """
    import os
    import subprocess

    original: Any = subprocess.Popen.__init__

    @functools.wraps(original)
    def __init__(self: "Any", *args: "Any", **kwargs: "Any") -> None:
        original(self, *args, **kwargs)
        server.program(self.pid)

    subprocess.Popen.__init__ = __init__

    def telling(spawn: "Any") -> "Any":
        @functools.wraps(spawn)
        def spawned(*args: "Any", **kwargs: "Any") -> int:
            pid = spawn(*args, **kwargs)
            server.program(pid)
            return pid

        return spawned

    os.posix_spawn = telling(os.posix_spawn)
    os.posix_spawnp = telling(os.posix_spawnp)
    # uvloop starts programs by itself, and says so as `os.fork` does.
    os.register_at_fork(after_in_parent=server.forked)


def raised_by_signal(error: BaseException) -> bool:
    """Whether a signal's handler has raised the exception, or a cause of it.

    The handler runs in the midst of whatever code the loop runs just then.
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
        # A partial, a bound method, or an object that can be called.
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
        if isinstance(step, _aio.Left):
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


def _is_raise(trace: "Any") -> bool:
    """Whether the instruction is a `raise`; `default_int_handler` has no frame."""
    from opcode import opmap

    if trace is None:
        return False
    return trace.tb_frame.f_code.co_code[trace.tb_lasti] == opmap["RAISE_VARARGS"]


def current_task() -> "asyncio.Task[Any] | None":
    """The task whose code runs now; for a signal handler."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def shown(error: BaseException, given_up: bool) -> BaseException:
    """The exception of a task as its caller sees it; `given_up` when the call was cancelled."""
    if isinstance(error, _aio.Left):
        error = error.take()
    if given_up and isinstance(error, asyncio.CancelledError):
        cancelled = Cancelled("the call was cancelled")
        cancelled.__cause__ = error
        return cancelled
    return error


# The traceback of an exception holds the frames of these coroutines, so they let go of whatever may
# hold the exception: without that the tool's frames, with all they refer to, would stay until
# the cyclic collector runs.


async def _value(made: "Any", work: "Any" = None) -> "Any":
    try:
        if work is not None and not work.begin():
            _discard(made)
            return None
        # What wraps a coroutine function may return anything.
        return await made if hasattr(made, "__await__") else made
    except (SystemExit, KeyboardInterrupt) as error:
        raise _aio.Left(error) from None
    finally:
        del made, work


#: One call.
call = _value


def _discard(made: "Any") -> None:
    """Drop a coroutine that was never begun: the host has taken its call back."""
    close = getattr(made, "close", None)
    if close is not None:
        close()


async def many(work: "Any") -> None:
    """The items of a batch, one after the other; each has its own outcome."""
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


async def stream(made: "Any", work: "Any") -> None:
    """The items of a streaming tool; one that is not taken by its consumer waits."""
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
                # It never waits by itself.
                await asyncio.sleep(0)
    except (SystemExit, KeyboardInterrupt) as error:
        raise _aio.Left(error) from None
    finally:
        del coroutine, work, items, iterator, item, close


async def _sent(answer: "Any") -> bool:
    """Whether the stream goes on, once there is room for more."""
    if isinstance(answer, bool):
        return answer
    await answer
    return True
