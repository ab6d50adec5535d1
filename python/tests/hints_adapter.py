"""Tools of every kind of annotation."""

import datetime
import fractions
import functools
import pathlib
import sys
import typing
from dataclasses import InitVar, dataclass, field
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal, NamedTuple, TypedDict, TypeVar, Union

import annotated_types as at
import attrs
import msgspec
import numpy as np
import numpy.typing as npt
import pydantic
import pydantic.dataclasses

from snakepit_bridge import tool

if sys.version_info >= (3, 11):
    from typing import Required, Unpack
else:
    from typing_extensions import Required, Unpack

JSON = Union[dict[str, "JSON"], list["JSON"], str, int, float, bool, None]  # noqa: UP007
Number = TypeVar("Number", int, float)
Short = TypeVar("Short", bound=str)
Any_ = TypeVar("Any_")


@dataclass
class Node:
    value: int
    next: "Node | None" = None
    children: "list[Node]" = field(default_factory=list)


@dataclass
class Even:
    to: "Odd | None" = None


@dataclass
class Odd:
    to: Even | None = None


class Chain(NamedTuple):
    value: int
    next: "Chain | None" = None


class Item(pydantic.BaseModel):
    name: str
    tags: list[str] = []
    amount: Annotated[int, pydantic.Field(gt=0)] = 1


@attrs.define
class Point:
    x: int
    y: "float" = 0.0


@dataclass
class Scaled:
    value: float
    by: InitVar[float] = 1.0
    result: float = field(init=False)

    def __post_init__(self, by: float) -> None:
        self.result = self.value * by


@dataclass
class Circle:
    kind: Literal["circle"]
    radius: float


@dataclass
class Square:
    kind: Literal["square"]
    side: float


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    name: str


@attrs.define
class Boat:
    kind: Literal["boat"]
    length: float


class Train(NamedTuple):
    kind: Literal["train"]
    cars: list[int]


@dataclass
class Box(typing.Generic[Any_]):
    value: Any_


@dataclass
class IntBox(Box[int]):
    more: "Box[str] | None" = None


class Struct(msgspec.Struct):
    a: int


class Derived(Struct, kw_only=True):
    b: "list[int]"
    c: int | None = None


@pydantic.dataclasses.dataclass
class Checked:
    a: int = pydantic.Field(gt=3)


class Options(TypedDict, total=False):
    size: "Required[int]"
    name: str


class Plain:
    """A class that the hints do not support."""


def shown(value: object) -> str:
    return f"{type(value).__name__} {value!r}"


@tool
def json_value(x: JSON) -> JSON:
    return x


@tool
def node(x: Node) -> str:
    return shown(x.children[0] if x.children else x.next)


@tool
def even(x: Even) -> str:
    return shown(x.to)


@tool
def chain(x: Chain) -> str:
    return shown(x)


@tool
def model(x: Item) -> str:
    return shown(x)


@tool
def models(x: "list[Item]") -> str:
    return shown(x)


@tool
def point(x: Point) -> str:
    return shown(x)


@tool
def scaled(x: Scaled) -> float:
    return x.result


@tool
def shape(x: Circle | Square) -> str:
    return type(x).__name__


@tool
def pet(x: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]) -> str:
    return type(x).__name__


@tool
def vehicle(x: Boat | Train | Cat) -> str:
    return type(x).__name__


@tool
def int_box(x: IntBox) -> str:
    return shown(x)


@tool
def derived(x: Derived) -> str:
    return shown(x)


@tool
def checked(x: Checked) -> str:
    return shown(x)


@tool
def url(x: pydantic.HttpUrl) -> str:
    return x.host


@tool
def path(x: pathlib.Path) -> str:
    return shown(x)


@tool
def address(x: IPv4Address) -> str:
    return shown(x)


@tool
def fraction(x: fractions.Fraction) -> str:
    return shown(x)


@tool
def any_array(x: np.ndarray) -> str:
    return f"{type(x).__name__} {x.dtype} {x.shape}"


@tool
def typed_array(x: npt.NDArray[np.float32]) -> str:
    return f"{x.dtype} {x.shape}"


@tool
def shaped_array(x: Annotated[np.ndarray, np.int64, (None, 2)]) -> str:
    return f"{x.dtype} {x.shape}"


@tool
def at_least_one(x: Annotated[int, at.Ge(1), at.Lt(10)]) -> int:
    return x


@tool
def short(x: Annotated[str, at.Len(1, 3)]) -> str:
    return x


@tool
def few(x: Annotated[list[int], at.MaxLen(2)]) -> list[int]:
    return x


@tool
def code(x: Annotated[str, pydantic.Field(pattern="^[A-Z]{2}$", description="two letters")]) -> str:
    return x


@tool
def even_number(x: Annotated[int, at.MultipleOf(2)]) -> int:
    return x


@tool
def odd_metadata(x: Annotated[int, object(), {"any": "thing"}, 3]) -> int:
    return x


@tool
def number(x: Number) -> str:
    return shown(x)


@tool
def bounded(x: Short) -> str:
    return shown(x)


@tool
def keyed(x: dict[int, str]) -> str:
    return shown(x)


@tool
def flags(x: dict[bool, int]) -> str:
    return shown(x)


@tool
def data(x: bytes) -> str:
    return shown(x)


@tool
def span(x: datetime.timedelta) -> str:
    return shown(x)


@tool
def whole(x: int) -> str:
    return shown(x)


@tool
def fine(x: float) -> str:
    return shown(x)


@tool
def words(**x: Unpack[Options]) -> str:
    return shown(x)


@tool
def implicit(x: int = None) -> str:  # noqa: RUF013
    return shown(x)


@tool
def unknown(x: Plain, y: "NoSuchName" = 1) -> str:  # noqa: F821
    return shown(x)


@tool
def anything(x: Any, y: object = 1) -> str:
    return shown(x)


def _three(a: int, b: int) -> int:
    return a * b


async def _later(a: int, b: int) -> int:
    return a + b


def _items(a: int, b: int) -> typing.Iterator[int]:
    yield from range(a, b)


tripled = tool(name="tripled")(functools.partial(_three, 3))
later = tool(name="later")(functools.partial(_later, 1))
items = tool(name="items")(functools.partial(_items, b=3))
