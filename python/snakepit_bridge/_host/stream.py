"""The items of a streaming host tool."""

from __future__ import annotations

from . import ops
from .steps import wait, wait_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import Any

    from .._native import Context as Native
    from .steps import Steps

#: Most items in one reply; the host sends the items that it has.
MAX_ITEMS = 64


class HostStream:
    """An iterator, also an async one, of one consumer; a context manager that closes it.

    An error of the tool is raised after the items before it. The host closes open streams at the
    end of the call.
    """

    __slots__ = ("_arguments", "_done", "_items", "_name", "_native", "_stream", "_timeout")

    def __init__(
        self, native: Native, name: str, arguments: object, timeout: float | None = None
    ) -> None:
        """Keep the arguments; `open`, or the first item, starts the stream."""
        self._native = native
        self._name = name
        self._arguments = arguments
        self._timeout = timeout
        self._stream: int | None = None
        self._items: list[Any] = []
        self._done = False

    def open(self) -> Steps[HostStream]:
        """Start the tool; raises `HostError` if the arguments are rejected."""
        reply = yield (ops.TOOL_OPEN, self._name, self._arguments, self._timeout)
        self._stream = int(reply["stream"])
        self._arguments = None
        return self

    def __iter__(self) -> Iterator[Any]:
        """Return the stream itself."""
        return self

    def __next__(self) -> Any:
        """Wait for the next item; raises `HostError` if the tool has failed."""
        if not self._items and not wait(self._native, self._fill()):
            raise StopIteration
        return self._items.pop()

    def __aiter__(self) -> AsyncIterator[Any]:
        """Return the stream itself."""
        return self

    async def __anext__(self) -> Any:
        """Await the next item; raises `HostError` if the tool has failed."""
        if not self._items and not await wait_async(self._native, self._fill()):
            raise StopAsyncIteration
        return self._items.pop()

    def close(self) -> None:
        """Stop the tool if it runs; drops the items that have arrived already."""
        wait(self._native, self._close())

    async def aclose(self) -> None:
        """Close the stream without blocking the event loop."""
        await wait_async(self._native, self._close())

    def __enter__(self) -> HostStream:
        """Begin a block that closes the stream at its end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the stream."""
        self.close()

    async def __aenter__(self) -> HostStream:
        """Begin a block that closes the stream at its end."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the stream."""
        await self.aclose()

    def __repr__(self) -> str:
        """Show name and state."""
        return f"<HostStream of {self._name}{' (at its end)' if self._done else ''}>"

    def _fill(self) -> Steps[bool]:
        """Fetch items, kept in reverse; return `False` at the end."""
        while not self._items and not self._done:
            try:
                if self._stream is None:
                    yield from self.open()
                body = {"stream": self._stream, "max": MAX_ITEMS}
                reply = yield (ops.TOOL_NEXT, self._name, body, self._timeout)
            except Exception:
                self._done = True
                raise
            self._items = list(reply["items"])[::-1]
            self._done = bool(reply["done"])
        return bool(self._items)

    def _close(self) -> Steps[None]:
        self._items = []
        if not self._done:
            self._done = True
            if self._stream is not None:
                yield (ops.TOOL_CLOSE, self._name, {"stream": self._stream}, None)
