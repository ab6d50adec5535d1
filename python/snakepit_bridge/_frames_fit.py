"""Conversion of values for parameters annotated with a class of data frames or columns."""

from . import _frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def fit(cls: "Any", value: "Any", exact: bool) -> "Any":
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
    if exact or not _is_plain(value):
        return None
    return _plain(root, name, value)


def _root(value: "Any") -> str:
    return str(value.__module__).partition(".")[0]


def _is_frame(value: "Any") -> bool:
    kind = type(value)
    return _root(kind) in ("pandas", "polars", "pyarrow") and kind.__name__ in (
        "DataFrame",
        "Table",
        "RecordBatch",
        "RecordBatchReader",
    )


def _is_column(value: "Any") -> bool:
    kind = type(value)
    if _root(kind) == "pyarrow":
        return kind.__name__.endswith("Array")
    return _root(kind) in ("pandas", "polars") and kind.__name__ == "Series"


def _is_plain(value: "Any") -> bool:
    """Return whether a value is a list of dicts, or a dict of lists of one length."""
    if type(value) is list:
        return all(type(row) is dict for row in value)
    if type(value) is not dict or not all(type(name) is str for name in value):
        return False
    columns = list(value.values())
    return all(type(column) is list for column in columns) and len(set(map(len, columns))) < 2


def _through_arrow(value: "Any", kind: int, wanted: int) -> "Any":
    """Return the same data as an object of another library."""
    made = _frames.encode(value)
    if made is None:
        return None
    data = made[1] if isinstance(made[1], bytes) else made[1].to_pybytes()
    return _frames.decode(kind, data, wanted)


_WANTED = {"pandas": _frames.PANDAS, "polars": _frames.POLARS, "pyarrow": _frames.PYARROW}


def _frame(root: str, name: str, value: "Any") -> "Any":
    kind = {"RecordBatch": _frames.RECORD_BATCH, "RecordBatchReader": _frames.READER}.get(name)
    return _through_arrow(value, _frames.TABLE if kind is None else kind, _WANTED[root])


def _column(root: str, name: str, value: "Any") -> "Any":
    kind = _frames.ARRAY if name == "Array" else _frames.CHUNKED_ARRAY
    return _through_arrow(value, kind, _WANTED[root])


def _listed(root: str, name: str, value: "list[Any]") -> "Any":
    library = __import__(root)
    try:
        if root == "pyarrow":
            made = library.array(value)
            return library.chunked_array([made]) if name == "ChunkedArray" else made
        return library.Series(value)
    except Exception as error:
        raise ValueError(_reason(error)) from None


def _plain(root: str, name: str, value: "Any") -> "Any":
    library = __import__(root)
    try:
        if root != "pyarrow":
            return library.DataFrame(value)
        make = library.Table.from_pylist if type(value) is list else library.Table.from_pydict
        return _frames.of_table(library, make(value), _kind(name))
    except Exception as error:
        raise ValueError(_reason(error)) from None


def _kind(name: str) -> int:
    kinds = {"RecordBatch": _frames.RECORD_BATCH, "RecordBatchReader": _frames.READER}
    return kinds.get(name, _frames.TABLE)


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
