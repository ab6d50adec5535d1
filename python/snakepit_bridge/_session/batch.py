"""Batches of variables that are collected and set with one request."""

from __future__ import annotations

from .._host.steps import wait, wait_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from .._host.errors import HostError
    from .._native import Context as Native
    from .variables import Variables


class Batch:
    """A batch: `with ctx.batch() as batch: batch["a"] = 1` sends one request at the end.

    If the block raises, nothing is sent. Also an async context manager.
    """

    __slots__ = ("_atomic", "_expected", "_native", "_values", "_variables", "results")

    def __init__(self, native: Native, variables: Variables, atomic: bool) -> None:
        """Create an empty batch."""
        self._native = native
        self._variables = variables
        self._atomic = atomic
        self._values: dict[str, Any] = {}
        self._expected: dict[str, int | None] = {}
        #: After the block: the new version of each variable, or its error if not atomic.
        self.results: dict[str, int | HostError] = {}

    def __setitem__(self, name: str, value: Any) -> None:
        """Set a variable when the block ends."""
        self.set(name, value)

    def set(self, name: str, value: Any, expected_version: int | None = None) -> None:
        """Set a variable when the block ends, if it still has this version then."""
        self._values[name] = value
        self._expected[name] = expected_version

    def __len__(self) -> int:
        """Return the number of variables that will be set."""
        return len(self._values)

    def __enter__(self) -> Batch:
        """Begin the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Send the batch; raises `HostError` if an atomic batch is rejected."""
        if kind is None and self._values:
            steps = self._variables.set_many(self._values, self._atomic, self._expected)
            self.results = wait(self._native, steps)

    async def __aenter__(self) -> Batch:
        """Begin the block."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Send the batch as `__exit__` does, awaiting the host."""
        if kind is None and self._values:
            steps = self._variables.set_many(self._values, self._atomic, self._expected)
            self.results = await wait_async(self._native, steps)
