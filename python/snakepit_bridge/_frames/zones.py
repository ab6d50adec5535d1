"""Time zones of pandas: Arrow keeps their names, and not the library that a zone is of."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def note(zones: dict[str, str], position: int, dtype: Any) -> None:
    """Note the library of the zone of a column or an index level, if it has a zone."""
    zone = getattr(dtype, "tz", None)
    if zone is not None:
        zones[str(position)] = _library(zone)


def _library(zone: Any) -> str:
    return str(type(zone).__module__).partition(".")[0]


def restored(times: Any, library: str) -> Any:
    """Return the times of an index, or of a column's `dt`, with a zone of this library."""
    return times.tz_convert(_zone(times.tz, library))


def _zone(zone: Any, library: str) -> Any:
    """Return the zone as one of the library; unchanged if the library has none."""
    if _library(zone) == library:
        return zone
    offset = zone.utcoffset(None)
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if library == "datetime" and (offset is not None or name == "UTC"):
        import datetime

        return datetime.timezone(offset) if offset else datetime.timezone.utc
    if library == "zoneinfo" and name:
        import zoneinfo

        return zoneinfo.ZoneInfo(name)
    if library == "pytz":
        import pytz  # type: ignore

        if name:
            return pytz.timezone(name)
        return pytz.FixedOffset(int(zone.utcoffset(None).total_seconds()) // 60)
    return zone
