"""Conversion of type hints into specs and JSON Schema."""

import collections.abc as abc
import dataclasses
import datetime
import decimal
import enum
import json
import sys
import types
import typing
import uuid
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar, Union

import pytest

import snakepit_bridge
from snakepit_bridge._hints import schema as _schema
from snakepit_bridge._load.tool import Sources, Tool
from snakepit_bridge.adapter import ToolOptions


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


class Mode(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Node:
    value: int
    children: "list[Node]" = dataclasses.field(default_factory=list)
    kind: typing.ClassVar[str] = "node"


class Options(TypedDict, total=False):
    name: "str"
    size: int


class Own:
    """A class of the user that has the same name."""


Own.__name__ = "Context"


class Pair(NamedTuple):
    left: int
    right: str = ""


UserId = NewType("UserId", int)
T = TypeVar("T")
POINT_FIELDS = (
    ("x", ("float",), True),
    ("y", ("float",), False),
    ("tags", ("list", ("str",)), False),
)
POINT = ("dataclass", Point, POINT_FIELDS)
ARRAY = {"type": "array"}


SCALARS = {"type": ["null", "boolean", "number", "string"]}


def convert(annotation):
    return _schema.Scope(globals()).convert(annotation)


def unpatterned(schema):
    """Return a schema without patterns, which `test_hints_agree` covers."""
    if isinstance(schema, list):
        return [unpatterned(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: unpatterned(part) for key, part in schema.items() if key != "pattern"}


def zoned(name):
    return {"type": "string", "anyOf": [{"format": name}, {"format": f"local-{name}"}]}


@pytest.mark.parametrize(
    ("annotation", "spec", "schema"),
    [
        (int, ("int",), {"type": "integer"}),
        (float, ("float",), {"type": "number"}),
        (str, ("str",), {"type": "string"}),
        (bool, ("bool",), {"type": "boolean"}),
        (None, ("none",), {"type": "null"}),
        (bytes, ("bytes",), {"type": "string", "contentEncoding": "base64"}),
        (Any, ("any",), {}),
        (object, ("any",), {}),
        (T, ("any",), {}),
        (Sources, ("any",), {}),
        (3, ("any",), {}),
        ([], ("any",), {}),
        ("NoSuchName", ("any",), {}),
        ("int", ("int",), {"type": "integer"}),
        (UserId, ("int",), {"type": "integer"}),
        (list, ("list", ("any",)), ARRAY),
        (typing.List, ("list", ("any",)), ARRAY),
        (list[int], ("list", ("int",)), {**ARRAY, "items": {"type": "integer"}}),
        (typing.List[int], ("list", ("int",)), {**ARRAY, "items": {"type": "integer"}}),
        (list["int"], ("list", ("int",)), {**ARRAY, "items": {"type": "integer"}}),
        (abc.Sequence[int], ("list", ("int",)), {**ARRAY, "items": {"type": "integer"}}),
        (typing.Iterable[int], ("list", ("int",)), {**ARRAY, "items": {"type": "integer"}}),
        (set[int], ("set", ("int",), False), {**ARRAY, "items": {"type": "integer"}}),
        (frozenset, ("frozenset", ("any",), False), {**ARRAY, "items": SCALARS}),
        (set[list[int]], ("set", ("list", ("int",)), False), {**ARRAY, "maxItems": 0}),
        (tuple, ("vartuple", ("any",)), ARRAY),
        (tuple[int, ...], ("vartuple", ("int",)), {**ARRAY, "items": {"type": "integer"}}),
        (
            tuple[int, str],
            ("tuple", (("int",), ("str",))),
            {
                **ARRAY,
                "minItems": 2,
                "maxItems": 2,
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
            },
        ),
        (tuple[()], ("tuple", ()), {**ARRAY, "minItems": 0, "maxItems": 0}),
        (
            Pair,
            ("namedtuple", Pair, (("left", ("int",), True), ("right", ("str",), False))),
            {"$ref": "#/$defs/Pair"},
        ),
        (dict, ("dict", ("any",), ("any",)), {"type": "object", "additionalProperties": True}),
        (
            dict[str, int],
            ("dict", ("str",), ("int",)),
            {"type": "object", "additionalProperties": {"type": "integer"}},
        ),
        (
            typing.Mapping[str, int],
            ("dict", ("str",), ("int",)),
            {"type": "object", "additionalProperties": {"type": "integer"}},
        ),
        (
            int | None,
            ("union", (("int",), ("none",))),
            {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        ),
        (
            Optional[int],
            ("union", (("int",), ("none",))),
            {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        ),
        (
            Union[int, "str"],
            ("union", (("int",), ("str",))),
            {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        ),
        (Literal["a", 1], ("literal", ("a", 1)), {"enum": ["a", 1]}),
        (Literal[Color.RED], ("literal", (Color.RED,)), {"enum": ["red"]}),
        (Literal[b"x"], ("literal", (b"x",)), {"enum": [{"$bytes": "eA=="}]}),
        (Color, ("enum", Color, None), {"enum": ["red", "blue"]}),
        (Level, ("enum", Level, None), {"enum": [1]}),
        (Mode, ("enum", Mode, 3), {"enum": [0, 1, 2, 3]}),
        (Annotated[int, "how many"], ("int",), {"type": "integer", "description": "how many"}),
        (datetime.datetime, ("datetime",), zoned("date-time")),
        (datetime.date, ("date",), {"type": "string", "format": "date"}),
        (datetime.time, ("time",), zoned("time")),
        (
            datetime.timedelta,
            ("timedelta",),
            {
                "anyOf": [
                    {"type": "string", "format": "duration"},
                    {"type": "number", "minimum": -86399999913600, "exclusiveMaximum": 864e11},
                ]
            },
        ),
        (uuid.UUID, ("uuid",), {"type": "string", "format": "uuid"}),
        (
            decimal.Decimal,
            ("decimal",),
            {"anyOf": [{"type": "string", "format": "decimal"}, {"type": "integer"}]},
        ),
        (Point, POINT, {"$ref": "#/$defs/Point"}),
        (
            Options,
            ("typeddict", "Options", (("name", ("str",), False), ("size", ("int",), False))),
            {"$ref": "#/$defs/Options"},
        ),
    ],
)
def test_annotations_become_specs_and_schemas(annotation, spec, schema):
    got, published = convert(annotation)
    assert (got, unpatterned(published)) == (spec, schema)


def test_a_recursive_dataclass_ends():
    scope = _schema.Scope(globals())
    spec, schema = scope.convert(Node)
    inner = ("children", ("list", ("ref", "Node")), False)
    assert spec == ("def", "Node", ("dataclass", Node, (("value", ("int",), True), inner)))
    assert schema == {"$ref": "#/$defs/Node"}
    assert scope.defs["Node"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert scope.defs["Node"]["required"] == ["value"]


def make(function, **options):
    return Tool(function, ToolOptions(**options), None, Sources())


def test_the_parameter_schema_has_defaults_and_definitions():
    def f(p: Point, n: int = 3, c: Color = Color.BLUE, weird: object = object()): ...

    schema = json.loads(make(f).parameters_schema)
    assert schema["required"] == ["p"]
    assert schema["properties"]["n"] == {"type": "integer", "default": 3}
    assert schema["properties"]["c"]["default"] == "blue"
    assert schema["properties"]["weird"] == {}
    assert schema["$defs"]["Point"]["properties"]["y"] == {"type": "number", "default": 0.0}
    assert schema["additionalProperties"] is False


def test_an_implicit_optional_accepts_none():
    def f(x: int = None): ...  # noqa: RUF013

    assert make(f).params == [("x", 1, False, ("union", (("int",), ("none",))))]


def test_the_context_is_found_by_name_or_annotation():
    def by_name(x, ctx): ...
    def by_text(x, c: "Context"): ...  # noqa: F821
    def by_optional_text(x, *, c: "Context | None" = None): ...  # noqa: F821
    def by_long_name(x, context): ...
    def a_number(x, ctx: int = 4096): ...
    def with_default(x, context="here"): ...
    def own_class(x, c: Own): ...
    def own_class_by_text(x, c: "Context"): ...  # noqa: F821

    functions = (by_name, by_text, by_optional_text, by_long_name)
    assert [make(f).context for f in functions] == ["ctx", "c", "c", "context"]
    assert [make(f).context for f in (a_number, with_default, own_class)] == [None] * 3
    real = snakepit_bridge.Context
    module = types.ModuleType("found")
    module.Context = real
    names = {"Ctx": real, "found": module, "Own": Own, "typing": typing, "Again": "Again"}
    texts = {
        "Ctx": "c", "'Ctx'": "c", "None | Ctx": "c", "Optional['Ctx']": "c", "found.Context": "c",
        "typing.Union[Ctx, None]": "c", "snakepit_bridge.Context": "c", "Own": None, "Again": None,
        "found.Other": None, "int | Ctx": None, "list[Ctx]": None, "other.Context": None,
    }  # fmt: skip
    for text, wanted in texts.items():
        aliased = types.FunctionType(own_class_by_text.__code__, names)
        aliased.__annotations__ = {"c": text}
        assert make(aliased).context == wanted, text
    for hint in (real, typing.Optional[real], typing.Optional["Context"]):  # noqa: F821
        by_name.__annotations__ = {"x": hint}
        assert make(by_name).context == "x", hint
    with_own = types.FunctionType(own_class_by_text.__code__, {"Context": Own})
    with_own.__annotations__ = {"c": "Context"}
    assert make(with_own).context is None
    assert [p[0] for p in make(by_text).params] == ["x"]
    assert "c" not in json.loads(make(by_text).parameters_schema)["properties"]


def test_signatures_read_as_written():
    async def f(a: "list[int]", /, b: int | None = None, *, c: Point | None = None) -> None: ...

    optional = make(f).signature.replace("Union[Point, None]", "Optional[Point]")
    assert optional.replace("Point | None", "Optional[Point]").replace(f"{__name__}.", "") == (
        "async def f(a: list[int], /, b: int | None = None, *, c: Optional[Point] = None) -> None"
    )


def test_an_alias_that_names_itself_ends():
    if sys.version_info < (3, 12):
        pytest.skip("`type` aliases are new in Python 3.12")
    names: dict[str, Any] = {}
    exec("type Json = int | list[Json]", names)
    spec, schema = _schema.Scope(names).convert(names["Json"])
    assert spec == ("def", "Json", ("union", (("int",), ("list", ("ref", "Json")))))
    assert schema == {"$ref": "#/$defs/Json"}
