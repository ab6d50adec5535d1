"""The backend of workers: events are sent to the host beside the calls."""

from __future__ import annotations

from time import time_ns

from ..._observe import correlation as _correlation, fields as _fields, sink as _sink, span as _span
from .base import TelemetryBackend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class LinkBackend(TelemetryBackend):
    """Sends the events that the host's settings allow: on or off, sampling rate, names."""

    def emit(
        self,
        event_name: str,
        measurements: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        correlation_id: str | None = None,
    ) -> None:
        """Queue the event; drop and count it if the queue is full."""
        settings = _sink.settings()
        if not settings.enabled:
            return
        name = _fields.name(event_name, "event")
        if settings.allow or settings.deny:
            own = name.removeprefix("snakepit.")
            known = own.startswith(("python.", "tool."))
            if not settings.allows(own, own if known else f"tool.{own}"):
                return
        if not _span.lucky(settings.sampling):
            return
        numbers: dict[str, Any] = {}
        texts: dict[str, str] = {}
        for key, value in list(measurements.items())[: _fields.MAX_ATTRIBUTES]:
            shown = _fields.name(key, "measurement")
            number = _fields.number(value)
            if number is not None:
                numbers[shown] = number
            else:
                texts[shown] = _fields.text(value)
        correlation = correlation_id or _correlation.correlation_id()
        if correlation is not None:
            texts["correlation_id"] = _fields.text(correlation, 256)
        room = _fields.MAX_ATTRIBUTES - len(texts)
        for key, value in _fields.attributes(metadata, room).items():
            texts[key] = value if type(value) is str else str(value)
        outer, trace, call, _ = _span.here()
        _sink.put(
            _sink.EVENT,
            {
                "name": name,
                "at_ns": time_ns(),
                "measurements": numbers,
                "metadata": texts,
                "call": call,
                "trace": trace if outer is None else outer.context,
            },
        )
