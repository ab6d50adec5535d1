"""Frames and series of pandas as tables of pyarrow that restore an equal object, or an error.

The table has the metadata that pyarrow writes for pandas, so that others can read it, and notes of
what that metadata lacks.
"""

from __future__ import annotations

import json

from .. import _text
from . import objects as _frames_objects, zones as _frames_zones
from .streams import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Key of the notes in the metadata of the schema.
_NOTES = b"snakepit"


def table(value: Any, pandas: Any, pa: Any) -> Any:
    """Return the table of a frame or a series."""
    _has_no_more(value, pandas)
    notes: dict[str, Any] = {}
    frame = value
    if isinstance(value, pandas.Series):
        notes["unnamed"] = value.name is None
        frame = value.to_frame("value" if value.name is None else value.name)
        frame.attrs = value.attrs
    if not value.flags.allows_duplicate_labels:
        notes["unique"] = True
    labels: Any = frame.columns
    _names(frame, labels)
    if isinstance(labels, pandas.RangeIndex):
        notes["labels"] = [labels.start, labels.stop, labels.step]
    elif str(labels.dtype) == "object" and labels.nlevels == 1:
        notes["labels"] = "object"
    elif getattr(labels, "freqstr", None) is not None and labels.dtype.kind in "Mm":
        notes["labels_freq"] = labels.freqstr
    arrays: list[Any] = []
    objects: dict[str, Any] = {}
    zones: dict[str, str] = {}
    for position, label in enumerate(labels):
        values = frame.iloc[:, position]
        made = _array(values, f"[{label!r}]", pa, pandas)
        _frames_zones.note(zones, position, values.dtype)
        arrays.append(made[0])
        if made[1] is not None:
            objects[str(position)] = made[1]
    index = frame.index
    counted = isinstance(index, pandas.RangeIndex)
    if counted:
        notes["range"] = [index.start, index.stop, index.step]
        notes["name"] = index.name
    # An index that only counts the rows is no column of the table.
    bare = counted and index.name is None and (index.start, index.step) == (0, 1)
    if not bare:
        for level in range(index.nlevels):
            values = index.get_level_values(level)
            made = _array(values, _level(index, level), pa, pandas)
            _frames_zones.note(zones, len(arrays), values.dtype)
            if made[1] is not None:
                objects[str(len(arrays))] = made[1]
            arrays.append(made[0])
        freq = getattr(index, "freqstr", None)
        if freq is not None and index.dtype.kind in "Mm":
            notes["freq"] = freq
    if objects:
        notes["objects"] = objects
    if zones:
        notes["zones"] = zones
    schema = _schema(frame, arrays, notes, not bare, pa)
    made = pa.Table.from_arrays(arrays, schema=schema)
    try:
        back = from_table(made.slice(0, 0), False, pandas, pa)
    except Exception as error:
        reason = _text.reason(error)
        raise Refused(
            "", f"has names or types that would not come back: {reason}", _RENAME
        ) from None
    _compare(frame, back)
    if isinstance(value, pandas.Series) or arrays:
        return made
    # A table without columns has no rows, but a batch has.
    return pa.record_batch([], schema=schema)


def _schema(frame: Any, arrays: list[Any], notes: dict[str, Any], indexed: bool, pa: Any) -> Any:
    """Return the schema: column names, pyarrow's metadata for pandas, and the notes."""
    try:
        empty = pa.Schema.from_pandas(frame.iloc[:0], preserve_index=indexed or None)
    except Exception as error:
        reason = _text.reason(error)
        raise Refused("", f"has names that Arrow does not support: {reason}", _RENAME) from None
    metadata = dict(empty.metadata)
    described = json.loads(metadata[b"pandas"])
    if not indexed and "range" in notes:
        start, stop, step = notes["range"]
        described["index_columns"] = [
            {**entry, "start": start, "stop": stop, "step": step}
            for entry in described["index_columns"]
        ]
    for entry, array in zip(described["columns"], arrays, strict=False):
        if pa.types.is_nested(array.type):
            # pandas cannot read its own names of these types.
            entry["numpy_type"] = "object"
        # A type that was inferred from a column without values.
        if entry["pandas_type"] == "empty":
            entry["pandas_type"] = "unicode" if pa.types.is_string(array.type) else "object"
    metadata[b"pandas"] = json.dumps(described).encode()
    metadata[_NOTES] = json.dumps(notes).encode()
    fields = [pa.field(name, array.type) for name, array in zip(empty.names, arrays, strict=True)]
    return pa.schema(fields, metadata=metadata)


_RENAME = "name the columns by texts, for example with `value.columns = value.columns.map(str)`"


def _names(frame: Any, labels: Any) -> None:
    """Reject names of columns and levels that a table cannot have or cannot tell apart."""
    for place, names in (("index", frame.index.names), ("columns", labels.names)):
        for name in names:
            if name is not None and type(name) is not str:
                help = f"give it a text as its name, with `value.{place}.names = [...]`"
                raise Refused(f".{place}", f"is named by a {type(name).__name__}, {name!r}", help)
    try:
        json.dumps(frame.attrs)
    except (TypeError, ValueError, RecursionError):
        help = "send it separately, and the frame with `value.attrs = {}`"
        raise Refused(".attrs", "has values that JSON does not support", help) from None
    if not labels.is_unique:
        twice = labels[labels.duplicated()][0]
        raise Refused(
            "",
            f"has two columns named {twice!r}",
            "rename one of them, or drop it with `value.loc[:, ~value.columns.duplicated()]`",
        )
    if labels.dtype == "object" and labels.nlevels == 1:
        kinds = sorted({type(label).__name__ for label in labels})
        if kinds not in ([], ["str"]):
            names = " and ".join(kinds)
            raise Refused("", f"has columns named by objects of the type {names}", _RENAME)


def _level(index: Any, level: int) -> str:
    return ".index" if index.nlevels == 1 else f".index.get_level_values({level})"


def _has_no_more(value: Any, pandas: Any) -> None:
    """Reject an instance of a subclass that carries more than its columns."""
    kind = type(value)
    if kind in (pandas.DataFrame, pandas.Series) or not getattr(kind, "_metadata", None):
        return
    plain = "Series" if isinstance(value, pandas.Series) else "DataFrame"
    raise Refused(
        "",
        "has attributes besides its columns",
        f"send `pandas.{plain}(value)`, and its attributes separately",
    )


def _array(values: Any, path: str, pa: Any, pandas: Any) -> tuple[Any, Any]:
    """Return the array of a column or an index level, and the note for it."""
    dtype = values.dtype
    if dtype == "object":
        return _frames_objects.array(values, path, pa, pandas)
    if isinstance(dtype, getattr(pandas, "ArrowDtype", ())):
        return values.array.__arrow_array__(), {"cells": "arrow"}
    plain = getattr(dtype, "kind", "O") in "biufMm" and hasattr(dtype, "byteorder")
    try:
        if plain:
            # NaN stays NaN: a column of numpy has no other missing value.
            return pa.array(values.to_numpy(), from_pandas=False), None
        return pa.array(values.array, from_pandas=True), None
    except (pa.ArrowException, TypeError, ValueError, AttributeError) as error:
        reason = f": {_text.reason(error)}"
        if plain or str(dtype).startswith(("Sparse", "complex")):
            # The name of the type is reason enough.
            reason = ""
        if str(dtype).startswith("Sparse"):
            help = "send `.sparse.to_dense()` of it"
        elif str(dtype).startswith("complex"):
            help = "send the real and the imaginary part as columns"
        elif plain and not dtype.isnative:
            help = f'convert it with `.astype("{dtype.newbyteorder("=").name}")`'
        else:
            help = "convert it with `.astype(...)`"
        what = f"is a column of {dtype}, which Arrow does not support{reason}"
        raise Refused(path, what, help) from None


def _compare(frame: Any, back: Any) -> None:
    """Reject columns that would be restored with another type; `back` has no rows."""
    for position, (label, dtype) in enumerate(frame.dtypes.items()):
        other = back.dtypes.iloc[position]
        if not _same(dtype, other):
            what = f"is a column of {dtype}, which would come back as {other}"
            raise Refused(f"[{label!r}]", what, "convert it with `.astype(...)`")
    labels, others = frame.columns, back.columns
    if (
        type(labels) is not type(others)
        or not labels.equals(others)
        or list(labels.names) != list(others.names)
        or (labels.nlevels == 1 and not _same(labels.dtype, others.dtype))
    ):
        raise Refused("", f"has columns named by a {type(labels).__name__}", _RENAME)
    index, other = frame.index, back.index
    help = "send `value.reset_index()`"
    if list(index.names) != list(other.names):
        raise Refused(".index", f"has the names {list(index.names)!r}", help)
    for level in range(index.nlevels):
        one, two = index.get_level_values(level), other.get_level_values(level)
        if not _same(one.dtype, two.dtype):
            what = f"is of {one.dtype}, and would come back as {two.dtype}"
            raise Refused(_level(index, level), what, help)
    if frame.attrs != back.attrs:
        help = "send it separately, and the frame with `value.attrs = {}`"
        raise Refused(".attrs", "has values that JSON returns changed", help)


def _same(one: Any, two: Any) -> bool:
    if one != two:
        return False
    ours: Any = getattr(one, "categories", None)
    theirs: Any = getattr(two, "categories", None)
    # Two types of categories in different orders compare equal.
    return ours is None or (ours.dtype == theirs.dtype and ours.equals(theirs))


def from_table(table: Any, column: bool, pandas: Any, pa: Any) -> Any:
    """Return the frame or the series of a table from any library."""
    metadata = table.schema.metadata or {}
    if b"pandas" not in metadata or _NOTES not in metadata:
        return _of_others(table, column, pandas, pa)
    notes = json.loads(metadata[_NOTES])
    objects: dict[str, Any] = notes.get("objects", {})
    plain = table
    for position in objects:
        field = pa.field(table.schema.field(int(position)).name, pa.null())
        plain = plain.set_column(int(position), field, pa.nulls(table.num_rows))
    frame = plain.to_pandas()
    levels: dict[int, Any] = {}
    for position, note in objects.items():
        values = _frames_objects.column(table.column(int(position)), note, pandas)
        at = int(position) - len(frame.columns)
        if at < 0:
            frame.isetitem(int(position), values.set_axis(frame.index))
        else:
            levels[at] = values
    for position, kind in notes.get("zones", {}).items():
        at = int(position) - len(frame.columns)
        if at < 0:
            column_ = frame.iloc[:, int(position)]
            frame.isetitem(int(position), _frames_zones.restored(column_.dt, kind))
        else:
            levels[at] = _frames_zones.restored(frame.index.get_level_values(at), kind)
    if levels:
        frame.index = _index(frame.index, levels, pandas)
    if "range" in notes:
        index = pandas.RangeIndex(*notes["range"], name=notes["name"])
        if len(index) == table.num_rows:
            frame.index = index
        elif table.num_columns == 0 and len(index) <= _MOST_BARE:
            frame = pandas.DataFrame(index=index, columns=frame.columns)
        else:
            frame.index.name = notes["name"]
    labels = notes.get("labels")
    if labels == "object":
        frame.columns = pandas.Index(frame.columns, dtype=object, name=frame.columns.name)
    elif labels is not None and len(range(*labels)) == len(frame.columns):
        frame.columns = pandas.RangeIndex(*labels, name=frame.columns.name)
    if "labels_freq" in notes:
        frame.columns.freq = notes["labels_freq"]
    if "freq" in notes and len(frame):
        frame.index.freq = notes["freq"]
    if not column:
        frame.flags.allows_duplicate_labels = not notes.get("unique")
        return frame
    series = frame.iloc[:, 0]
    series.flags.allows_duplicate_labels = not notes.get("unique")
    if notes.get("unnamed"):
        series.name = None
    return series


#: Most rows of a frame without columns, which have no bytes.
_MOST_BARE = 1 << 24


def _index(index: Any, levels: dict[int, Any], pandas: Any) -> Any:
    """Return the index with its levels of Python objects."""
    if index.nlevels == 1:
        return pandas.Index(levels[0], dtype=levels[0].dtype, name=index.name)
    arrays = [
        pandas.Index(levels[level]) if level in levels else index.get_level_values(level)
        for level in range(index.nlevels)
    ]
    return pandas.MultiIndex.from_arrays(arrays, names=index.names)


def _of_others(table: Any, column: bool, pandas: Any, pa: Any) -> Any:
    """Return the frame of a table from elsewhere: integers with nulls stay integers."""
    nullable = {
        getattr(pa, name)(): getattr(pandas, f"{dtype}Dtype")()
        for name, dtype in (
            *[
                (f"{u}int{bits}", f"{u.upper()}Int{bits}")
                for u in ("", "u")
                for bits in (8, 16, 32, 64)
            ],
            ("bool_", "Boolean"),
        )
    }
    frame = table.to_pandas()
    if len(frame.columns) == table.num_columns:
        for position, values in enumerate(table.columns):
            if pa.types.is_nested(values.type):
                cells = pandas.Series(values.to_pylist(), frame.index, dtype=object)
                frame.isetitem(position, cells)
            elif values.null_count and values.type in nullable:
                filled = values.to_pandas(types_mapper=nullable.get)
                filled.index = frame.index
                frame.isetitem(position, filled)
    if not column:
        return frame
    series = frame.iloc[:, 0]
    if series.name == "":
        series.name = None
    return series
