"""The backend for a stream that a program reads; the original's servers use it."""

from __future__ import annotations

from .base import TelemetryBackend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ..stream import TelemetryStream


class GrpcBackend(TelemetryBackend):
    """Passes events to a `TelemetryStream`. Workers of snakepit need none: they have a link."""

    def __init__(self, stream: TelemetryStream) -> None:
        """Keep the stream."""
        self._stream = stream

    @property
    def stream(self) -> TelemetryStream:
        """The stream."""
        return self._stream

    def emit(
        self,
        event_name: str,
        measurements: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        correlation_id: str | None = None,
    ) -> None:
        """Put the event into the stream's buffer."""
        self._stream.emit(event_name, measurements, metadata, correlation_id)

    def close(self) -> None:
        """End the stream."""
        self._stream.close()
