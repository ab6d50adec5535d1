"""A bounded buffer of events with one reader, as in the original's servers."""

from __future__ import annotations

import asyncio
from collections import deque
from threading import Lock
from time import time_ns

from .._observe import fields as _fields, sink as _sink, span as _span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Mapping
    from typing import Any


class TelemetryEvent:
    """An event in a `TelemetryStream`."""

    __slots__ = ("correlation_id", "event_parts", "measurements", "metadata", "timestamp_ns")

    def __init__(
        self,
        name: str,
        measurements: Mapping[str, Any],
        metadata: Mapping[str, Any] | None,
        correlation_id: str | None,
    ) -> None:
        """Keep a dotted name, numbers or texts, and metadata, which becomes texts."""
        self.event_parts = name.split(".")
        self.measurements: dict[str, int | float | str] = {}
        for key, value in measurements.items():
            number = _fields.number(value)
            self.measurements[key] = str(value) if number is None else number
        self.metadata = {key: _fields.text(value) for key, value in (metadata or {}).items()}
        self.timestamp_ns = time_ns()
        self.correlation_id = correlation_id or ""

    def __repr__(self) -> str:
        """Show name and measurements."""
        return f"<TelemetryEvent {'.'.join(self.event_parts)} {self.measurements}>"


class TelemetryStream:
    """Keeps up to `max_buffer` events until `stream` is read; counts those that do not fit.

    `emit` may be called from any thread.
    """

    def __init__(self, max_buffer: int = 1024) -> None:
        """Create an empty buffer."""
        self.enabled = True
        self.sampling_rate = 1.0
        self._allow: tuple[str, ...] = ()
        self._deny: tuple[str, ...] = ()
        self._limit = max_buffer
        self._lock = Lock()
        self._events: deque[TelemetryEvent] = deque()
        self._dropped = 0
        self._closed = False
        self._reader: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    @property
    def dropped_count(self) -> int:
        """Number of events that did not fit."""
        return self._dropped

    def emit(
        self,
        event_name: str,
        measurements: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        correlation_id: str | None = None,
    ) -> None:
        """Keep an event for the reader, unless switches or filters exclude it."""
        if not self.enabled or not _span.lucky(self.sampling_rate) or not self._allows(event_name):
            return
        event = TelemetryEvent(event_name, measurements, metadata, correlation_id)
        with self._lock:
            if len(self._events) >= self._limit:
                self._dropped += 1
                return
            self._events.append(event)
        self._wake()

    def close(self) -> None:
        """End the stream after the buffered events."""
        self._closed = True
        self._wake()

    async def stream(
        self, control_iter: AsyncIterable[Any], context: Any = None
    ) -> AsyncIterator[TelemetryEvent]:
        """Yield the events until `close`; messages of `control_iter` set switches and filters."""
        event = asyncio.Event()
        self._reader = (asyncio.get_running_loop(), event)
        control = asyncio.create_task(self._follow(control_iter))
        try:
            while True:
                event.clear()
                while True:
                    with self._lock:
                        if not self._events:
                            break
                        item = self._events.popleft()
                    yield item
                if self._closed:
                    return
                await event.wait()
        finally:
            self._reader = None
            control.cancel()

    def _allows(self, name: str) -> bool:
        if any(_sink.matches(pattern, name) for pattern in self._deny):
            return False
        return not self._allow or any(_sink.matches(pattern, name) for pattern in self._allow)

    def _wake(self) -> None:
        reader = self._reader
        if reader is None:
            return
        try:
            reader[0].call_soon_threadsafe(reader[1].set)
        except RuntimeError:
            # Its loop is closed.
            return

    async def _follow(self, control: AsyncIterable[Any]) -> None:
        try:
            async for message in control:
                self._handle_control(message)
        except Exception as error:
            _sink.warn("control", f"the control messages of a telemetry stream ended: {error}")

    def _handle_control(self, message: Any) -> None:
        which = message.WhichOneof("control")
        if which == "toggle":
            self.enabled = bool(message.toggle.enabled)
        elif which == "sampling":
            self.sampling_rate = min(max(float(message.sampling.sampling_rate), 0.0), 1.0)
        elif which == "filter":
            self._allow = tuple(message.filter.allow)
            self._deny = tuple(message.filter.deny)
