"""The event loop of a worker that runs many calls at once, and the coroutines of their tasks.

The native server reads frames and starts the calls; each is a task of the loop.
"""

import asyncio
import sys

from . import _aio
from .adapter import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Left(Exception):
    """Carries an exception that would end the loop, and is the affair of one call."""


def serve(server: "Any") -> None:
    """Run this thread's loop until the server says that it is over."""
    loop = _aio.loop()
    descriptors = server.descriptors()
    server.attach(loop, sys.modules[__name__])
    for descriptor, ready in zip(descriptors, (server.readable, server.heard), strict=True):
        loop.add_reader(descriptor, ready)
    try:
        # A tool may stop the loop; its worker goes on.
        while not server.is_over():
            loop.run_forever()
    finally:
        for descriptor in descriptors:
            loop.remove_reader(descriptor)
        loop.remove_writer(descriptors[0])


def current_task() -> "asyncio.Task[Any] | None":
    """The task whose code runs now; for a signal handler."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def shown(error: BaseException, given_up: bool) -> BaseException:
    """The exception of a task as its caller sees it; `given_up` when the call was cancelled."""
    if isinstance(error, Left):
        error = error.args[0]
    if given_up and isinstance(error, asyncio.CancelledError):
        cancelled = Cancelled("the call was cancelled")
        cancelled.__cause__ = error
        return cancelled
    return error


async def _value(made: "Any") -> "Any":
    try:
        # What wraps a coroutine function may return anything.
        return await made if hasattr(made, "__await__") else made
    except (SystemExit, KeyboardInterrupt) as error:
        raise Left(error) from None


#: One call.
call = _value


async def many(work: "Any") -> None:
    """The items of a batch, one after the other; each has its own outcome."""
    while (made := work.next()) is not None:
        try:
            result = await _value(made)
        except BaseException as error:
            work.fail(error)
        else:
            work.put(result)


async def stream(made: "Any", work: "Any") -> None:
    """The items of a streaming tool; one that is not taken by its consumer waits."""
    try:
        items = await _value(made)
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
        raise Left(error) from None


async def _sent(answer: "Any") -> bool:
    """Whether the stream goes on, once there is room for more."""
    if isinstance(answer, bool):
        return answer
    await answer
    return True
