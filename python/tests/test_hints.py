"""Annotations: what is converted, what is rejected and where, and what is reported as unchecked."""

import array
import base64
import json
from pathlib import Path

import pytest
from libraries import library
from minihost import ToolError, Worker

pytestmark = pytest.mark.native

ADAPTER = Path(__file__).parent / "hints_adapter.py"
for name in ("numpy", "pydantic", "attrs", "annotated_types", "msgspec"):
    library(name)


@pytest.fixture(scope="module")
def worker():
    with Worker(str(ADAPTER)) as worker:
        yield worker


def deep(levels):
    value = {"value": levels}
    for level in reversed(range(levels)):
        value = {"value": level, "next": value}
    return value


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("json_value", {"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
        ("node", {"value": 1, "children": [{"value": 2}]}, "Node Node(value=2, next=None, "),
        ("node", deep(50), "Node Node(value=1, next=Node(value=2"),
        ("even", {"to": {"to": {"to": None}}}, "Odd Odd(to=Even(to=None))"),
        ("chain", [1, [2]], "Chain Chain(value=1, next=Chain(value=2, next=None))"),
        ("chain", {"value": 1, "next": [2]}, "Chain Chain(value=1, next=Chain(value=2"),
        ("model", {"name": "a", "amount": "2"}, "Item Item(name='a', tags=[], amount=2)"),
        ("models", [{"name": "a"}], "list [Item(name='a'"),
        ("point", {"x": 1, "y": 2}, "Point Point(x=1, y=2.0)"),
        ("scaled", {"value": 2, "by": 3}, 6.0),
        ("shape", {"kind": "square", "side": 1}, "Square"),
        ("pet", {"kind": "dog", "name": "a"}, "Dog"),
        ("int_box", {"value": 1, "more": {"value": "a"}}, "IntBox IntBox(value=1, more=Box("),
        ("derived", {"a": 1, "b": [2]}, "Derived Derived(a=1, b=[2], c=None)"),
        ("checked", {"a": 4}, "Checked Checked(a=4)"),
        ("url", "https://example.com/a", "example.com"),
        ("vehicle", {"kind": "train", "cars": [1]}, "Train"),
        ("vehicle", ["train", [1]], "Train"),
        ("path", "a/b", "PosixPath PosixPath('a/b')"),
        ("address", "127.0.0.1", "IPv4Address IPv4Address('127.0.0.1')"),
        ("fraction", "1/3", "Fraction Fraction(1, 3)"),
        ("any_array", [[1, 2], [3, 4]], "ndarray int64 (2, 2)"),
        ("any_array", array.array("f", [1]), "ndarray float32 (1,)"),
        ("typed_array", [1.5, 2], "float32 (2,)"),
        ("shaped_array", [[1, 2]], "int64 (1, 2)"),
        ("at_least_one", 1, 1),
        ("short", "abc", "abc"),
        ("few", [1, 2], [1, 2]),
        ("code", "AB", "AB"),
        ("even_number", 4, 4),
        ("odd_metadata", 4, 4),
        ("number", 1.5, "float 1.5"),
        ("number", 1, "int 1"),
        ("bounded", "x", "str 'x'"),
        ("keyed", {"1": "a", "-2": "b"}, "dict {1: 'a', -2: 'b'}"),
        ("keyed", {1: "a"}, "dict {1: 'a'}"),
        ("flags", {"true": 1}, "dict {True: 1}"),
        ("data", "aGk=", "bytes b'hi'"),
        (
            "span",
            "P1DT1.5S",
            "timedelta datetime.timedelta(days=1, seconds=1, microseconds=500000)",
        ),
        ("span", 1.5, "timedelta datetime.timedelta(seconds=1, microseconds=500000)"),
        ("whole", 3.0, "int 3"),
        ("fine", "NaN", "float nan"),
        ("fine", 3, "float 3.0"),
        ("implicit", None, "NoneType None"),
        ("unknown", {"any": 1}, "dict {'any': 1}"),
        ("anything", [1], "list [1]"),
    ],
)
def test_values_become_what_the_annotation_says(worker, name, value, expected):
    got = worker.call(name, x=value)
    if isinstance(expected, str) and isinstance(got, str):
        assert got.startswith(expected), got
    else:
        assert got == expected


@pytest.mark.parametrize(
    ("name", "value", "path", "what"),
    [
        ("json_value", {"a": [{"b": b"x"}]}, 'x["a"][0]["b"]', "bytes"),
        ("node", {"value": 1, "children": [{"value": "2"}]}, "x.children[0].value", "must be int"),
        ("even", {"to": {"to": {"from": 1}}}, "x.to.to.from", "not a field of Even"),
        ("chain", [1, [2, [3, 4]]], "x.next.next.next", "Chain | None"),
        ("chain", [], "x", "it has 0 items"),
        ("model", {"name": "a", "tags": ["b", 3]}, "x.tags[1]", "must be a valid string, got int"),
        ("model", {"name": "a", "amount": 0}, "x.amount", "must be greater than 0, got integer 0"),
        ("model", {}, "x.name", "is missing"),
        ("models", [{"name": "a"}, {"name": 1}], "x[1].name", "must be a valid string"),
        ("point", {"x": "1"}, "x.x", "must be int"),
        ("scaled", {"value": 1, "result": 2}, "x.result", "not a field"),
        ("shape", {"kind": "square", "side": "1"}, "x.side", "must be float"),
        ("shape", {"kind": "circle", "side": 1}, "x.radius", "is missing"),
        ("int_box", {"value": "1"}, "x.value", "must be int"),
        ("int_box", {"value": 1, "more": {"value": 2}}, "x.more.value", "must be str"),
        ("derived", {"a": "1", "b": [2]}, "x.a", "must be int"),
        ("derived", {"a": 1}, "x.b", "is missing"),
        ("checked", {"a": 3}, "x.a", "must be greater than 3"),
        ("checked", {}, "x.a", "is missing"),
        ("url", "example.com", "x", "must be"),
        ("pet", {"kind": "dog", "name": 1}, "x.name", "must be a valid string, got integer 1"),
        ("pet", {"kind": "cat", "lives": "many"}, "x.lives", "must be a valid integer"),
        ("vehicle", {"kind": "boat", "length": "1"}, "x.length", "must be float"),
        ("vehicle", {"kind": "train", "cars": [1, "2"]}, "x.cars[1]", "must be int"),
        ("vehicle", {"kind": "cat", "lives": []}, "x.lives", "must be a valid integer"),
        ("path", 1, "x", "must be Path"),
        ("address", "127.0.0.256", "x", "must be IPv4Address"),
        ("any_array", ["a"], "x", "not all numbers"),
        ("any_array", [[1], [1, 2]], "x", "must be ndarray"),
        ("any_array", "text", "x", "must be ndarray"),
        ("typed_array", array.array("d", [1.5]), "x", "float64 does not fit float32"),
        ("shaped_array", [[1, 2, 3]], "x", "its shape is [1, 3]"),
        ("shaped_array", [[1.5, 2.5]], "x", "does not fit int64"),
        ("at_least_one", 0, "x", "must be at least 1, got integer 0"),
        ("at_least_one", 10, "x", "must be less than 10"),
        ("short", "", "x", "must have at least 1 characters"),
        ("few", [1, 2, 3], "x", "must have at most 2 items"),
        ("code", "abc", "x", "must match the pattern"),
        ("even_number", 3, "x", "must be a multiple of 2"),
        ("odd_metadata", "4", "x", "must be int"),
        ("number", "x", "x", "int | float"),
        ("bounded", 1, "x", "must be str"),
        ("keyed", {"a": "b"}, "x", "has a key that must be int"),
        ("keyed", {"01": "b"}, "x", "has a key that must be int"),
        ("data", "a", "x", "not base64"),
        ("span", "P1Y", "x", "ISO 8601"),
        ("whole", 3.5, "x", "must be int"),
        ("whole", True, "x", "must be int"),
        ("fine", "1.5", "x", "must be float"),
    ],
)
def test_what_does_not_fit_is_refused_at_its_place(worker, name, value, path, what):
    with pytest.raises(ToolError) as caught:
        worker.call(name, x=value)
    message = str(caught.value)
    assert caught.value.code in ("SP2002", "SP2003", "SP2004"), message
    assert f"`{path}`" in message and what in message, message


def test_words_of_a_typed_dict_are_parameters(worker):
    assert worker.call("words", size=1, name="a") == "dict {'size': 1, 'name': 'a'}"
    for arguments, code in (
        ({}, "SP2002"),
        ({"size": "1"}, "SP2003"),
        ({"size": 1, "b": 2}, "SP2004"),
    ):
        with pytest.raises(ToolError) as caught:
            worker.call("words", **arguments)
        assert caught.value.code == code


def test_partials_are_what_they_stand_for(worker):
    assert worker.call("tripled", b=4) == 12
    assert worker.call("later", b=4) == 5
    assert list(worker.stream("items", a=1)) == [1, 2]


def test_one_hint_never_stops_other_tools(tmp_path):
    (tmp_path / "tools.py").write_text(
        """
import typing
from snakepit_bridge import tool

class Bad:
    def __class_getitem__(cls, item):
        return cls
    def __hash__(self):
        raise RuntimeError("no hash")

Loop = typing.List["Loop2"]
Loop2 = typing.Dict[str, "Loop"]

@tool
def odd(x: Bad()) -> "typing.NoSuch":
    return x

@tool
def loops(x: Loop):
    return x

@tool
def good(x: int):
    return x
"""
    )
    with Worker("tools.py", cwd=str(tmp_path)) as worker:
        assert worker.call("odd", x="anything") == "anything"
        assert worker.call("loops", x=[{"a": [{}]}]) == [{"a": [{}]}]
        with pytest.raises(ToolError, match=r"`x\[0\]\.?.*must be list"):
            worker.call("loops", x=[{"a": 1}])
        with pytest.raises(ToolError, match="must be int"):
            worker.call("good", x="a")
        specs = {spec["name"]: spec for spec in worker.described["tools"]}
    schema = json.loads(specs["odd"]["parameters_schema"])
    assert "not checked" in schema["properties"]["x"]["$comment"]


def test_the_examples_of_the_documentation(tmp_path):
    text = (Path(__file__).parents[2] / "docs/hints.md").read_text()
    definitions = text.split("```python\n")[-1].split("```")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:5] == "| `x:"]
    parts = ["from snakepit_bridge import tool", definitions]
    for number, (parameter, _, _) in enumerate(rows):
        parts.append(f"@tool\ndef t{number}({parameter.strip('`')}): return repr(x)")
    (tmp_path / "tools.py").write_text("\n\n".join(parts))
    with Worker("tools.py", cwd=str(tmp_path)) as worker:
        for number, (parameter, argument, gets) in enumerate(rows):
            shown = argument.strip("`").removeprefix("x=").strip("'")
            try:
                value = json.loads(shown, parse_constant=str)
            except ValueError:
                value = shown
            if isinstance(value, dict) and list(value) == ["$bytes"]:
                value = base64.b64decode(value["$bytes"])
            assert worker.call(f"t{number}", x=value) == gets.strip("`"), parameter
