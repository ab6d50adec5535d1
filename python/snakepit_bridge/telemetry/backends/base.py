"""The base class of backends."""

from __future__ import annotations

from abc import ABC, abstractmethod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class TelemetryBackend(ABC):
    """The receiver of events, for `set_backend`."""

    @abstractmethod
    def emit(
        self,
        event_name: str,
        measurements: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        correlation_id: str | None = None,
    ) -> None:
        """Handle an event. Called on the thread that emits it: it must not wait."""

    def close(self) -> None:
        """Release the resources of the backend."""
        return None
