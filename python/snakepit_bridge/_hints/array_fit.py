"""Conversion of arguments into numpy arrays, for parameters annotated with one."""

from __future__ import annotations

import re

from . import text_forms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_NOT_ALL = "its items are not all numbers, or all truth values"
_NUMBERS = {int, float}
_SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
#: Most seconds that 64 bits of microseconds can hold.
MOST_SECONDS = 9_223_372_036_854
#: Floats represent every whole number below this one.
_EXACT = 2**53


def of_array(value: Any, dtype: Any) -> Any:
    """Convert an array whose elements fit the type without loss; raises `ValueError`."""
    import numpy  # type: ignore

    made = numpy.asarray(value)
    if made.dtype.kind not in "biufcMm":
        raise ValueError("its items are not all numbers or truth values")
    if dtype is None:
        return made
    dtype = _like(numpy.dtype(dtype), made.dtype)
    if not numpy.can_cast(made.dtype, dtype, "safe"):
        raise ValueError(f"{made.dtype} does not fit {dtype}")
    return made.astype(dtype)


def _like(dtype: Any, given: Any) -> Any:
    """Return the type, for times without a unit with the unit of the given array."""
    return (
        given if dtype.kind == given.kind and dtype.name in ("datetime64", "timedelta64") else dtype
    )


def of_lists(value: list[Any], dtype: Any, shape: list[int | None] | None) -> Any:
    """Convert nested lists, whose numbers have no type of their own; raises `ValueError`."""
    import numpy  # type: ignore

    kinds = _kinds(value)
    target = None if dtype is None else numpy.dtype(dtype)
    if target is not None and target.kind == "M":
        made = _moments(numpy, value, kinds, target)
    elif target is not None and target.kind == "m":
        made = _spans(numpy, value, kinds, target)
    elif target is not None and target.kind == "c":
        made = _complexes(numpy, value, kinds, target)
    else:
        made = _numbers(numpy, value, kinds, target)
    if made.size == 0 and shape is not None and made.ndim < len(shape):
        # Lists without items have no lists in them, which would tell the further lengths.
        rest = [0 if length is None else length for length in shape[made.ndim :]]
        made = made.reshape([*made.shape, *rest])
    return made


def _kinds(value: list[Any]) -> set[type]:
    """Return the types of the innermost items."""
    kinds = set(map(type, value))
    if list in kinds:
        kinds.discard(list)
        for item in value:
            if type(item) is list:
                kinds |= _kinds(item)
    return kinds


def _numbers(numpy: Any, value: list[Any], kinds: set[type], target: Any) -> Any:
    if str in kinds and kinds <= _NUMBERS | {str}:
        # What JSON has no numbers for.
        value, kinds = _each(value, _special), kinds - {str} | {float}
    if not (kinds <= _NUMBERS or kinds == {bool}):
        raise ValueError(_NOT_ALL)
    if float in kinds and target is not None and target.kind in "iu":
        # In JSON 3.0 is a whole number.
        value = _each(value, _whole)
    try:
        made = numpy.asarray(value)
    except ValueError:
        raise ValueError("its lists have unequal lengths") from None
    if made.dtype.kind not in "biuf":
        raise ValueError("its whole numbers have more than 64 bits")
    if target is None:
        if made.dtype.kind == "f" and kinds == {int} and _is_changed(made, value):
            raise ValueError("its whole numbers have more than 64 bits")
        return made
    return made if made.dtype == target else _cast(numpy, made, target)


def _cast(numpy: Any, made: Any, target: Any) -> Any:
    if made.size == 0:
        return made.astype(target)
    fits = (made.dtype.kind == "b") == (target.kind == "b") and target.kind in "biufc"
    if fits and target.kind in "iu":
        info = numpy.iinfo(target)
        fits = made.dtype.kind in "iu"
        fits = fits and info.min <= made.min().item() and made.max().item() <= info.max
    elif fits and target.kind in "fc":
        largest = float(numpy.finfo(target).max)
        finite = made[numpy.isfinite(made)]
        fits = finite.size == 0 or bool(numpy.abs(finite.astype("float64")).max() <= largest)
    if not fits:
        raise ValueError(f"{made.dtype} does not fit {target}")
    return made.astype(target)


def _complexes(numpy: Any, value: list[Any], kinds: set[type], target: Any) -> Any:
    """Convert lists whose innermost lists are pairs of a real and an imaginary part."""
    made = _numbers(numpy, value, kinds, numpy.zeros((), target).real.dtype)
    if made.size == 0:
        return made.astype(target)
    if made.ndim < 2 or made.shape[-1] != 2:
        raise ValueError("its items are not all pairs of a real and an imaginary part")
    return made.view(target)[..., 0]


def _is_changed(made: Any, value: list[Any]) -> bool:
    return bool(abs(made).max() >= _EXACT) and made.tolist() != value


def _each(value: list[Any], change: Callable[[Any], Any]) -> list[Any]:
    """Return the lists with each innermost item replaced by `change(item)`."""
    return [_each(item, change) if type(item) is list else change(item) for item in value]


def _special(item: Any) -> Any:
    """Return the number that JSON represents as a text."""
    if type(item) is not str:
        return item
    if item not in _SPECIAL:
        raise ValueError(_NOT_ALL)
    return _SPECIAL[item]


def _whole(item: Any) -> Any:
    return int(item) if type(item) is float and item.is_integer() else item


def _moments(numpy: Any, value: list[Any], kinds: set[type], target: Any) -> Any:
    """Convert dates and times, or their texts; `None`, which JSON has for it, is "not a time"."""
    import datetime

    form = re.compile(text_forms.MOMENT)
    items = [item for item in _flat(value) if item is not None]
    plain = kinds <= {str, type(None), datetime.date, datetime.datetime}
    if not plain or not all(
        form.match(item) if type(item) is str else getattr(item, "tzinfo", None) is None
        for item in items
    ):
        raise ValueError("its items are not all dates, or dates and times without a zone")
    made = numpy.asarray(value, dtype=target)
    there = made[~numpy.isnat(made)]
    # A step of the type may be longer than the precision of the item, or too short for the year.
    days = numpy.datetime_as_string(there, unit="D").tolist()
    if days != [str(item)[:10] for item in items] or not all(
        numpy.datetime64(item) == moment for item, moment in zip(items, there, strict=True)
    ):
        raise ValueError(f"its moments do not fit {target}")
    return made


def _spans(numpy: Any, value: list[Any], kinds: set[type], target: Any) -> Any:
    """Convert numbers of seconds; `None` is "not a time"."""
    import datetime

    if kinds - _NUMBERS - {type(None)}:
        raise ValueError("its items are not all numbers of seconds")

    def span(seconds: Any) -> Any:
        if seconds is None:
            return None
        if not -MOST_SECONDS <= seconds <= MOST_SECONDS:
            raise OverflowError
        return datetime.timedelta(seconds=seconds)

    try:
        made = numpy.asarray(_each(value, span), dtype="timedelta64[us]")
    except (ValueError, OverflowError):
        raise ValueError("its lists have unequal lengths, or a span is too long") from None
    fitting = made.astype(_like(target, made.dtype))
    if not ((fitting == made) | numpy.isnat(made)).all():
        raise ValueError(f"its spans do not fit {target}")
    return fitting


def _flat(value: list[Any]) -> list[Any]:
    out: list[Any] = []
    for item in value:
        out += _flat(item) if type(item) is list else [item]
    return out
