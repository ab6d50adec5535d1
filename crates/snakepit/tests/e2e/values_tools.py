"""Tools that evaluate expressions, and compare received values with them."""

import array  # noqa: F401
import collections
import dataclasses
import datetime  # noqa: F401
import decimal
import enum
import math
import uuid  # noqa: F401
from collections.abc import Iterator
from typing import Any

from snakepit_bridge import Array, Context, tool


@dataclasses.dataclass
class Point:
    x: float
    y: float


class Color(enum.Enum):
    RED = "red"


Pair = collections.namedtuple("Pair", "a b")


def evaluated(expression: str) -> Any:
    """The value of an expression of the table; imports the library that it names."""
    names = dict(globals())
    for name in ("np", "pd", "pl", "pa"):
        if f"{name}." in expression:
            library = {"np": "numpy", "pd": "pandas", "pl": "polars", "pa": "pyarrow"}[name]
            names[name] = __import__(library)
    return eval(expression, names)


def same(a: Any, b: Any) -> bool:
    """Returns whether two values are equal and of the same types at every depth; NaN equals NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return a == b and math.copysign(1, a) == math.copysign(1, b) or (a != a and b != b)
    if isinstance(a, decimal.Decimal):
        return str(a) == str(b)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a), list(b)) and same(list(a.values()), list(b.values()))
    if hasattr(a, "equals"):
        # Frames and columns; what they show has their types and their index.
        return bool(a.equals(b)) and str(a) == str(b)
    if hasattr(a, "dtype"):
        same_kind = a.dtype == b.dtype and a.shape == b.shape
        return same_kind and memoryview_of(a) == memoryview_of(b)
    return bool(a == b)


def memoryview_of(a: Any) -> bytes:
    return a.data.tobytes() if isinstance(a, Array) else a.tobytes()


@tool
def libraries(names: list[str]) -> list[str]:
    """Returns the installed ones of these libraries."""
    from importlib.util import find_spec

    return [name for name in names if find_spec(name) is not None]


@tool
def made(expression: str):
    return evaluated(expression)


@tool
def differs(expression: str, value) -> str:
    """Returns the difference; empty if there is none."""
    expected = evaluated(expression)
    if same(value, expected):
        return ""
    return f"{type(value).__name__} {value!r}, expected {type(expected).__name__} {expected!r}"


@tool
def echo(value):
    return value


@tool
def twice(value) -> Iterator[Any]:
    yield value
    yield value


@tool
def asked(value, ctx: Context):
    """Returns the result of a host tool."""
    return ctx.call_host_tool("give_back", value=value)


@tool
def kept(value, ctx: Context) -> None:
    """Returns a value that was part of a variable, twice, the second time from the host."""
    ctx["kept"] = [value]
    ctx.invalidate()
    ctx["again"] = {"x": ctx["kept"][0]}


@tool
def turned(x):
    """Returns a view of the same elements in another order."""
    return x.T


@tool
def numbers(ctx: Context) -> list[int]:
    """Stores a list of integers, which stays one when it is read again."""
    ctx["x"] = [1, 2, 3]
    ctx.invalidate()
    read = ctx["x"]
    assert type(read) is list and all(type(number) is int for number in read), read
    ctx["x"] = [*read, 4]
    return ctx["x"]


@tool
def rows(ctx: Context) -> list[list[float]]:
    """An embedding of several vectors."""
    ctx.register_variable("rows", "embedding", [[1.0, 2.0], [3.0, 4.0]], {"dimensions": 2})
    ctx.invalidate()
    read = ctx["rows"]
    return read.tolist() if hasattr(read, "tolist") else read
