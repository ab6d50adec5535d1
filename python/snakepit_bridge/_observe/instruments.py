"""Counters, gauges and histograms, whose measurements the host adds up."""

from __future__ import annotations

from _thread import allocate_lock
from time import monotonic, sleep

from . import fields, sink, span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

COUNTER, GAUGE, HISTOGRAM = 0, 1, 2

#: Most sets of attributes for which an instrument keeps what did not fit into the queue.
_MAX_KEPT = 256

#: Seconds between two attempts to queue the rest.
_PAUSE = 0.005

_made: list[Instrument] = []


class Instrument:
    """Base of all instruments. No method raises, or waits for the host."""

    __slots__ = ("_kept", "_lock", "description", "name", "unit")

    _kind = COUNTER

    def __init__(self, name: str, unit: str = "", description: str = "") -> None:
        """Create an instrument; the unit is one of UCUM, for example `ms`, `By` or `{item}`."""
        self.name = fields.name(name, "instrument")
        self.unit = fields.text(unit, 64)
        self.description = fields.text(description, 512)
        self._lock = allocate_lock()
        self._kept: dict[tuple[tuple[str, Any], ...], float] = {}

    def _measure(self, value: object, given: Mapping[str, Any] | None, more: Any) -> None:
        if not sink.settings().enabled:
            return
        number = fields.number(value)
        if number is None or number != number or number in (float("inf"), float("-inf")):
            self._refuse(f"accepts finite numbers only, not {fields.text(value, 99)}")
            return
        if self._kind == COUNTER and number < 0:
            self._refuse(f"is a counter and cannot be increased by {number}")
            return
        attributes = fields.attributes({**(given or {}), **more} if more else given)
        key = tuple(attributes.items())
        if self._kept:
            number = self._with_kept(key, number)
        if not self._put(attributes, number):
            self._keep(key, number)

    def _refuse(self, why: str) -> None:
        sink.warn(f"value {self.name}", f"a measurement is ignored: `{self.name}` {why}")

    def _put(self, attributes: dict[str, Any], number: float) -> bool:
        outer, trace, call, _ = span.here()
        return sink.put(
            sink.MEASUREMENT,
            {
                "name": self.name,
                "instrument": self._kind,
                "unit": self.unit,
                "description": self.description,
                "value": float(number),
                "attributes": attributes,
                "call": call,
                "trace": trace if outer is None else outer.context,
            },
        )

    def _with_kept(self, key: Any, number: float) -> float:
        with self._lock:
            kept = self._kept.pop(key, None)
        return number if kept is None else self._joined(kept, number)

    def _keep(self, key: Any, number: float) -> None:
        """Keep a measurement that the full queue rejected, for the next one or the end."""
        if self._kind == HISTOGRAM or not sink.is_attached():
            return
        with self._lock:
            if key in self._kept:
                number = self._joined(self._kept[key], number)
            elif len(self._kept) >= _MAX_KEPT:
                return
            elif not self._kept:
                _made.append(self)
            self._kept[key] = number

    def _joined(self, kept: float, number: float) -> float:
        return kept + number if self._kind == COUNTER else number

    def _flush(self) -> None:
        with self._lock:
            waiting, self._kept = self._kept, {}
        for key, number in waiting.items():
            if not self._put(dict(key), number):
                self._keep(key, number)

    def __repr__(self) -> str:
        """Show kind and name."""
        return f"<{type(self).__name__} {self.name!r}>"


class Counter(Instrument):
    """A sum that only grows. An increment that a full queue rejects joins the next one."""

    __slots__ = ()
    _kind = COUNTER

    def add(
        self,
        value: float = 1,
        attributes: Mapping[str, Any] | None = None,
        /,
        **more: Any,
    ) -> None:
        """Add a number that is not negative; attributes as a mapping, by name, or both."""
        self._measure(value, attributes, more)


class Gauge(Instrument):
    """A value that rises and falls; the last one counts."""

    __slots__ = ()
    _kind = GAUGE

    def set(
        self, value: float, attributes: Mapping[str, Any] | None = None, /, **more: Any
    ) -> None:
        """Set the value; attributes as a mapping, by name, or both."""
        self._measure(value, attributes, more)


class Histogram(Instrument):
    """A distribution of values. Values that do not fit into a full queue are dropped."""

    __slots__ = ()
    _kind = HISTOGRAM

    def record(
        self, value: float, attributes: Mapping[str, Any] | None = None, /, **more: Any
    ) -> None:
        """Add a value; attributes as a mapping, by name, or both."""
        self._measure(value, attributes, more)


def flush(seconds: float = 0.0) -> bool:
    """Queue measurements that did not fit into the queue; retry for some seconds if it is full.

    Return `False` if some are left.
    """
    until = monotonic() + seconds
    while True:
        waiting = _made[:]
        del _made[: len(waiting)]
        for instrument in waiting:
            instrument._flush()
        if not _made:
            return True
        if monotonic() >= until:
            return False
        sleep(_PAUSE)
