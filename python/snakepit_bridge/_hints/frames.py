"""Annotations that name a class of data frames or columns of pandas, polars or pyarrow."""

from __future__ import annotations

from .._frames import streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LIBRARIES = {"pandas": streams.PANDAS, "polars": streams.POLARS, "pyarrow": streams.PYARROW}
_FRAMES = ("DataFrame", "Table", "RecordBatch", "RecordBatchReader")
_COLUMNS = ("Series", "Array", "ChunkedArray")
_SHORT = {"pandas": "pd", "polars": "pl", "pyarrow": "pa"}


def convert(cls: type) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Return the spec and the schema of such a class; `None` for all others."""
    for base in cls.__mro__:
        root = base.__module__.partition(".")[0]
        library = _LIBRARIES.get(root)
        if library is None or base.__name__ not in _FRAMES + _COLUMNS:
            continue
        if base.__qualname__ != base.__name__:
            continue
        spec = ("frame", base, f"{_SHORT[root]}.{base.__name__}", library)
        if base.__name__ in _COLUMNS:
            return spec, {"type": "array"}
        records = {"type": "array", "items": {"type": "object"}}
        columns = {"type": "object", "additionalProperties": {"type": "array"}}
        return spec, {"anyOf": [records, columns]}
    return None
