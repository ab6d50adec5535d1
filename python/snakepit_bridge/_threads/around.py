"""A context manager around each call of a function of any kind."""

from __future__ import annotations

from functools import wraps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Code flags, as `inspect` names them.
_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200


def around(function: Any, context: Callable[[tuple[Any, ...]], Any]) -> Any:
    """Return the function with `context(its positional arguments)` held while it runs.

    Streams and coroutines hold it from their first step to their end.
    """
    flags = int(getattr(getattr(function, "__code__", None), "co_flags", 0))
    if flags & _ASYNC_GENERATOR:

        async def items(*args: Any, **kwargs: Any) -> Any:
            with context(args):
                source = function(*args, **kwargs)
                try:
                    async for item in source:
                        yield item
                finally:
                    await source.aclose()

        return wraps(function)(items)

    if flags & _COROUTINE:

        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            with context(args):
                return await function(*args, **kwargs)

        return wraps(function)(coroutine)

    if flags & _GENERATOR:

        def generator(*args: Any, **kwargs: Any) -> Any:
            with context(args):
                return (yield from function(*args, **kwargs))

        return wraps(function)(generator)

    def call(*args: Any, **kwargs: Any) -> Any:
        with context(args):
            return function(*args, **kwargs)

    return wraps(function)(call)


class Nothing:
    """A context that does nothing."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, *_: object) -> None:
        """Do nothing."""


NOTHING = Nothing()
