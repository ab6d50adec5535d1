"""Schemas of types with few values: `Literal` and enums."""

from __future__ import annotations

import sys

from .. import _text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

#: Most bits of a flag whose combinations are listed.
_MAX_BITS = 6


def literal(values: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the spec and the schema of `Literal[...]`; enum members stand for their values."""
    return ("literal", values), {"enum": _listed(values)}


def enumeration(cls: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the spec and the schema of an enum.

    A flag also has combinations. A hook `_missing_` may accept more values, which only the worker
    can tell.
    """
    enum: Any = sys.modules["enum"]
    if issubclass(cls, enum.Flag):
        return _flag(cls)
    values = _listed(cls)
    if cls._missing_.__func__ is not enum.Enum._missing_.__func__:
        return ("enum", cls, "more"), {"examples": values} if values else {}
    return ("enum", cls, None), {"enum": values}


def _flag(cls: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    mask = 0
    for member in cls.__members__.values():
        mask |= int(member.value)
    if not 0 <= mask < 2**63:
        return ("enum", cls, "more"), {"type": "integer"}
    bits = [1 << at for at in range(mask.bit_length()) if mask >> at & 1]
    if len(bits) > _MAX_BITS:
        return ("enum", cls, mask), {"type": "integer", "minimum": 0, "maximum": mask}
    values = [0]
    for bit in bits:
        values += [value | bit for value in values]
    return ("enum", cls, mask), {"enum": values}


def _listed(values: Iterable[Any]) -> list[Any]:
    """Return those of the values that JSON can represent, each once."""
    found: list[Any] = []
    for value in values:
        value = shown(value)
        if _text.is_json(value) and not any(_same(value, other) for other in found):
            found.append(value)
    return found


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def shown(value: Any) -> Any:
    """Return a value as JSON shows it, or itself if JSON has no such value."""
    enum = sys.modules.get("enum")
    if enum is not None and isinstance(value, enum.Enum):
        value = value.value
    # `class Color(str, Enum)` has plain values; a mixed-in base may leave a subclass.
    for base in (bool, int, float, str):
        if isinstance(value, base):
            return base(value)
    if isinstance(value, bytes):
        import binascii

        return {"$bytes": binascii.b2a_base64(value, newline=False).decode()}
    if isinstance(value, (tuple, list)):
        members: Any = value
        return [shown(item) for item in members]
    return value
