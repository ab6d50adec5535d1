"""Types of the native objects that serve calls on an event loop; only type checkers import them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Iterator
    from types import ModuleType


class Server(Protocol):
    """The server that reads frames and starts calls as tasks of the loop."""

    def descriptors(self) -> tuple[int, int]:
        """Return what to watch: call `readable` for the first, `heard` for the second."""
        ...

    def attach(self, loop: asyncio.AbstractEventLoop, coroutines: ModuleType, /) -> None:
        """Set the loop that is about to run, and the module with the coroutines."""
        ...

    def readable(self) -> None:
        """Handle frames, or the end of the connection."""
        ...

    def heard(self) -> None:
        """Handle the wake-up."""
        ...

    def program(self, pid: int, /) -> None:
        """Record that the running code has started a program."""
        ...

    def forked(self) -> None:
        """Record that the running code has forked: the copy may become a program."""
        ...

    def fail_with(self, error: BaseException, /) -> None:
        """End the worker with an exception of a signal handler that the loop has swallowed."""
        ...

    def is_over(self) -> bool:
        """Return whether the loop is to end."""
        ...

    def tasks(self, most: int, /) -> list[tuple[int, asyncio.Task[Any]]]:
        """Return at most `most` running calls, the oldest first, each with its task."""
        ...


class Work(Protocol):
    """The work of one task: a call, a stream, or the items of a batch."""

    def begin(self) -> bool:
        """Begin the task; return `False` if the host has taken the call back."""
        ...

    def next(self) -> Any:
        """Return what the tool returned for the next item of a batch; `None` at the end."""
        ...

    def put(self, result: object, /) -> None:
        """Send the result of the current item."""
        ...

    def fail(self, error: BaseException, /) -> None:
        """Send the exception of the current item."""
        ...

    def iterate(self, made: object, /) -> Iterator[Any] | None:
        """Return the iterator of a stream; `None` if the result cannot be iterated."""
        ...

    def chunk(self, item: object, /) -> bool | Awaitable[object]:
        """Send one chunk; return whether to continue, or an awaitable to wait for first."""
        ...
