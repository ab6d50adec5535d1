"""Watches: following the changes of variables."""

from __future__ import annotations

from time import monotonic

from .._host import ops
from .._host.errors import CallOverError
from .._host.steps import wait, wait_async
from ..adapter import Cancelled
from .variable import Change

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from typing import Any

    from .._host.steps import Steps
    from .._native import Context as Native
    from .cache import Cache

#: Longest wait of one request at the host in seconds, and so the delay of `stop`.
POLL = 0.5
#: Most changes in one reply.
MAX_CHANGES = 256


class Watch:
    """Changes in order, from the moment at which the watch was created.

    An iterator, also an async one, of one consumer. It ends after `stop`, and at the end of the
    call. A `Change` of kind `"lagged"` stands for changes that were lost because this side was
    slow.
    """

    __slots__ = ("_after", "_cache", "_names", "_native", "_ready", "_stopped")

    def __init__(self, native: Native, cache: Cache, names: Iterable[str] | None) -> None:
        """Create a watch; run `begin` before the first change matters."""
        self._native = native
        self._cache = cache
        self._names = None if names is None else list(names)
        self._after: int | None = None
        self._ready: list[Change] = []
        self._stopped = False

    def begin(self, after: int | None = None) -> Steps[Watch]:
        """Set where the watch starts: after the change number `after`, or now."""
        self._after = after
        if after is None:
            yield from self._ask(0.0)
        return self

    def stop(self) -> None:
        """End the iteration, also in another thread that waits in it, within `POLL` seconds."""
        self._stopped = True

    @property
    def position(self) -> int:
        """Number of the last change that the host has examined for this watch."""
        return self._after or 0

    def poll(self, timeout: float = 0.0) -> list[Change]:
        """Return changes since the last one seen, waiting up to `timeout` seconds for one."""
        return wait(self._native, self._poll(timeout))

    async def poll_async(self, timeout: float = 0.0) -> list[Change]:
        """Return changes as `poll` does, without blocking the event loop."""
        return await wait_async(self._native, self._poll(timeout))

    def __iter__(self) -> Iterator[Change]:
        """Return the watch itself."""
        return self

    def __next__(self) -> Change:
        """Wait for the next change."""
        try:
            change = wait(self._native, self._next())
        except CallOverError:
            change = None
        except Cancelled:
            # The tool must see it, unless the watch was stopped.
            if not self._stopped:
                raise
            change = None
        if change is None:
            raise StopIteration
        return change

    def __aiter__(self) -> AsyncIterator[Change]:
        """Return the watch itself."""
        return self

    async def __anext__(self) -> Change:
        """Await the next change."""
        try:
            change = await wait_async(self._native, self._next())
        except CallOverError:
            change = None
        except Cancelled:
            # The tool must see it, unless the watch was stopped.
            if not self._stopped:
                raise
            change = None
        if change is None:
            raise StopAsyncIteration
        return change

    def __enter__(self) -> Watch:
        """Begin a block that stops the watch at its end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the watch."""
        self.stop()

    def _next(self) -> Steps[Change | None]:
        while not self._ready:
            if self._stopped:
                return None
            self._ready = yield from self._ask(POLL)
            self._ready.reverse()
        return None if self._stopped else self._ready.pop()

    def _poll(self, timeout: float) -> Steps[list[Change]]:
        found = self._ready[::-1]
        self._ready = []
        end = monotonic() + timeout
        while not found and not self._stopped:
            left = max(0.0, end - monotonic())
            found = yield from self._ask(min(left, POLL))
            if left == 0.0:
                break
        return found

    def _ask(self, seconds: float) -> Steps[list[Change]]:
        body: dict[str, Any] = {
            "after": self._after,
            "names": self._names,
            "max": MAX_CHANGES,
            "wait_us": int(seconds * 1e6),
        }
        reply = yield (ops.CHANGES, "", body, None)
        changes: list[Change] = []
        if reply.get("lagged"):
            # The lost changes may concern any variable.
            self._cache.drop()
            changes.append(Change(self.position, "", "lagged"))
        for item in reply["changes"]:
            change = Change.of(item)
            self._cache.changed(change.name, change.version)
            changes.append(change)
        self._after = int(reply["next"])
        return changes
