"""Tuples: of fixed length, or with one part of any length."""

from __future__ import annotations

from .schema import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def convert(scope: Scope, items: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Convert a tuple of fixed length, or with one part of any length."""
    rests = [index for index, item in enumerate(items) if _unpacked(item) is not None]
    if len(rests) == 1:
        return _rest(scope, items, rests[0])
    parts = [scope.convert(item) for item in items]
    count = len(parts)
    schema: dict[str, Any] = {"type": "array", "minItems": count, "maxItems": count}
    if parts:
        schema["prefixItems"] = [part[1] for part in parts]
    return ("tuple", tuple([part[0] for part in parts])), schema


def _rest(scope: Scope, items: tuple[Any, ...], at: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Convert `tuple[A, *tuple[B, ...], C]`."""
    inner: Any = _unpacked(items[at])
    args = inner.__args__
    if len(args) != 2 or args[1] is not Ellipsis:
        return convert(scope, (*items[:at], *args, *items[at + 1 :]))
    first = [scope.convert(item) for item in items[:at]]
    rest, rest_schema = scope.convert(args[0])
    last = [scope.convert(item) for item in items[at + 1 :]]
    schema: dict[str, Any] = {"type": "array", "minItems": len(first) + len(last)}
    if first:
        schema["prefixItems"] = [part[1] for part in first]
    if not last and rest_schema:
        schema["items"] = rest_schema
    specs = tuple([part[0] for part in first]), rest, tuple([part[0] for part in last])
    return ("tuplerest", *specs), schema


def _unpacked(item: Any) -> Any:
    """Return the tuple behind `*tuple[...]` or `Unpack[tuple[...]]`, else `None`."""
    if getattr(item, "__unpacked__", False):
        return item
    name = str(getattr(getattr(item, "__origin__", None), "_name", ""))
    inner = item.__args__[0] if name == "Unpack" else None
    return inner if getattr(inner, "__origin__", None) is tuple else None
