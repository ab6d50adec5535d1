"""The original's stream chunks: objects with `data` and `is_final`, whose data is sent.

A chunk is recognised by its attributes, since adapters import the class from various places or
define it. The mark of the last chunk is not sent: a stream ends when its iterator ends.
"""

from __future__ import annotations

from .._serve import aio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Any


def data(item: Any) -> Any:
    """Return the data of a chunk; other items as they are."""
    kind = type(item)
    if kind is dict or not (hasattr(item, "data") and hasattr(item, "is_final")):
        return item
    return item.data


def unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose stream has the data of the chunks in the stream of `function`."""

    def stream(*args: Any, **kwargs: Any) -> Any:
        return _each(function(*args, **kwargs))

    return stream


def _each(made: Any) -> Any:
    if hasattr(made, "__await__"):
        return _awaited(made)
    if hasattr(made, "__anext__"):
        return _async_items(made)
    return _items(made) if hasattr(made, "__next__") else made


async def _awaited(made: Any) -> Any:
    return _each(await made)


def _items(made: Iterator[Any]) -> Iterator[Any]:
    try:
        for item in made:
            yield data(item)
    finally:
        close = getattr(made, "close", None)
        if close is not None:
            close()


async def _async_items(made: AsyncIterator[Any]) -> AsyncIterator[Any]:
    try:
        async for item in made:
            yield data(item)
    finally:
        close = getattr(made, "aclose", None)
        if close is not None:
            await close()


def items(result: Any) -> Iterator[Any]:
    """Iterate over the data of a streaming result; a result that is no iterator is one chunk."""
    if hasattr(result, "__anext__") or hasattr(result, "__aiter__"):
        source = result.__aiter__()
        try:
            while True:
                try:
                    item = aio.anext(source)
                except StopAsyncIteration:
                    return
                yield data(item)
        finally:
            aio.aclose(source)
    elif hasattr(result, "__next__") or isinstance(result, (list, tuple)):
        for item in result:
            yield data(item)
    else:
        yield data(result)
