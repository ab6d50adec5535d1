"""The Python half of the example of data frames: prices of trades, by pandas, polars and pyarrow."""

from collections.abc import Iterator

import pandas as pd
import polars as pl
import pyarrow as pa

from snakepit_bridge import Context, tool


@tool
def means(trades: pd.DataFrame) -> pd.DataFrame:
    """The mean price of each symbol."""
    return trades.groupby("symbol", as_index=False)["price"].mean()


@tool
def in_currency(trades: pl.DataFrame, ctx: Context) -> pl.DataFrame:
    """The trades with their prices in another currency; the host knows the rates."""
    rates = pl.from_arrow(ctx.call_host_tool("rates", symbols=trades["symbol"].unique()))
    joined = trades.join(rates, on="symbol")
    return joined.select("symbol", pl.col("price") * pl.col("rate"))


@tool
def in_parts(trades: pa.Table, rows: int) -> Iterator[pa.RecordBatch]:
    """The trades in parts of so many rows, one after the other."""
    yield from trades.to_batches(max_chunksize=rows)


@tool
def last_trade(ctx: Context) -> dict[str, object]:
    """The last trade of the frame that the session keeps."""
    trades = ctx["trades"]
    return trades.slice(trades.num_rows - 1).to_pylist()[0]
