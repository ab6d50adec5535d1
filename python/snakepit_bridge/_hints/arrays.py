"""Annotations of arrays and scalars of numpy: their specs and schemas."""

from __future__ import annotations

import sys

from . import text_forms
from .array_fit import MOST_SECONDS
from .schema import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Converted = tuple[tuple[Any, ...], dict[str, Any]]
    Shape = list[int | None] | None


def of_array(scope: Scope, args: tuple[Any, ...]) -> Converted:
    """Convert `numpy.ndarray`, and `numpy.ndarray[shape, dtype[T]]`, which `NDArray[T]` is."""
    inner = getattr(args[1], "__args__", ()) if len(args) > 1 else ()
    dtype = inner[0] if len(inner) == 1 and isinstance(inner[0], type) else None
    # `Any` and abstract classes such as `floating` leave the type open.
    if dtype is not None and not is_concrete(dtype):
        dtype = None
    return array(scope, dtype, _shape(args[0]) if args else None)


def array(scope: Scope, dtype: Any, shape: Shape) -> Converted:
    """Return the spec and the schema of an array; `None` leaves its element type or shape open."""
    if dtype is None:
        parts = [
            _lists(scope, "numbers", {"type": "number"}, shape),
            _lists(scope, "truth values", {"type": "boolean"}, shape),
        ]
        return ("ndarray", None, shape), {"anyOf": parts}
    dtype = sys.modules["numpy"].dtype(dtype)
    leaf = _leaf(dtype)
    if leaf is None:
        # JSON has no such elements, and an array may have none.
        return ("ndarray", dtype, shape), {"type": "array", "maxItems": 0}
    return ("ndarray", dtype, shape), _lists(scope, str(dtype), leaf, shape)


def limited(scope: Scope, spec: tuple[Any, ...], metadata: tuple[Any, ...]) -> Converted:
    """Return an array with an element type (`numpy.float32`) or a shape (`(None, 3)`)."""
    numpy: Any = sys.modules["numpy"]
    _, dtype, shape = spec
    for item in metadata:
        if isinstance(item, numpy.dtype) or (
            isinstance(item, type) and issubclass(item, numpy.generic)
        ):
            dtype = item
        elif isinstance(item, tuple) and all(
            length is None or (isinstance(length, int) and length >= 0)
            for length in item  # type: ignore
        ):
            shape = list(item)  # type: ignore
    return array(scope, dtype, shape)


def is_concrete(cls: Any) -> bool:
    """Return whether instances of this class of scalars have one element type."""
    numpy: Any = sys.modules["numpy"]
    return issubclass(cls, numpy.generic) and (
        not cls.__subclasses__() or cls is numpy.float64 or cls is numpy.complex128
    )


def _shape(annotation: Any) -> Shape:
    """Return the lengths in `tuple[int, Literal[3]]`, `None` for any; `None` if there are none."""
    args: tuple[Any, ...] = getattr(annotation, "__args__", ())
    if getattr(annotation, "__origin__", None) is not tuple or Ellipsis in args:
        return None
    lengths: Shape = []
    for arg in args:
        values: tuple[Any, ...] = getattr(arg, "__args__", ())
        fixed = len(values) == 1 and type(values[0]) is int
        if not fixed and arg is not int:
            return None
        lengths.append(values[0] if fixed else None)
    return lengths


def _leaf(dtype: Any) -> dict[str, Any] | None:
    """Return the schema of an element; `None` if JSON cannot represent it."""
    numpy: Any = sys.modules["numpy"]
    dtype = numpy.dtype(dtype)
    if dtype.kind == "b":
        return {"type": "boolean"}
    if dtype.kind in "iu":
        info = numpy.iinfo(dtype)
        return {"type": "integer", "minimum": int(info.min), "maximum": int(info.max)}
    if dtype.kind in "fc":
        number = {"type": "number", **bounds(numpy, dtype)}
        return number if dtype.kind == "f" else pair(number)
    if dtype.kind == "M":
        return {"type": ["string", "null"], "pattern": text_forms.MOMENT}
    if dtype.kind == "m":
        return {"type": ["number", "null"], "minimum": -MOST_SECONDS, "maximum": MOST_SECONDS}
    return None


def pair(number: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a complex number: JSON writes it as its real and imaginary part."""
    return {"type": "array", "prefixItems": [number, number], "minItems": 2, "maxItems": 2}


def bounds(numpy: Any, dtype: Any) -> dict[str, Any]:
    """Return the bounds of floats of less than 64 bits."""
    info = numpy.finfo(dtype)
    largest = float(info.max)
    return {} if info.bits >= 64 else {"minimum": -largest, "maximum": largest}


def _lists(scope: Scope, name: str, leaf: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """Return the schema of nested lists of such elements, of a shape or of any depth."""
    if shape is not None:
        # JSON has no array without dimensions.
        schema: dict[str, Any] = leaf if shape else {"not": {}}
        for length in reversed(shape):
            schema = {"type": "array", "items": schema}
            if length is not None:
                schema.update(minItems=length, maxItems=length)
        return schema
    label = scope.label(("ndarray", name), f"ndarray of {name}")
    ref = {"$ref": f"#/$defs/{label}"}
    lists = [{"type": "array", "items": leaf}, {"type": "array", "items": ref}]
    scope.defs[label] = {"anyOf": lists}
    return ref
