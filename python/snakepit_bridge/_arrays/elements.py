"""Elements of arrays that a `memoryview` does not support: float16, complex numbers and times."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: The number that stands for not-a-time.
_NOT_A_TIME = -(2**63)

#: Units with the argument of `timedelta`, and its number for one unit.
_SPANS = {
    "W": ("days", 7),
    "D": ("days", 1),
    "h": ("hours", 1),
    "m": ("minutes", 1),
    "s": ("seconds", 1),
    "ms": ("milliseconds", 1),
    "us": ("microseconds", 1),
}


class Kind:
    """The storage and the decoding of elements of one type."""

    __slots__ = ("format", "parts", "read", "typestr")

    def __init__(self, format: str, parts: int, read: Callable[[Any], Any], typestr: str) -> None:
        """Keep the fields; `read` decodes a number of this format, or a list of parts."""
        self.format = format
        self.parts = parts
        self.read = read
        #: Type in `__array_interface__`.
        self.typestr = typestr

    def nested(self, numbers: Any, depth: int) -> Any:
        """Convert nested lists of numbers, `depth` levels deep, into nested lists of elements."""
        if depth == 0:
            return self.read(numbers)
        return [self.nested(number, depth - 1) for number in numbers]


def kind_of(dtype: str) -> Kind | None:
    """Return the kind of elements of this type; `None` if a `memoryview` supports it."""
    if dtype == "float16":
        return Kind("H", 1, _half, "<f2")
    if dtype == "complex64":
        return Kind("f", 2, _complex, "<c8")
    if dtype == "complex128":
        return Kind("d", 2, _complex, "<c16")
    name, _, unit = dtype.partition("[")
    if name not in ("datetime64", "timedelta64"):
        return None
    unit = unit.rstrip("]")
    sign = unit.lstrip("0123456789")
    count = int(unit[: len(unit) - len(sign)] or 1)
    suffix = f"[{unit}]" if unit else ""
    if name == "datetime64":
        return Kind("q", 1, lambda ticks: _moment(ticks, count, sign), f"<M8{suffix}")
    return Kind("q", 1, lambda ticks: _span(ticks, count, sign), f"<m8{suffix}")


def _half(bits: int) -> float:
    import struct

    return struct.unpack("<e", bits.to_bytes(2, "little"))[0]


def _complex(parts: list[float]) -> complex:
    return complex(*parts)


def _moment(ticks: int, count: int, unit: str) -> Any:
    """Return the value as numpy's `tolist` does: `None`, a date, a datetime, or a number."""
    import datetime

    if ticks == _NOT_A_TIME:
        return None
    ticks_there, ticks = ticks, ticks * count
    try:
        if unit in ("Y", "M"):
            months = ticks * 12 if unit == "Y" else ticks
            return datetime.date(1970 + months // 12, months % 12 + 1, 1)
        name, factor = _SPANS[unit]
        span = datetime.timedelta(**{name: ticks * factor})
        if unit in ("W", "D"):
            return datetime.date(1970, 1, 1) + span
        return datetime.datetime(1970, 1, 1) + span
    except (KeyError, ValueError, OverflowError):
        return ticks_there


def _span(ticks: int, count: int, unit: str) -> Any:
    """Return the value as numpy's `tolist` does: `None`, a `timedelta`, or a number."""
    import datetime

    if ticks == _NOT_A_TIME:
        return None
    try:
        name, factor = _SPANS[unit]
        return datetime.timedelta(**{name: ticks * count * factor})
    except (KeyError, OverflowError):
        return ticks
