"""Columns of pandas whose cells are Python objects: of one type each, with one missing value."""

from __future__ import annotations

from .. import _text
from .streams import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

#: Types of cells that pyarrow returns unchanged, by name.
_EXACT = {"str", "bytes", "bool", "int", "float", "date", "time", "timedelta"}
#: Types whose cells are compared with what pyarrow would return.
_COMPARED = {"datetime", "Decimal", "list", "dict"}

_MARKS = {"NoneType": "none", "NAType": "na", "NaTType": "nat"}

_HELP = {
    "tuple": "convert it with `.map(list)`",
    "set": "convert it with `.map(sorted)`",
    "Timestamp": "convert it with `pandas.to_datetime(...)`",
    "Timedelta": "convert it with `pandas.to_timedelta(...)`",
    "complex": "send the real and the imaginary part as columns",
}


def array(values: Any, path: str, pa: Any, pandas: Any) -> tuple[Any, dict[str, str]]:
    """Return the array of a column of objects, and the note from which the column is restored."""
    cells = list(values)
    kinds = set(map(type, cells))
    names = {kind.__name__ for kind in kinds}
    marks = {_MARKS[name] for name in names if name in _MARKS}
    data = {kind for kind in kinds if kind.__name__ not in _MARKS}
    if float in data and len(data) > 1 and not _has_numbers(cells):
        data.discard(float)
        marks.add("nan")
    if len(data) > 1:
        both = " and ".join(sorted(kind.__name__ for kind in data))
        raise Refused(
            path,
            f"is a column of objects of several types, {both}",
            "convert it, for example with `.astype(str)`",
        )
    if len(marks) > 1:
        raise Refused(
            path,
            f"marks missing values in several ways, {' and '.join(sorted(marks))}",
            "use one, for example `column.where(column.notna(), None)`",
        )
    note = {"missing": next(iter(marks), "none")}
    if marks and marks != {"none"}:
        gone = {kind for kind in kinds if kind not in data}
        cells = [None if type(cell) in gone else cell for cell in cells]
    kind = next(iter(data), None)
    if kind is None:
        return pa.nulls(len(cells)), note
    name = kind.__name__ if kind.__module__ in ("builtins", "datetime", "decimal") else ""
    if kind.__name__ == "ndarray":
        return _of_arrays(cells, path, pa), {**note, "cells": "ndarray"}
    if name not in _EXACT and name not in _COMPARED:
        raise Refused(
            path,
            f"is a column of objects of the type {kind.__module__}.{kind.__qualname__}",
            _HELP.get(kind.__name__, "convert it, for example with `.map(str)`"),
        )
    try:
        made = _typed(cells, name, pa)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise Refused(
            path,
            f"is a column of objects that Arrow does not support: {_text.reason(error)}",
            "convert it, for example with `.astype(str)`",
        ) from None
    if name in _COMPARED:
        _compare(cells, made.to_pylist(), path)
    return made, note


def _typed(cells: list[Any], name: str, pa: Any) -> Any:
    if name == "str":
        return pa.array(cells, pa.string())
    if name == "int":
        small = all(cell is None or -(2**63) <= cell < 2**63 for cell in cells)
        return pa.array(cells, pa.int64() if small else pa.uint64())
    return pa.array(cells, from_pandas=False)


def _has_numbers(cells: Iterable[Any]) -> bool:
    """Return whether a cell is a float other than NaN."""
    return any(type(cell) is float and cell == cell for cell in cells)


def _of_arrays(cells: list[Any], path: str, pa: Any) -> Any:
    dtypes = {(str(cell.dtype), cell.ndim, type(cell)) for cell in cells if cell is not None}
    ((dtype, dimensions, _), *others) = dtypes
    if others or dimensions != 1 or dtype == "object":
        raise Refused(
            path,
            "is a column of arrays that are not all of one type and one dimension",
            "convert it with `.map(lambda cell: cell.tolist())`",
        )
    try:
        return pa.array(cells, from_pandas=False)
    except pa.ArrowException as error:
        what = f"is a column of arrays of {dtype}, which Arrow does not support: {error}"
        raise Refused(path, what, "convert it with `.map(lambda cell: cell.tolist())`") from None


def _compare(cells: list[Any], back: list[Any], path: str) -> None:
    for row, (one, two) in enumerate(zip(cells, back, strict=True)):
        if not _same(one, two):
            raise Refused(
                f"{path}[{row}]",
                f"would come back as {_text.begin(repr(two), 80)}",
                "make the cells alike: the same keys in each dict, one type in each list",
            )


def _same(one: Any, two: Any) -> bool:
    """Return whether two values are equal, and of the same types at every depth."""
    kind = type(one)
    if kind is not type(two):
        return False
    if kind is list:
        return len(one) == len(two) and all(map(_same, one, two))
    if kind is dict:
        return list(one) == list(two) and all(map(_same, one.values(), two.values()))
    if kind.__name__ == "datetime":
        return one == two and one.utcoffset() == two.utcoffset()
    return one == two or (kind is float and one != one and two != two)


def column(values: Any, note: dict[str, str], pandas: Any) -> Any:
    """Restore the column that a note describes."""
    kind = note.get("cells")
    if kind == "arrow":
        return pandas.Series(pandas.arrays.ArrowExtensionArray(values))
    cells = list(values.to_pandas()) if kind == "ndarray" else values.to_pylist()
    gone = {"nan": float("nan"), "na": pandas.NA, "nat": pandas.NaT}.get(note.get("missing", ""))
    if gone is not None:
        cells = [gone if cell is None else cell for cell in cells]
    return pandas.Series(cells, dtype=object)
