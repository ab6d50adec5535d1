"""Constraints of variables, checked in the worker as the original's `serialization` does."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def validate_constraints(value: Any, var_type: str, constraints: Mapping[str, Any]) -> None:
    """Raise `ValueError` if the value violates a constraint.

    Known: min, max, min_length, max_length, pattern, choices, allowed_modules, dimensions, shape,
    dtype. The host checks them too, whenever a variable is set.
    """
    for key, wanted in constraints.items():
        if wanted is not None and not _holds(key, wanted, value):
            raise ValueError(f"the {var_type} {value!r:.100} violates {key} {wanted!r:.100}")


def _holds(key: str, wanted: Any, value: Any) -> bool:
    if key == "min":
        return value >= wanted
    if key == "max":
        return value <= wanted
    if key == "min_length":
        return len(value) >= wanted
    if key == "max_length":
        return len(value) <= wanted
    if key == "pattern":
        import re

        return re.search(wanted, value) is not None
    if key in ("choices", "allowed_modules"):
        return value in wanted
    if key == "dimensions":
        return _shape(value)[-1:] == [wanted]
    if key == "shape":
        return _shape(value) == list(wanted)
    if key == "dtype":
        return not hasattr(value, "dtype") or str(value.dtype) == wanted
    raise ValueError(f"unknown constraint {key!r}")


def _shape(value: Any) -> list[int]:
    """Return the lengths of an array, of nested lists, or of the key `shape` of a map."""
    found = value.get("shape") if isinstance(value, dict) else getattr(value, "shape", None)
    if found is not None:
        return list(found)
    shape: list[int] = []
    while isinstance(value, (list, tuple)):
        shape.append(len(value))
        value = value[0] if value else None
    return shape
