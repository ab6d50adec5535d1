"""Tools that take and give data frames."""

import pandas as pd
import polars as pl
import pyarrow as pa

from snakepit_bridge import SessionContext, tool


@tool
def described(value) -> dict:
    """Class and columns of a frame without an annotation."""
    name = f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
    columns = value.column_names if isinstance(value, pa.Table) else list(value.columns)
    return {"class": name, "columns": columns}


@tool
def doubled(value: pd.DataFrame) -> pd.DataFrame:
    """Every number twice."""
    return value * 2


@tool
def sorted_by(value: pl.DataFrame, column: str) -> pl.DataFrame:
    """The rows in order."""
    return value.sort(column)


@tool
def indexed() -> pd.DataFrame:
    """A frame that Rust cannot represent: an index, categories, a time zone."""
    return pd.DataFrame(
        {"c": pd.Categorical(["x", "y"]), "t": pd.date_range("2024", periods=2, tz="Europe/Berlin")},
        index=pd.Index(["a", "b"], name="key"),
    )


@tool
def same_indexed(value) -> bool:
    """Returns whether that frame came back unchanged."""
    pd.testing.assert_frame_equal(value, indexed(), check_freq=False)
    return True


@tool
def column() -> pl.Series:
    """One column."""
    return pl.Series("n", [1, None, 3])


@tool
def parts(count: int):
    """Yield record batches."""
    for number in range(count):
        yield pa.record_batch({"n": [number, number + 1]})


@tool
def refused() -> pd.DataFrame:
    """A frame with cells of several types."""
    return pd.DataFrame({"good": [1], "mixed": [object()]})


@tool
def through_the_host(context: SessionContext) -> list:
    """Passes a frame to a host tool."""
    frame = pl.DataFrame({"a": [1, 2]})
    answer = context.host_tools["rows"](frame=frame)
    return [type(frame).__name__, answer]
