"""Data frames as values of variables: read any number of times, and each time unchanged."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LIBRARIES = ("pandas", "polars", "pyarrow")
_COLUMNS = ("Series", "Array", "ChunkedArray")


def is_frame(kind: type) -> bool:
    """Return whether instances of this class are data frames, or columns of one."""
    if callable(getattr(kind, "__arrow_c_stream__", None)):
        return True
    return any(
        base.__name__ in _COLUMNS and base.__module__.partition(".")[0] in _LIBRARIES
        for base in kind.__mro__
    )


def kept(value: Any) -> Any:
    """Return a table for a reader, which can be read only once; other values unchanged."""
    kind = type(value)
    root = kind.__module__.partition(".")[0]
    if root == "pyarrow" and kind.__name__ == "RecordBatchReader":
        return value.read_all()
    if root in _LIBRARIES or not callable(getattr(kind, "__arrow_c_stream__", None)):
        return value
    # An object of another library may be a stream, which ends once.
    pyarrow: Any = sys.modules.get("pyarrow")
    return value if pyarrow is None else pyarrow.table(value)


def copy(value: Any) -> Any:
    """Return a copy of a mutable frame; other values unchanged."""
    root = type(value).__module__.partition(".")[0]
    if root == "polars":
        return value.clone() if callable(getattr(value, "clone", None)) else value
    if root != "pandas" or not callable(getattr(value, "copy", None)):
        return value
    version: Any = sys.modules["pandas"].__version__
    # From version 3 on pandas copies the data when the copy is written to.
    return value.copy(deep=int(version.partition(".")[0]) < 3)
