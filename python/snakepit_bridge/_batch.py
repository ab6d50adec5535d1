"""Sets that are collected and sent to the host at once."""

from ._steps import wait, wait_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from ._host_error import HostError
    from ._native import Context as Native
    from ._variables import Variables


class Batch:
    """`with ctx.batch() as batch: batch["a"] = 1`: one request at the end of the block.

    Nothing is sent when the block raises. Also an async context manager.
    """

    __slots__ = ("_atomic", "_expected", "_native", "_values", "_variables", "results")

    def __init__(self, native: "Native", variables: "Variables", atomic: bool) -> None:
        """Begin empty."""
        self._native = native
        self._variables = variables
        self._atomic = atomic
        self._values: dict[str, Any] = {}
        self._expected: dict[str, int | None] = {}
        #: After the block: the new version, or if not atomic the error, of each variable.
        self.results: dict[str, int | HostError] = {}

    def __setitem__(self, name: str, value: "Any") -> None:
        """Set a variable when the block ends."""
        self.set(name, value)

    def set(self, name: str, value: "Any", expected_version: "int | None" = None) -> None:
        """Set a variable when the block ends, if it still has this version then."""
        self._values[name] = value
        self._expected[name] = expected_version

    def __len__(self) -> int:
        """How many variables will be set."""
        return len(self._values)

    def __enter__(self) -> "Batch":
        """Nothing to do."""
        return self

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: "BaseException | None",
        trace: "TracebackType | None",
    ) -> None:
        """Send what was collected; raises `HostError` when an atomic batch is refused."""
        if kind is None and self._values:
            steps = self._variables.set_many(self._values, self._atomic, self._expected)
            self.results = wait(self._native, steps)

    async def __aenter__(self) -> "Batch":
        """Nothing to do."""
        return self

    async def __aexit__(
        self,
        kind: "type[BaseException] | None",
        error: "BaseException | None",
        trace: "TracebackType | None",
    ) -> None:
        """As `__exit__`, awaiting the host."""
        if kind is None and self._values:
            steps = self._variables.set_many(self._values, self._atomic, self._expected)
            self.results = await wait_async(self._native, steps)
