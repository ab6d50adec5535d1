"""A single description of an exchange with the host, for blocking and for async tools.

An exchange is a generator: it yields requests, receives the replies and returns its result. So each
operation is written once; `wait` and `wait_async` differ only in how a request is sent.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any, TypeAlias, TypeVar

    from .._native import Context as Native

    T = TypeVar("T")
    #: Operation, name, body, seconds to wait at most (`None`: until the deadline of the call).
    Request: TypeAlias = tuple[int, str, object, float | None]
    Steps: TypeAlias = Generator[Request, Any, T]


def wait(native: Native, steps: Steps[T]) -> T:
    """Run an exchange; this thread waits for each reply.

    Raises the exceptions of the exchange: `HostError`, and `Cancelled` if the call is cancelled.
    """
    try:
        request = next(steps)
        while True:
            try:
                reply = native._request(*request)
            except BaseException as error:
                request = steps.throw(error)
            else:
                request = steps.send(reply)
    except StopIteration as stop:
        return stop.value


async def wait_async(native: Native, steps: Steps[T]) -> T:
    """Run an exchange without blocking the event loop; raises as `wait` does.

    Cancelling the task abandons the outstanding request; what the host has done by then stays done.
    """
    try:
        request = next(steps)
    except StopIteration as stop:
        return stop.value
    while True:
        try:
            try:
                reply = await native._request_async(*request)
            except BaseException as error:
                request = steps.throw(error)
            else:
                request = steps.send(reply)
        except StopIteration as stop:
            return stop.value
