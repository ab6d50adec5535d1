"""Specs and schemas of numpy's scalars, and of complex numbers."""

from __future__ import annotations

import re
import sys

from . import arrays, text_forms
from .schema import ANY, plain_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Converted = tuple[tuple[Any, ...], dict[str, Any]]

_PLAIN = {"b": "bool", "i": "int", "u": "int", "f": "float", "U": "str", "S": "bytes"}

#: Concrete classes of which an abstract class of numpy accepts the values.
_ABSTRACT = {
    "signedinteger": ("int64",),
    "unsignedinteger": ("uint64",),
    "integer": ("int64", "uint64"),
    "floating": ("float64",),
    "inexact": ("float64",),
    "number": ("int64", "uint64", "float64"),
    "complexfloating": ("complex128",),
}


def convert(cls: type) -> Converted | None:
    """Convert a class of numpy's scalars; `None` if its values cannot be sent."""
    numpy: Any = sys.modules["numpy"]
    if cls.__name__ in _ABSTRACT and cls is getattr(numpy, cls.__name__):
        parts = [_concrete(numpy, getattr(numpy, name)) for name in _ABSTRACT[cls.__name__]]
        if len(parts) == 1:
            return _named(parts[0][0][1], cls, *parts[0])
        inner = ("union", tuple([spec[3] for spec, _ in parts])), {"anyOf": [s for _, s in parts]}
        return _named(_smallest(cls), cls, *inner)
    if not arrays.is_concrete(cls):
        return None
    kind = numpy.dtype(cls).kind
    if kind == "M":
        schema = {"type": "string", "pattern": text_forms.MOMENT}
        return _named(_moment, cls, ANY, schema)
    if kind == "m":
        return _named(_span, cls, ("timedelta",), dict(text_forms.SCHEMAS["timedelta"]))
    return _concrete(numpy, cls) if kind in "biufcUS" else None


def of_complex() -> Converted:
    """Convert `complex`."""
    return _complex(complex, "complex", ("float",), plain_schema("float"))


def _named(make: Any, cls: type, spec: Any, schema: Any) -> Converted:
    if spec[0] == "made":
        spec = spec[3]
    return ("made", make, f"np.{cls.__name__}", spec, cls), schema


def _concrete(numpy: Any, cls: type) -> Converted:
    dtype = numpy.dtype(cls)
    if dtype.kind == "c":
        part, schema = _concrete(numpy, type(numpy.zeros((), dtype).real[()]))
        return _complex(cls, f"np.{cls.__name__}", part[3], schema)
    kind = _PLAIN[dtype.kind]
    spec: tuple[Any, ...] = (kind,)
    schema = plain_schema(kind)
    if kind == "int":
        info = numpy.iinfo(dtype)
        low, high = int(info.min), int(info.max)
        limits = (("ge", low, f"be at least {low}"), ("le", high, f"be at most {high}"))
        spec = ("limited", spec, limits)
        schema.update(minimum=low, maximum=high)
    elif kind == "float" and (bounds := arrays.bounds(numpy, dtype)):
        high = bounds["maximum"]
        fits = ("predicate", _within(high), f"be between -{high} and {high}")
        spec = ("limited", spec, (fits,))
        schema.update(bounds)
    return _named(cls, cls, spec, schema)


def _smallest(cls: type) -> Any:
    """Return a function that makes a scalar of 64 bits of a number, and returns other scalars."""
    numpy: Any = sys.modules["numpy"]

    def make(number: Any) -> Any:
        if isinstance(number, numpy.generic):
            return number if isinstance(number, cls) else None
        if isinstance(number, float):
            return numpy.float64(number)
        return numpy.int64(number) if number < 2**63 else numpy.uint64(number)

    return make


def _within(high: float) -> Any:
    """Return a predicate for numbers up to this one, NaN and the infinities."""
    return lambda number: -high <= number <= high or number - number != 0


def _complex(cls: Any, name: str, part: Any, schema: Any) -> Converted:
    """Return the spec and the schema of a complex class: a number, or a pair of its parts."""

    def make(value: Any) -> Any:
        return cls(complex(*value) if isinstance(value, tuple) else value)

    inner = ("union", (part, ("tuple", (part, part))))
    return ("made", make, name, inner, cls), {"anyOf": [schema, arrays.pair(schema)]}


def _moment(value: Any) -> Any:
    """Return a `datetime64` of a date, a date and time, or the text of one."""
    numpy: Any = sys.modules["numpy"]
    if isinstance(value, str):
        if not re.match(text_forms.MOMENT, value):
            raise ValueError("it is not a date, or a date and time without a zone")
    elif getattr(value, "tzinfo", None) is not None:
        raise ValueError("it has a time zone, and times of numpy have none")
    elif not isinstance(value, (sys.modules["datetime"].date, numpy.datetime64)):
        raise ValueError("it is not a date or a date and time")
    return numpy.datetime64(value)


def _span(value: Any) -> Any:
    return sys.modules["numpy"].timedelta64(value)
