"""Tools that accept and return data frames."""

from dataclasses import dataclass

import pandas as pd
import polars as pl
import pyarrow as pa

from snakepit_bridge import tool


@dataclass
class Job:
    """A frame in a field."""

    name: str
    data: pd.DataFrame


@tool
def same(value):
    """Return the argument of any type."""
    return value


def class_of(value):
    return f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"


@tool
def name_of(value) -> str:
    """The class of a value without an annotation."""
    return class_of(value)


@tool
def pandas_frame(value: pd.DataFrame) -> dict:
    """Class, shape and columns."""
    return {"class": class_of(value), "shape": value.shape, "columns": list(value.columns)}


@tool
def polars_frame(value: pl.DataFrame) -> dict:
    """Class, shape and columns."""
    return {"class": class_of(value), "shape": value.shape, "columns": value.columns}


@tool
def table(value: pa.Table) -> dict:
    """Class, shape and columns."""
    return {"class": class_of(value), "shape": value.shape, "columns": value.column_names}


@tool
def record_batch(value: pa.RecordBatch) -> str:
    """The class."""
    return class_of(value)


def plain(value):
    """A cell as JSON has it."""
    if value is None or value is pd.NA or value != value:
        return None
    return value.tolist() if hasattr(value, "tolist") else value


@tool
def pandas_rows(value: pd.DataFrame) -> list:
    """The records."""
    rows = value.to_dict("records")
    return [{name: plain(cell) for name, cell in row.items()} for row in rows]


@tool
def polars_rows(value: pl.DataFrame) -> list:
    """The records."""
    return value.to_dicts()


@tool
def table_rows(value: pa.Table) -> list:
    """The records."""
    return value.to_pylist()


@tool
def pandas_series(value: pd.Series) -> list:
    """Class and items."""
    return [class_of(value), value.tolist()]


@tool
def polars_series(value: pl.Series) -> list:
    """Class and items."""
    return [class_of(value), value.to_list()]


@tool
def array(value: pa.Array) -> list:
    """The items, of a class whose name ends with Array."""
    return [isinstance(value, pa.Array), value.to_pylist()]


@tool
def frames(values: dict[str, list[pl.DataFrame]], other: pd.DataFrame | None = None) -> list:
    """The classes of all of them."""
    classes = [class_of(item) for items in values.values() for item in items]
    return [*classes, class_of(other)]


@tool
def job(job: Job) -> list:
    """The class of a field."""
    return [job.name, class_of(job.data)]


@tool
def bad_cell() -> dict:
    """Return a frame that cannot be sent, within a map."""
    return {"parts": [1, pd.DataFrame({"ok": [1], "mixed": [1]}).assign(mixed=[{1}])]}


@tool
def lazy() -> object:
    """Return a lazy frame of polars."""
    return pl.LazyFrame({"a": [1]})


@tool
def made(rows: int, columns: int = 10) -> pd.DataFrame:
    """Return a frame of floats."""
    return pd.DataFrame({f"c{i}": range(rows) for i in range(columns)}, dtype="float64")


@tool
def total(value: pd.DataFrame) -> float:
    """Return the sum of all numbers; the frame is writable."""
    value.iloc[0, 0] += 1.0
    return float(value.to_numpy().sum())


@tool
def batches(count: int):
    """Yield record batches."""
    for number in range(count):
        yield pa.record_batch({"n": [number]})
