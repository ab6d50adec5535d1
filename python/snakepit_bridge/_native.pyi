"""The compiled worker runtime; `python/native` is its source."""

from collections.abc import Callable
from typing import Any

from ._catalog import Catalog

class Context:
    """What a tool may know about the call that it serves."""

    @property
    def call_id(self) -> int:
        """Number of the call, unique within the worker's life."""
    @property
    def session_id(self) -> str | None:
        """The caller's session, if the call belongs to one."""
    @property
    def worker_id(self) -> str:
        """Name of the worker process."""
    @property
    def deadline(self) -> float | None:
        """When the caller stops waiting, in seconds of `time.monotonic()`."""
    @property
    def cancelled(self) -> bool:
        """Whether the caller gave up; may become true at any moment."""
    def remaining(self) -> float | None:
        """Seconds until the deadline, never negative; `None` without a deadline."""
    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` when the caller gave up."""

def run(load: Callable[[str], Catalog], /) -> int:
    """Serve the host named by the environment until it says stop; the exit status."""

def pack(obj: Any, /) -> bytes:
    """Encode a value as MessagePack; raises `TypeError` or `ValueError` naming the part."""

def unpack(data: bytes, /) -> Any:
    """Decode MessagePack; raises `ValueError`."""
