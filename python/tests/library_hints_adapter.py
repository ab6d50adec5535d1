"""Tools whose hints are classes of `collections`, numpy and msgspec."""

import collections
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator
from typing import Annotated, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from snakepit_bridge import tool


def shown(value: object) -> str:
    return f"{type(value).__name__} {value!r}"


@tool
def any_array(x: np.ndarray) -> str:
    return f"{type(x).__name__} {x.dtype} {x.shape}"


@tool
def typed_array(x: npt.NDArray[np.float32]) -> str:
    return f"{x.dtype} {x.shape}"


class Car(msgspec.Struct, tag="car"):
    wheels: int = 4


class Bike(msgspec.Struct, tag="bike"):
    wheels: int = 2


@tool
def tagged(x: Car | Bike) -> object:
    return [shown(x), x]


@tool
def one_tagged(x: Car) -> str:
    return shown(x)


@tool
def queue(x: collections.deque[float]) -> str:
    return shown(x)


@tool
def ordered(x: collections.OrderedDict[int, str]) -> str:
    return shown(x)


@tool
def counted(x: collections.Counter) -> str:
    return shown(x)


@tool
def grouped(x: collections.defaultdict[str, list[int]]) -> str:
    return f"{x['missing']} {shown(dict(x))}"


@tool
def small_float(x: np.float32) -> str:
    return shown(x)


@tool
def small_int(x: np.int8 | None = None) -> str:
    return shown(x)


@tool
def truth(x: np.bool_) -> str:
    return shown(bool(x))


@tool
def scores(x: dict[np.int64, np.float64]) -> str:
    return f"{[type(part).__name__ for pair in x.items() for part in pair]} {sum(x.values())}"


@tool
def bytes_array(x: npt.NDArray[np.uint8]) -> str:
    return f"{x.dtype} {x.tolist()}"


@tool
def matrix(x: np.ndarray[tuple[int, Literal[2]], np.dtype[np.float64]]) -> str:
    return f"{x.dtype} {x.tolist()}"


def scalar(value: np.generic) -> str:
    """The class, the type and the value."""
    return f"{type(value).__name__} {value.dtype} {value}"


@tool
def moment(x: np.datetime64) -> str:
    return scalar(x)


@tool
def span(x: np.timedelta64) -> str:
    return scalar(x)


@tool
def small_complex(x: np.complex64) -> str:
    return scalar(x)


@tool
def plain_complex(x: complex | str) -> str:
    return shown(x)


@tool
def whole(x: np.integer) -> str:
    return scalar(x)


@tool
def number(x: np.number) -> str:
    return scalar(x)


@tool
def double(x: np.floating) -> str:
    return scalar(x)


@tool
def timed(x: dict[np.datetime64, np.timedelta64]) -> str:
    return " ".join(scalar(part) for pair in x.items() for part in pair)


@tool
def complexes(x: npt.NDArray[np.complex64]) -> str:
    return f"{x.dtype} {x.shape} {x.tolist()}"


@tool
def hours(x: Annotated[np.ndarray, np.dtype("datetime64[h]")]) -> str:
    return str(x.dtype)


@tool
def spans(x: npt.NDArray[np.timedelta64]) -> str:
    return f"{x.dtype} {x.astype(int).tolist()}"


@tool
def iterated(y: Iterator[int] | None = None) -> str:
    return f"{y and next(y)} {y and next(y)}"


@tool
async def drained(
    a: AsyncIterator[int],
    b: AsyncIterable[float],
    c: AsyncGenerator[str, None],
    d: AsyncIterator[int] | None = None,
) -> str:
    found = []
    for items in (a, b, c, d):
        if items is not None:
            found.append([item async for item in items])
    await c.aclose()
    return repr(found)


@tool
def days(x: npt.NDArray[np.datetime64]) -> str:
    return f"{x.dtype} {x.tolist()}"
