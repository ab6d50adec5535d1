"""Conversion of values for parameters annotated with a class of data frames or columns."""

from __future__ import annotations

from .. import _text
from .._frames import streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def fit(cls: Any, value: Any, exact: bool) -> Any:
    """Return an instance of `cls` with the data of `value`; `None` if the value is unsuitable.

    A data frame stays a data frame, a column a column. JSON has neither: unless `exact`, a list of
    records or a dict of columns becomes a data frame, and a list a column.
    """
    root, name = _root(cls), cls.__name__
    if name in ("Series", "Array", "ChunkedArray"):
        if _is_column(value):
            return _column(root, name, value)
        return None if exact or type(value) is not list else _listed(root, name, value)
    if _is_frame(value):
        return _frame(root, name, value)
    if exact or type(value) not in (list, dict):
        return None
    reason = _no_table(value)
    if reason is not None:
        raise ValueError(reason)
    return _plain(root, name, value)


def _root(value: Any) -> str:
    return str(value.__module__).partition(".")[0]


def _is_frame(value: Any) -> bool:
    kind = type(value)
    return _root(kind) in ("pandas", "polars", "pyarrow") and kind.__name__ in (
        "DataFrame",
        "Table",
        "RecordBatch",
        "RecordBatchReader",
    )


def _is_column(value: Any) -> bool:
    kind = type(value)
    if _root(kind) == "pyarrow":
        return kind.__name__.endswith("Array")
    return _root(kind) in ("pandas", "polars") and kind.__name__ == "Series"


def _no_table(value: Any) -> str | None:
    """Return why a value is no list of dicts, and no dict of lists of one length."""
    if type(value) is list:
        for index, row in enumerate(value):
            if type(row) is not dict:
                return f"row {index} is {type(row).__name__}, and rows are objects"
            for key in row:
                if type(key) is not str:
                    return f"row {index} has the key {key!r:.40}, and names of columns are texts"
        return None
    lengths: dict[str, int] = {}
    for key, column in value.items():
        if type(key) is not str:
            return f"a column is named {key!r:.40}, and names of columns are texts"
        if type(column) is not list:
            return f"column `{key:.40}` is {type(column).__name__}, and columns are lists"
        lengths[key] = len(column)
    if len(set(lengths.values())) < 2:
        return None
    first, count = next(iter(lengths.items()))
    other, found = next(item for item in lengths.items() if item[1] != count)
    return f"column `{first:.40}` has {count} values, and column `{other:.40}` has {found}"


def _through_arrow(value: Any, kind: int, wanted: int) -> Any:
    """Return the same data as an object of another library."""
    made = streams.encode(streams.unread(value))
    if made is None:
        return None
    data = made[1] if isinstance(made[1], bytes) else made[1].to_pybytes()
    return streams.decode(kind, data, wanted)


_WANTED = {"pandas": streams.PANDAS, "polars": streams.POLARS, "pyarrow": streams.PYARROW}


def _frame(root: str, name: str, value: Any) -> Any:
    kind = {"RecordBatch": streams.RECORD_BATCH, "RecordBatchReader": streams.READER}.get(name)
    return _through_arrow(value, streams.TABLE if kind is None else kind, _WANTED[root])


def _column(root: str, name: str, value: Any) -> Any:
    kind = streams.ARRAY if name == "Array" else streams.CHUNKED_ARRAY
    return _through_arrow(value, kind, _WANTED[root])


def _listed(root: str, name: str, value: list[Any]) -> Any:
    library = __import__(root)
    try:
        if root == "pyarrow":
            made = _array(library, value)
            return library.chunked_array([made]) if name == "ChunkedArray" else made
        return _series(root, library, value)
    except Exception as error:
        raise ValueError(_reason(error)) from None


def _plain(root: str, name: str, value: Any) -> Any:
    library = __import__(root)
    try:
        columns = _columns(value)
        if root == "pyarrow":
            arrays = {name: _array(library, cells) for name, cells in columns.items()}
            return streams.of_table(library, library.table(arrays), _kind(name))
        made = {name: _series(root, library, cells) for name, cells in columns.items()}
        if made or root == "polars" or type(value) is dict:
            return library.DataFrame(made)
        # Rows without columns.
        return library.DataFrame(index=library.RangeIndex(len(value)))
    except Exception as error:
        raise ValueError(_reason(error)) from None


def _columns(value: Any) -> dict[str, list[Any]]:
    """Return the columns of records, which may have different keys."""
    if type(value) is dict:
        return value
    names = dict.fromkeys(key for row in value for key in row)
    return {name: [row.get(name) for row in value] for name in names}


def _kinds(cells: list[Any]) -> set[type]:
    return {type(cell) for cell in cells}


def _like_numbers(cells: list[Any]) -> list[Any]:
    """Return whole numbers among floats as floats, since JSON has one kind of numbers."""
    if {int, float} <= _kinds(cells) <= {int, float, type(None)}:
        return [float(cell) if type(cell) is int else cell for cell in cells]
    return cells


def _series(root: str, library: Any, cells: list[Any]) -> Any:
    if root == "pandas":
        return library.Series(_like_numbers(cells), **_nullable(cells))
    kinds = _kinds(cells) - {type(None)}
    if bool in kinds and len(kinds) > 1:
        raise ValueError("a column has truth values among others")
    if not kinds & {list, dict}:
        return library.Series(_like_numbers(cells))
    # A series alone takes its type from the first cells, and cuts others to it.
    rows = [{"": cell} for cell in cells]
    made = library.DataFrame(rows, infer_schema_length=None).to_series(0)
    if not all(map(_is_kept, cells, made.to_list())):
        raise ValueError("the values within a column are of several types")
    return made


def _is_kept(cell: Any, back: Any) -> bool:
    """Return whether a cell is unchanged, with the fields of other cells as `None`."""
    kind = type(cell)
    if kind is dict:
        inner = type(back) is dict and all(
            _is_kept(cell.get(name), value) for name, value in back.items()
        )
        return inner and cell.keys() <= back.keys()
    if kind is list:
        return type(back) is list and len(cell) == len(back) and all(map(_is_kept, cell, back))
    return cell == back and (kind is type(back) or {kind, type(back)} == {int, float})


def _array(pyarrow: Any, cells: list[Any]) -> Any:
    return pyarrow.array(cells, pyarrow.uint64() if _is_unsigned(cells) else None)


def _is_unsigned(cells: list[Any]) -> bool:
    """Return whether the cells are whole numbers of which one needs all 64 bits."""
    whole = int in (kinds := _kinds(cells)) and kinds <= {int, type(None)}
    return whole and any(cell is not None and cell >= 2**63 for cell in cells)


def _nullable(cells: list[Any]) -> dict[str, Any]:
    """Return the dtype of a pandas column of whole numbers or truth values with gaps."""
    kinds = _kinds(cells)
    if type(None) not in kinds:
        return {}
    if kinds == {int, type(None)}:
        return {"dtype": "UInt64" if _is_unsigned(cells) else "Int64"}
    return {"dtype": "boolean"} if kinds == {bool, type(None)} else {}


def _kind(name: str) -> int:
    kinds = {"RecordBatch": streams.RECORD_BATCH, "RecordBatchReader": streams.READER}
    return kinds.get(name, streams.TABLE)


def _reason(error: Exception) -> str:
    return _text.reason(error)
