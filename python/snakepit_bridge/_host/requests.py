"""Requests of async tools to the host: the event loop reads the connection itself.

The native side sends and reads; here an outcome becomes the result of a future of its loop.
Descriptors are watched only while a request is awaited.
"""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from ..adapter import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from .._native import Context, Port

    #: The future of a request, the timer of its time-out, and the context of its call.
    _Open: TypeAlias = tuple[asyncio.Future[Any], asyncio.TimerHandle | None, Context]


class _Waiting:
    """The requests of one event loop that have no outcome yet."""

    # It must not hold its loop, which could never be collected then.
    def __init__(self, port: Port) -> None:
        self.port = port
        self.futures: dict[int, _Open] = {}

    def add(
        self,
        loop: asyncio.AbstractEventLoop,
        context: Context,
        number: int,
        left: float | None,
    ) -> asyncio.Future[Any]:
        if not self.futures:
            socket, wake = self.port.descriptors()
            # A loop that serves the connection reads it anyway.
            if socket is not None:
                loop.add_reader(socket, self.pump)
            loop.add_reader(wake, self.take)
        future: asyncio.Future[Any] = loop.create_future()
        timer = None if left is None else loop.call_later(left, self.late, context, number)
        self.futures[number] = future, timer, context
        future.add_done_callback(lambda done: self.done(done, context, number))
        return future

    def pump(self) -> None:
        self.complete(self.port.pump())

    def take(self) -> None:
        self.complete(self.port.take())

    def complete(self, outcomes: list[tuple[int, Any, BaseException | None]]) -> None:
        for number, value, error in outcomes:
            context = self.futures[number][2] if number in self.futures else None
            if context is not None and isinstance(error, Cancelled):
                # The host continues with the request unless it is cancelled.
                context._give_up(number)
            future = self.remove(number)
            if future is None or future.done():
                continue
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

    def late(self, context: Context, number: int) -> None:
        future = self.remove(number)
        if future is not None and not future.done():
            future.set_exception(context._give_up(number))

    def done(self, future: asyncio.Future[Any], context: Context, number: int) -> None:
        if future.cancelled() and self.remove(number) is not None:
            context._give_up(number)

    def remove(self, number: int) -> asyncio.Future[Any] | None:
        future, timer, _ = self.futures.pop(number, (None, None, None))
        if timer is not None:
            timer.cancel()
        if future is not None and not self.futures:
            for descriptor in self.port.descriptors():
                if descriptor is not None:
                    future.get_loop().remove_reader(descriptor)
        return future


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Waiting] = WeakKeyDictionary()


def request(
    context: Context, op: int, name: str, body: Any, timeout: float | None
) -> asyncio.Future[Any]:
    """Send a request of the running loop; return a future for its outcome."""
    loop = asyncio.get_running_loop()
    waiting = _loops.get(loop)
    if waiting is None:
        waiting = _loops[loop] = _Waiting(context._port())
    number, left = context._begin(op, name, body, timeout, waiting.port)
    return waiting.add(loop, context, number, left)
