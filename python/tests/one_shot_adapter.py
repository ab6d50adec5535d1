"""Tools that send and receive data frames which can be read only once."""

from dataclasses import dataclass

import pyarrow as pa

from snakepit_bridge import Context, tool


class Stream:
    """An object of another library whose stream ends once."""

    def __init__(self, reader: pa.RecordBatchReader) -> None:
        self.reader = reader

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.reader.__arrow_c_stream__(requested_schema)


def reader() -> pa.RecordBatchReader:
    table = pa.table({"a": [1, 2]})
    # A generator of batches, which nothing can read again.
    return pa.RecordBatchReader.from_batches(table.schema, (b for b in table.to_batches()))


@dataclass
class Job:
    """A frame in a field."""

    data: object


class Odd:
    """A value that cannot be sent."""


@tool
def twice(value: str) -> object:
    made = reader() if value == "reader" else Stream(reader())
    return [made, {"again": made}]


@tool
def with_odd(value: str) -> object:
    made = reader() if value == "reader" else Stream(reader())
    return {"data": made, "odd": Odd(), "job": Job(made)}


@tool
def put(ctx: Context) -> None:
    ctx["new"] = [reader(), {"x": Job(Stream(reader()))}]


@tool
async def put_async(ctx: Context) -> None:
    ctx["new"] = (reader(), {"x": Job(Stream(reader()))})


@tool
def update(ctx: Context) -> int:
    return ctx.update_variable("known", lambda _: reader()).num_rows


@tool
def stream(ctx: Context) -> list:
    got = []
    items = ctx.host_tools["rows"]
    items.streaming = True
    opened = items.stream_async(reader())
    for _ in range(2):
        try:
            got.append(list(opened))
        except Exception as error:
            got.append(str(error))
    return got


@tool
def one_of(value: list[pa.Table] | list) -> list:
    return [type(value[0]).__name__, value[0].read_all().num_rows]


@tool
def tables_or_more(value: dict[str, pa.Table] | dict[str, pa.RecordBatch | int]) -> list:
    return [value["a"].num_rows, value["b"]]
