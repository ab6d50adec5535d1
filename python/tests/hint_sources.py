"""Annotations of every kind as source text, and the module with a tool for each."""

import importlib.util
import re
import sys

from hypothesis import strategies as st

HEAD = """
import collections, datetime, decimal, enum, fractions, ipaddress, pathlib, typing, uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import (
    Annotated, Any, Dict, FrozenSet, Generic, List, Literal, NamedTuple, NewType, Optional, Set,
    Tuple, TypeVar, Union,
)
from typing_extensions import LiteralString, NotRequired, Required, TypedDict, Unpack
import annotated_types as at
from snakepit_bridge import tool

Count = NewType("Count", int)
Number = TypeVar("Number", int, float)
Short = TypeVar("Short", bound=str)
JSON = Union[Dict[str, "JSON"], List["JSON"], str, int, float, bool, None]
Rows = List["Row"]
Row = Dict[str, Union[int, Rows]]

Small = Annotated[int, at.Lt(5)]
Positive = NewType("Positive", Annotated[int, at.Gt(0)])
Any_ = TypeVar("Any_")

@dataclass
class Box(Generic[Any_]):
    value: Any_
    more: "Optional[Box[Any_]]" = None

@dataclass
class IntBox(Box[int]):
    name: Optional[str] = None

class Scale(enum.Enum):
    HALF = 0.5
    ONE = 1.0
    LARGE = 1e16

class Rights(enum.Flag):
    A = 1
    C = 4
    AC = 5

class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"

class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2

class Mixed(enum.Enum):
    NAME = "a"
    TEN = 10
    NONE = None
    FLAG = True
    PAIR = (1, 2)
    DATA = b"x"

class Mode(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4

@dataclass
class Tree:
    value: int
    left: "Optional[Tree]" = None
    children: "List[Tree]" = field(default_factory=list)

@dataclass
class Cat:
    kind: Literal["cat"]
    lives: int = 9

@dataclass
class Dog:
    kind: Literal["dog"]
    name: str

class Menu(TypedDict):
    name: str
    entries: "NotRequired[List[Menu]]"

class Ant(TypedDict):
    kind: Literal["ant", 1]
    legs: NotRequired[int]
"""

MODERN = """
type Pair[T] = tuple[T, T]
type Nested = int | list[Nested]
type Keyed[K, V] = dict[K, list[V]]
"""


def has(name):
    return importlib.util.find_spec(name) is not None


HASHABLE = [
    "int", "float", "bool", "str", "bytes", "Any", "None", "complex",
    "datetime.datetime", "datetime.date", "datetime.time", "datetime.timedelta",
    "decimal.Decimal", "uuid.UUID", "pathlib.Path", "fractions.Fraction",
    "ipaddress.IPv4Address", "ipaddress.IPv6Address", "ipaddress.IPv4Network",
    "Count", "Short", "Color", "Level", "Mixed", "Mode",
    "Scale", "Rights", "Positive", "Annotated[Small, at.Ge(0)]", "Annotated[Positive, at.Lt(9)]",
    "Annotated[Small, at.Lt(9)]", "Annotated[Optional[str], at.MaxLen(2)]", "LiteralString",
    "Literal['a', 'b']", "Literal[1, 2]", "Literal[True, 'x', 0]", "Literal[None]",
    "Literal[Color.RED, 'x']", "Literal[b'x', 'y']",
    "Annotated[int, at.Ge(1), at.Lt(10)]", "Annotated[float, at.Gt(0), at.Le(1)]",
    "Annotated[int, at.Interval(ge=-2, le=2)]", "Annotated[int, at.MultipleOf(3)]",
    "Annotated[float, at.MultipleOf(0.1)]",
    "Annotated[str, at.Len(1, 3)]", "Annotated[str, at.MinLen(2), 'words']",
    "Annotated[Optional[int], at.Ge(0)]", "Annotated[Union[int, str], at.Ge(3), at.MinLen(2)]",
    "Annotated[int, object(), 3]",
]  # fmt: skip

LEAVES = [
    *HASHABLE, "object", "list", "dict", "set", "tuple", "frozenset", "JSON", "Rows", "Tree",
    "Box[int]", "Box[List[str]]", "Box[Box[bool]]", "IntBox", "Box", "bool | Box[float]",
    "Number", "Menu", "Cat | Dog", "Union[Cat, Dog, Ant]", "Ant", "list[Any]", "Tuple[()]",
    "Annotated[List[int], at.MaxLen(2)]", "Annotated[Dict[str, int], at.Len(1, 2)]",
    "Annotated[Set[int], at.Len(2, 3)]", "Annotated[Tuple[int, ...], at.MinLen(1)]",
    "Annotated[Union[List[int], str], at.MinLen(2)]",
    "collections.deque[int]", "collections.OrderedDict[str, int]", "collections.Counter[str]",
    "collections.defaultdict[int, List[int]]", "Annotated[collections.deque[int], at.MaxLen(2)]",
    "collections.deque", "collections.Counter", "typing.Iterator[int]", "typing.AsyncIterator[int]",
    "frozenset[np.number]", "set[np.integer]",
]  # fmt: skip

KEYS = [
    "str", "int", "float", "bool", "None", "Color", "Level", "Mixed", "datetime.date", "uuid.UUID",
    "decimal.Decimal", "datetime.timedelta", "Count", "Literal['a', 1]", "bytes", "Any",
    "Scale", "Rights", "Literal[0.5, 2, True, None]", "datetime.datetime",
    "Optional[int]", "Union[int, str]", "Annotated[str, at.MinLen(2)]", "pathlib.Path",
    "tuple[int, int]",
]  # fmt: skip

if has("pydantic"):
    HEAD += "import pydantic\n"
    HASHABLE += [
        "Annotated[str, pydantic.Field(pattern='^[A-Z]{2}$', description='two letters')]",
        "Annotated[int, pydantic.Field(gt=0, lt=5)]",
    ]
    LEAVES += HASHABLE[-2:]
if has("numpy"):
    HEAD += "import numpy as np\nimport numpy.typing as npt\n"
    SCALARS = [
        "np.int8", "np.uint16", "np.float32", "np.float64", "np.bool_", "np.str_", "np.complex64",
        "np.datetime64", "np.timedelta64", "np.integer", "np.unsignedinteger", "np.number",
        "np.complexfloating",
    ]  # fmt: skip
    HASHABLE += SCALARS
    KEYS += ["np.float64", "np.datetime64", "np.timedelta64", "np.complex128", "np.number"]
    LEAVES += [
        *SCALARS, "np.ndarray", "npt.NDArray[np.int16]", "npt.NDArray[np.uint8]",
        "npt.NDArray[np.float32]", "npt.NDArray[np.bool_]", "npt.NDArray[np.timedelta64]",
        "Annotated[np.ndarray, np.int8, (None, 2)]", "Annotated[np.ndarray, (2,)]",
        "np.ndarray[tuple[int, int], np.dtype[np.float64]]", "Optional[npt.NDArray[np.int8]]",
        "np.ndarray[tuple[Literal[2], int], np.dtype[np.int32]]", "npt.NDArray[np.complex64]",
        "np.ndarray[tuple[int, Literal[2]], np.dtype[np.complex128]]",
        "np.ndarray[tuple[()], np.dtype[np.int8]]", "npt.NDArray[np.datetime64]",
    ]  # fmt: skip
if has("attrs"):
    HEAD += "import attrs\n"
if has("msgspec"):
    HEAD += "import msgspec\n"
    LEAVES += ["Annotated[int, msgspec.Meta(ge=3, description='three')]"]
if sys.version_info >= (3, 12):
    HEAD += MODERN
    LEAVES += ["Pair[int]", "Nested", "Keyed[int, str]", "Pair[Pair[str]]"]

#: How a class with fields is written: its head, and whether a field may have a default.
CLASSES = {
    "dataclass": "@dataclass\nclass {}:",
    "frozen": "@dataclass(frozen=True)\nclass {}:",
    "total": "class {}(TypedDict):",
    "partial": "class {}(TypedDict, total=False):",
    "named tuple": "class {}(NamedTuple):",
    **({"attrs": "@attrs.define\nclass {}:"} if has("attrs") else {}),
    **({"msgspec": "class {}(msgspec.Struct):"} if has("msgspec") else {}),
    **({"tagged": "class {}(msgspec.Struct, tag='tag'):"} if has("msgspec") else {}),
    **({"pydantic": "class {}(pydantic.BaseModel):"} if has("pydantic") else {}),
}


#: Fields of models of pydantic, of which its own schema says what it takes.
OF_MODELS = [
    "int", "float", "bool", "str", "datetime.date", "Optional[int]", "List[int]", "Dict[str, int]",
    "Literal['a', 'b']", "Color", "Annotated[int, pydantic.Field(gt=0, lt=5)]",
]  # fmt: skip


@st.composite
def annotations(draw, depth=2):
    """Return the text of an annotation, and the classes that it needs."""
    classes = []
    return _annotation(draw, depth, classes), classes


def _annotation(draw, depth, classes):
    def inner():
        return _annotation(draw, depth - 1, classes)

    def several(least, most):
        return ", ".join([inner() for _ in range(draw(st.integers(least, most)))])

    def hashable():
        return draw(st.sampled_from(HASHABLE))

    if depth == 0:
        return draw(st.sampled_from(LEAVES))
    shapes = {
        "leaf": lambda: draw(st.sampled_from(LEAVES)),
        "optional": lambda: f"Optional[{inner()}]",
        "union": lambda: f"Union[{several(2, 3)}]",
        "list": lambda: (
            f"{draw(st.sampled_from(['list', 'List', 'Sequence', 'Iterable']))}[{inner()}]"
        ),
        "set": lambda: f"{draw(st.sampled_from(['set', 'FrozenSet']))}[{hashable()}]",
        "tuple": lambda: f"tuple[{several(1, 3)}]",
        "any tuple": lambda: f"tuple[{inner()}, ...]",
        "rest": lambda: f"Tuple[{several(1, 2)}, Unpack[Tuple[{inner()}, ...]]]",
        "dict": lambda: (
            f"{draw(st.sampled_from(['dict', 'Mapping']))}"
            f"[{draw(st.sampled_from(KEYS))}, {inner()}]"
        ),
        "class": lambda: _class(draw, inner, classes),
        "text": lambda: repr(inner()),
        "described": lambda: f"Annotated[{inner()}, 'words', object()]",
    }
    shape = draw(st.sampled_from([*shapes, "class", "class"]))
    return shapes[shape]()


def _class(draw, inner, classes):
    kind = draw(st.sampled_from(list(CLASSES)))
    if kind == "pydantic":

        def inner():
            return draw(st.sampled_from(OF_MODELS))

    lines = []
    fields = [inner() for _ in range(draw(st.integers(1, 3)))]
    defaults = draw(st.integers(0, len(fields)))
    name = f"Class{len(classes)}_"
    for index, annotation in enumerate(fields):
        text = f"    f{index}: {annotation}"
        if kind in ("total", "partial"):
            marks = ["{}", "NotRequired[{}]", "Required[{}]"]
            text = f"    f{index}: {draw(st.sampled_from(marks)).format(annotation)}"
        elif index >= defaults:
            text += " = None"
        lines.append(text)
    if kind not in ("total", "partial", "pydantic") and draw(st.booleans()):
        lines.append(f'    more: "Optional[{name}]" = None')
    if kind == "dataclass" and draw(st.booleans()):
        lines.append("    shown: int = field(init=False, default=1)")
        lines.append("    given: InitVar[int] = 1")
        lines.append("    def __post_init__(self, given): pass")
    classes.append("\n".join([CLASSES[kind].format(name), *lines]))
    return name


def module(generated):
    """Return the adapter: a tool `t0`, `t1`, … for each annotation."""
    parts = [HEAD]
    for number, (annotation, classes) in enumerate(generated):
        parts += [_renamed(text, number) for text in classes]
        parts.append(f"@tool\ndef t{number}(x: {_renamed(annotation, number)}) -> None: ...")
    return "\n\n".join(parts) + "\n"


def _renamed(text, number):
    """Rename the classes of an annotation, so that each annotation has its own."""
    return re.sub(r"Class(\d+)_", rf"Class\1_{number}", text)
