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
def stepped() -> pd.DataFrame:
    """A frame whose index counts in steps, and one of periods."""
    index = pd.RangeIndex(10, 4, -2, name="day")
    return pd.DataFrame({"x": [1, 2, 3]}, index=index)


@tool
def periods() -> pd.DataFrame:
    """Periods of every length and other types that stand for others, each with its text."""
    day = pd.date_range("1969-12-25 23:59:59.123456789", periods=40, freq="19D5h7min")
    columns = {}
    freqs = ["Y", "Y-JUN", "Q", "Q-JAN", "M", "2M", "W", "W-WED", "B", "D", "h", "min", "s"]
    for freq in [*freqs, "ms", "us", "ns"]:
        column = day.to_period(freq)
        columns[freq] = column
        columns[f"{freq} text"] = column.astype(str)
    index = pd.PeriodIndex(day.to_period("M"), name="month")
    return pd.DataFrame({name: list(column) for name, column in columns.items()}, index=index)


@tool
def stand_ins() -> pa.Table:
    """Types of Arrow that stand for other types."""
    frame = pd.DataFrame({"interval": pd.arrays.IntervalArray.from_breaks([0, 1, 2])})
    table = pa.Table.from_pandas(frame)
    table = table.append_column("uuid", pa.array([b"0123456789abcdef"] * 2, pa.uuid()))
    return table.append_column("flag", pa.array([True, False]).cast(pa.bool8()))


@tool
def remembered(context: SessionContext) -> list:
    """Set, read and change variables that are frames."""
    made = {
        "pandas": pd.DataFrame({"a": [1, 2]}, index=["x", "y"]),
        "polars": pl.DataFrame({"a": [1, None]}),
        "arrow": pa.table({"a": [1, 2]}),
        "column": pl.Series("a", [1, 2]),
        "series": pd.Series([1.5], name="s"),
        "array": pa.array([1, None]),
        "reader": pa.table({"a": [1, 2]}).to_reader(),
    }
    kinds = []
    for name, value in made.items():
        context[name] = value
        for _ in range(2):
            read = context[name]
            if name != "reader":
                assert type(read) is type(value) and read.equals(value), (name, read)
            # Who writes to what was read changes no other reading.
            if name == "pandas":
                read.loc["x", "a"] = 5
            elif name == "polars":
                read[0, "a"] = 5
        kinds.append(context.variable(name).type)
        context[name] = context[name]
        context.invalidate()
        kinds.append(type(context[name]).__name__)
    assert context["reader"].to_pydict() == {"a": [1, 2]}
    context["readers"] = [pa.table({"a": [1, 2]}).to_reader(), {"b": 1}]
    context.invalidate()
    for _ in range(2):
        assert context["readers"][0].to_pydict() == {"a": [1, 2]}
    context["many"] = [made["polars"], {"x": made["pandas"]}]
    context["many"][1]["x"].loc["x", "a"] = 5
    assert context["many"][1]["x"].equals(made["pandas"])
    return kinds


@tool
def from_rust(context: SessionContext) -> list:
    """What the host has set."""
    read = context["from_rust"]
    return [type(read).__name__, read["n"].tolist()]


@tool
def from_grpc(context: SessionContext) -> list:
    """What a client has set."""
    read = context["from_rust"]
    return [type(read).__module__.partition(".")[0], read["n"].to_list()]


@tool
def through_the_host(context: SessionContext) -> list:
    """Passes a frame to a host tool, and gets one back."""
    frame = pl.DataFrame({"a": [1, 2]})
    answer = context.host_tools["rows"](frame=frame)
    back = context.host_tools["with_rows"](frame=frame)
    assert back.equals(frame), back
    return [type(back).__name__, answer]
