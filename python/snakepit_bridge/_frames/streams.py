"""Data frames between Python and Arrow IPC streams: pandas, polars, pyarrow, and others.

A data frame is written by a library that the tool has imported. A received one is created by the
library of the annotation, else by the one that sent it, else by pyarrow.
"""

from __future__ import annotations

import sys

from .. import _text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Numbers of the kinds on the wire.
ARROW, PANDAS_FRAME, PANDAS_SERIES, POLARS_FRAME, POLARS_SERIES = range(5)
TABLE, RECORD_BATCH, ARRAY, CHUNKED_ARRAY, READER = range(5, 10)

#: Libraries that annotations may name, as bits.
PANDAS, POLARS, PYARROW = 1, 2, 4

_COLUMNS = (PANDAS_SERIES, POLARS_SERIES, ARRAY, CHUNKED_ARRAY)

#: Longest stream: the length of an extension has 32 bits.
_MOST = 2**32 - 2**16


class Refused(Exception):
    """A data frame that cannot be sent: the place in it, the reason, and the line to write."""

    def __init__(self, path: str, what: str, help: str) -> None:
        """Keep the fields; `path` are the steps from the data frame to the place."""
        super().__init__(path, what, help)


def loaded(name: str) -> Any:
    """Return a library if user code has imported all of it."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    return None if getattr(spec, "_initializing", False) else module


def encode(value: Any) -> tuple[int, Any] | None:
    """Return a data frame's kind and its stream, bytes or a buffer; `None` for other values."""
    kind = type(value)
    roots = {base.__module__.partition(".")[0] for base in kind.__mro__}
    if "pandas" in roots:
        return _of_pandas(value)
    if "polars" in roots:
        from . import polars as _frames_polars

        return _frames_polars.encode(value, loaded("polars"))
    if "pyarrow" in roots:
        return _of_pyarrow(value, loaded("pyarrow"))
    if callable(getattr(kind, "__arrow_c_stream__", None)):
        return _of_stream(value)
    return None


def _of_pandas(value: Any) -> tuple[int, Any] | None:
    pandas = loaded("pandas")
    series = isinstance(value, pandas.Series)
    if not series and not isinstance(value, pandas.DataFrame):
        return None
    pa = loaded("pyarrow")
    if pa is None:
        instead = "value.tolist()" if series else 'value.to_dict("list")'
        raise Refused(
            "",
            "needs pyarrow to be sent",
            f"install pyarrow (`pip install pyarrow`), or send `{instead}`",
        )
    from . import pandas as _frames_pandas

    table = _frames_pandas.table(value, pandas, pa)
    return (PANDAS_SERIES if series else PANDAS_FRAME), _written(pa, table)


def _of_pyarrow(value: Any, pa: Any) -> tuple[int, Any] | None:
    if isinstance(value, pa.Table):
        return TABLE, _written(pa, value)
    if isinstance(value, pa.RecordBatch):
        return RECORD_BATCH, _written(pa, value)
    if isinstance(value, pa.ChunkedArray):
        return CHUNKED_ARRAY, _written(pa, pa.Table.from_arrays([value], names=[""]))
    if isinstance(value, pa.Array):
        return ARRAY, _written(pa, pa.RecordBatch.from_arrays([value], names=[""]))
    if isinstance(value, pa.RecordBatchReader):
        return READER, _read_and_written(pa, value)
    return None


def _of_stream(value: Any) -> tuple[int, Any]:
    """Convert an object of another library by Arrow's protocol for streams."""
    pa, polars = loaded("pyarrow"), loaded("polars")
    if pa is not None:
        try:
            reader = pa.RecordBatchReader.from_stream(value)
        except (pa.ArrowException, TypeError):
            return CHUNKED_ARRAY, _of_pyarrow(pa.chunked_array(value), pa)[1]  # type: ignore[index]
        return ARROW, _read_and_written(pa, reader)
    if polars is not None:
        from . import polars as _frames_polars

        frame = polars.DataFrame(value)
        return ARROW, _frames_polars.encode(frame, polars)[1]  # type: ignore[index]
    raise Refused(
        "",
        "needs pyarrow or polars to be sent",
        "add `import pyarrow` to the module of the tool, or send its columns as lists",
    )


def _written(pa: Any, data: Any) -> Any:
    """Return the stream of a table or a record batch, in one buffer of the exact size."""

    def write(sink: Any) -> None:
        with pa.ipc.new_stream(sink, data.schema, options=_options(pa)) as writer:
            writer.write(data)

    try:
        size = pa.MockOutputStream()
        write(size)
        if size.size() > _MOST:
            raise Refused("", f"is a frame of {size.size()} bytes", "send it in parts")
        buffer = pa.allocate_buffer(size.size())
        write(pa.FixedSizeBufferWriter(buffer))
    except pa.ArrowException as error:
        raise _unwritable(error) from None
    return buffer


def _read_and_written(pa: Any, reader: Any) -> Any:
    """Return the stream of all batches of a reader, which is then at its end."""
    sink = pa.BufferOutputStream()
    try:
        with pa.ipc.new_stream(sink, reader.schema, options=_options(pa)) as writer:
            for batch in reader:
                writer.write_batch(batch)
                if sink.tell() > _MOST:
                    raise Refused("", "is a reader of more than 4 GiB", "send it in parts")
    except pa.ArrowException as error:
        raise _unwritable(error) from None
    return sink.getvalue()


def _options(pa: Any) -> Any:
    return pa.ipc.IpcWriteOptions(compression=None, unify_dictionaries=False)


def _unwritable(error: Exception) -> Refused:
    reason = _text.reason(error)
    return Refused("", f"cannot be written as Arrow: {reason}", "convert the column, and send it")


def decode(kind: int, data: Any, wanted: int) -> Any:
    """Return the object of a stream; `data` is bytes, or a buffer of its own.

    `wanted` are the libraries that the annotation names, any if it is 0.
    """
    sent = PANDAS if kind in (1, 2) else POLARS if kind in (3, 4) else PYARROW
    library = sent
    if wanted and not wanted & sent:
        library = PYARROW if wanted & PYARROW else PANDAS if wanted & PANDAS else POLARS
    column = kind in _COLUMNS
    try:
        return _made(kind, library, column, data)
    except (ImportError, ValueError):
        raise
    except Exception as error:
        raise ValueError(_reason(error)) from None
    except BaseException as error:
        # polars raises a class that is no `Exception` for bytes that it did not expect.
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(_reason(error)) from None


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {_text.reason(error)}"


def _made(kind: int, library: int, column: bool, data: Any) -> Any:
    if library == POLARS and kind in (POLARS_FRAME, POLARS_SERIES, ARROW):
        polars = _imported("polars", "polars")
        if polars is not None:
            from . import polars as _frames_polars

            return _frames_polars.decode(polars, data, column)
    pa = _imported("pyarrow", "data frames")
    table = _table(pa, data)
    if library == PANDAS:
        pandas = _imported("pandas", "pandas")
        if pandas is not None:
            from . import pandas as _frames_pandas

            return _frames_pandas.from_table(table, column, pandas, pa)
    if library == POLARS:
        polars = _imported("polars", "polars")
        if polars is not None:
            frame = polars.from_arrow(table)
            return frame.to_series(0) if column else frame
    return of_table(pa, table, kind)


def of_table(pa: Any, table: Any, kind: int) -> Any:
    """Return the pyarrow object of this kind."""
    if kind == RECORD_BATCH:
        return record_batch(pa, table)
    if kind == READER:
        return _reader(table)
    if kind in _COLUMNS:
        values = table.column(0)
        if kind != ARRAY:
            return values
        return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
    return table


#: Tables of received readers, which a union may convert more than once.
_tables: Any = None


def _reader(table: Any) -> Any:
    """Return a reader of a table, and keep the table as long as the reader lives."""
    global _tables
    if _tables is None:
        from weakref import WeakKeyDictionary

        _tables = WeakKeyDictionary()
    reader = table.to_reader()
    _tables[reader] = table
    return reader


def unread(value: Any) -> Any:
    """Return the table of a received reader that no tool has got yet; other values unchanged."""
    is_reader = type(value).__name__ == "RecordBatchReader"
    return _tables.get(value, value) if is_reader and _tables is not None else value


def record_batch(pa: Any, table: Any) -> Any:
    """Return a table as one record batch."""
    batches = table.to_batches()
    if len(batches) > 1:
        batches = table.combine_chunks().to_batches()
    if batches:
        return batches[0]
    return pa.RecordBatch.from_arrays(
        [pa.array([], field.type) for field in table.schema], schema=table.schema
    )


def _table(pa: Any, data: Any) -> Any:
    """Return a table whose values are all validated: its bytes come from another process."""
    buffer = data if isinstance(data, bytes) else pa.foreign_buffer(*data.region(), base=data)
    reader = pa.ipc.open_stream(pa.py_buffer(buffer))
    batches = list(reader)
    for batch in batches:
        batch.validate(full=True)
    return pa.Table.from_batches(batches, schema=reader.schema)


def _imported(name: str, what: str) -> Any:
    """Return a library. A received data frame needs one even if the tool has imported none."""
    module = loaded(name)
    if module is not None:
        return module
    try:
        return __import__(name)
    except ImportError:
        if name != "pyarrow":
            # A table of pyarrow serves as well.
            return None
        raise ImportError(
            f"{what} need pyarrow, which this interpreter lacks: `pip install pyarrow`"
        ) from None
