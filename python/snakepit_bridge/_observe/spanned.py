"""Spans around the calls of a function of any kind."""

from __future__ import annotations

from functools import wraps

from . import span as _span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Span = _span.Span

# Code flags of `inspect`.
_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200


def spanned(function: Any, make: Callable[[], Span]) -> Any:
    """Return the function with a new span around each of its calls.

    The span of a generator lasts from its first item to its end, and is current only while the
    generator itself runs: what its consumer does between two items is not part of it.
    """
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(spanned(function.__func__, make))
    flags = int(getattr(getattr(function, "__code__", None), "co_flags", 0))
    if flags & _ASYNC_GENERATOR:
        return _async_generator(function, make)
    if flags & _COROUTINE:

        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            with make():
                return await function(*args, **kwargs)

        return wraps(function)(coroutine)
    if flags & _GENERATOR:
        return _generator(function, make)

    def call(*args: Any, **kwargs: Any) -> Any:
        with make():
            return function(*args, **kwargs)

    return wraps(function)(call)


class _Inside:
    """The current span inside a generator, while the generator runs."""

    __slots__ = ("_former", "_span")

    def __init__(self, span: Span) -> None:
        self._span: Span | None = span
        self._former: Span | None = None

    def __enter__(self) -> None:
        self._former = _span.swap(self._span)

    def __exit__(self, *_: object) -> None:
        self._span = _span.swap(self._former)
        self._former = None


def _generator(function: Any, make: Callable[[], Span]) -> Any:
    def generator(*args: Any, **kwargs: Any) -> Any:
        span = make().begin()
        inside = _Inside(span)
        failed: BaseException | None = None
        try:
            source = function(*args, **kwargs)
            step, given = source.send, None
            while True:
                try:
                    with inside:
                        item = step(given)
                except StopIteration as stop:
                    return stop.value
                try:
                    given, step = (yield item), source.send
                except GeneratorExit:
                    with inside:
                        source.close()
                    raise
                except BaseException as error:
                    given, step = error, source.throw
        except GeneratorExit:
            raise
        except BaseException as error:
            failed = error
            raise
        finally:
            span.end(failed)
            # The traceback of the error holds this frame.
            del failed

    return wraps(function)(generator)


def _async_generator(function: Any, make: Callable[[], Span]) -> Any:
    async def generator(*args: Any, **kwargs: Any) -> Any:
        span = make().begin()
        inside = _Inside(span)
        failed: BaseException | None = None
        try:
            source = function(*args, **kwargs)
            step, given = source.asend, None
            while True:
                try:
                    with inside:
                        item = await step(given)
                except StopAsyncIteration:
                    return
                try:
                    given, step = (yield item), source.asend
                except GeneratorExit:
                    with inside:
                        await source.aclose()
                    raise
                except BaseException as error:
                    given, step = error, source.athrow
        except GeneratorExit:
            raise
        except BaseException as error:
            failed = error
            raise
        finally:
            span.end(failed)
            del failed

    return wraps(function)(generator)
