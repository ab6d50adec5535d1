"""Contexts that belong to no call, for tests of adapters."""

from __future__ import annotations

from .._host.errors import CallOverError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn


class Detached:
    """The native context of a `SessionContext` that was made by hand."""

    call_id = 0
    worker_id = ""
    deadline = None
    cancelled = False

    def __init__(self, session_id: str, metadata: Mapping[str, str] | None) -> None:
        """Keep what the context shows."""
        self.session_id = session_id
        self.metadata = dict(metadata or {})

    def remaining(self) -> None:
        """Return `None`: there is no deadline."""

    def raise_if_cancelled(self) -> None:
        """Do nothing."""

    def _packed(self, value: Any, depth: int) -> Any:
        return value

    def _request(self, op: int, name: str, body: Any, timeout: float | None) -> NoReturn:
        raise CallOverError(
            "this context was made by hand and has no host",
            "SP8009",
            "give the tool a context with the methods that it uses, or call it in a worker",
        )

    async def _request_async(
        self, op: int, name: str, body: Any, timeout: float | None
    ) -> NoReturn:
        self._request(op, name, body, timeout)
