"""JSON Schemas of values that JSON writes as texts. They accept what the runtime accepts.

Patterns are complete, since many validators ignore `format`. They end with `$(?!\\n)`, so that
Python's `re` does not accept a trailing line break either.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_END = r"$(?!\n)"
_LEAP = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DAYS = (
    "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8])"
)
_DATE = f"(?!0000)(?:[0-9]{{4}}-(?:{_DAYS})|{_LEAP}-02-29)"
_CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{1,6}0*)?)?"
_ZONE = "(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"
#: A moment as numpy reads it: a date, or one with a time and no zone.
MOMENT = (
    f"^{_DATE}(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\\.[0-9]{{1,9}})?)?)?{_END}"
)


def _part(digits: int, places: int, unit: str) -> str:
    """Return the pattern of one unit of a duration; the last unit may have a fraction."""
    return f"(?:[0-9]{{1,{digits}}}(?:[.,](?=[0-9])[0-9]{{0,{places}}}0*(?={unit}$))?{unit})?"


_DURATION = (
    f"[+-]?P(?=[0-9T]){_part(6, 8, 'W')}{_part(7, 8, 'D')}"
    f"(?:T(?=[0-9]){_part(9, 8, 'H')}{_part(10, 7, 'M')}{_part(12, 6, 'S')})?"
)
_DECIMAL = r"(?:[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?|NaN|[+-]?Infinity)"
#: Base64: complete, padded, and without unused bits that are set.
BASE64 = (
    "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?" + _END
)
#: Integers and numbers as keys of JSON.
WHOLE = "^(?:0|-?[1-9][0-9]{0,999})" + _END
NUMBER = r"^(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|NaN|-?Infinity)" + _END


def _text(pattern: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", **more, "pattern": f"^{pattern}{_END}"}


def _zoned(name: str) -> dict[str, Any]:
    # RFC 3339 requires a zone, and Python does not.
    return {"anyOf": [{"format": name}, {"format": f"local-{name}"}]}


_UUID = "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"

SCHEMAS: dict[str, dict[str, Any]] = {
    "datetime": _text(f"{_DATE}[Tt ]{_CLOCK}{_ZONE}", **_zoned("date-time")),
    "date": _text(_DATE, format="date"),
    "time": _text(f"{_CLOCK}{_ZONE}", **_zoned("time")),
    "timedelta": {
        "anyOf": [
            _text(_DURATION, format="duration"),
            {"type": "number", "minimum": -86399999913600, "exclusiveMaximum": 86400000000000},
        ]
    },
    "uuid": _text(_UUID, format="uuid"),
    "decimal": {"anyOf": [_text(_DECIMAL, format="decimal"), {"type": "integer"}]},
}
