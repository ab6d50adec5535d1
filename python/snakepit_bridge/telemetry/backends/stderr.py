"""The backend that writes lines of JSON, for programs that read standard error."""

from __future__ import annotations

import json
import sys
from time import time_ns

from .base import TelemetryBackend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class StderrBackend(TelemetryBackend):
    """Writes `TELEMETRY:{json}`, a line for each event."""

    def emit(
        self,
        event_name: str,
        measurements: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        correlation_id: str | None = None,
    ) -> None:
        """Write the event; values that JSON lacks become texts."""
        event = {
            "event": event_name,
            "measurements": dict(measurements),
            "metadata": dict(metadata or {}),
            "timestamp_ns": time_ns(),
            "correlation_id": correlation_id or "",
        }
        try:
            line = f"TELEMETRY:{json.dumps(event, default=str)}\n"
        except (TypeError, ValueError) as error:
            line = f"TELEMETRY_ERROR: {error}\n"
        try:
            sys.stderr.write(line)
            sys.stderr.flush()
        except (OSError, ValueError):
            # Standard error is closed.
            return
