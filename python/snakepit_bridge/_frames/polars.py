"""Frames and series of polars, written and read by polars itself."""

from __future__ import annotations

from .. import _text
from .streams import POLARS_FRAME, POLARS_SERIES, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def encode(value: Any, polars: Any) -> tuple[int, bytes] | None:
    """Return the kind and the stream of a frame or a series; `None` for other polars objects."""
    if isinstance(value, polars.LazyFrame):
        raise Refused("", "is a lazy query of polars, which has no data", "send `value.collect()`")
    if isinstance(value, polars.Series):
        return POLARS_SERIES, _written(value.to_frame(), polars)
    if isinstance(value, polars.DataFrame):
        return POLARS_FRAME, _written(value, polars)
    return None


def _written(frame: Any, polars: Any) -> bytes:
    for name, dtype in frame.schema.items():
        if "Object" in str(dtype):
            raise Refused(
                f"[{name!r}]",
                f"is a column of {dtype}, which Arrow does not support",
                "convert it, for example with `.map_elements(str, return_dtype=pl.String)`",
            )
    stream = _stream(frame, polars)
    back = decode(polars, _stream(frame.head(0), polars), False).schema
    for name, dtype in frame.schema.items():
        if back.get(name) != dtype:
            raise Refused(
                f"[{name!r}]",
                f"is a column of {dtype}, which would come back as {back.get(name)}",
                "convert it with `.cast(...)`",
            )
    return stream


def _stream(frame: Any, polars: Any) -> bytes:
    # Texts in the form that all readers of Arrow know.
    level = polars.CompatLevel.oldest()
    try:
        return frame.write_ipc_stream(None, compat_level=level).getvalue()
    except Exception as error:
        reason = _text.reason(error)
        raise Refused("", f"cannot be written: {reason}", "convert the column") from None


def decode(polars: Any, data: Any, column: bool) -> Any:
    """Return the frame or the series of a stream."""
    frame = polars.read_ipc_stream(data if isinstance(data, bytes) else data.tobytes())
    return frame.to_series(0) if column else frame
