"""Annotations that cannot be examined, or only in part, never stop an adapter."""

import json
import sys
import textwrap

import pytest
from libraries import library
from minihost import ToolError, Worker

pytestmark = pytest.mark.native

#: Source of a parameter's annotation, and what is said of it; `None` if it is checked.
ODD = {
    "text": ("'list[int'", "cannot be resolved: SyntaxError"),
    "nonsense": ("'1 +'", "cannot be resolved: SyntaxError"),
    "empty": ("''", "cannot be resolved: SyntaxError"),
    "missing": ("'NoSuchName'", "cannot be resolved: NameError"),
    "attribute": ("'typing.NoSuch'", "cannot be resolved: AttributeError"),
    "checking": ("'OnlyForCheckers'", "cannot be resolved: NameError"),
    "in a list": ("list['OnlyForCheckers']", "cannot be resolved: NameError"),
    "raising": ("'1 / 0'", "cannot be resolved: ZeroDivisionError"),
    "number": ("3", "not a type that values are checked against"),
    "list": ("[int]", "not a type that values are checked against"),
    "function": ("print", "not a type that values are checked against"),
    "plain class": ("Plain", "not a type that values are checked against"),
    "no equality": ("NoEquality()", "cannot be examined: RuntimeError"),
    "no hash": ("NoHash()", "cannot be examined: RuntimeError"),
    "no attributes": ("NoAttributes()", "cannot be examined: RuntimeError"),
    "no text": ("NoText()", "cannot be examined: RuntimeError"),
    "own class": ("Weird", "not a type that values are checked against"),
    "of own class": ("Weird[int]", "not a type that values are checked against"),
    "self": ("Self", "not a type that values are checked against"),
    "parameters": ("Callable[P, int]", "not a type that values are checked against"),
    "callable": ("Callable[[int], str]", "not a type that values are checked against"),
    "class of": ("type[int]", "not a type that values are checked against"),
    "forward": ("typing.ForwardRef('NoSuchName')", "cannot be resolved: NameError"),
    "validator": ("Annotated[int, pydantic.AfterValidator(abs)]", "`AfterValidator` in"),
    "stripped": (
        "Annotated[str, pydantic.StringConstraints(strip_whitespace=True)]",
        "`strip_whitespace` of `StringConstraints`",
    ),
    "bound": ("Annotated[str, at.Ge(3)]", "bound `ge=3` does not apply"),
    "length": ("Annotated[int, at.MinLen(3)]", "bound `min_length=3` does not apply"),
    "shape": ("np.ndarray[tuple[int, int], np.dtype[np.float64]]", None),
    "any array": ("npt.NDArray[typing.Any]", None),
    "float array": ("npt.NDArray[np.float64]", None),
    "abstract array": ("npt.NDArray[np.floating]", None),
    "numpy number": ("Annotated[int, at.Ge(np.int64(2))]", None),
    "infinite": ("Annotated[float, at.Le(float('inf'))]", None),
    "never": ("Never", None),
    "literal string": ("LiteralString", None),
    "any": ("typing.Any", None),
    "deep": ("Deep", "it is nested too deeply"),
    "model": ("Unusual", None),
}

HEAD = """
import typing
from collections.abc import Callable
from typing import Annotated
import annotated_types as at
import numpy as np
import numpy.typing as npt
import pydantic
from typing_extensions import LiteralString, Never, ParamSpec, Self
from snakepit_bridge import tool

if typing.TYPE_CHECKING:
    from nowhere import OnlyForCheckers

P = ParamSpec("P")

class Plain: ...

class NoEquality:
    def __eq__(self, other): raise RuntimeError("no equality")
    def __hash__(self): return hash(int)
    def __getattr__(self, name): raise RuntimeError("no attributes")

class NoHash:
    def __hash__(self): raise RuntimeError("no hash")

class NoAttributes:
    def __getattr__(self, name): raise RuntimeError("no attributes")

class NoText:
    def __repr__(self): raise RuntimeError("no text")

class Weird:
    def __class_getitem__(cls, item): return cls

class Unusual(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    x: int
    plain: Plain | None = None

Deep = int
for _ in range(3000):
    Deep = list[Deep]
"""


def names():
    return {f"t{index}": key for index, key in enumerate(ODD)}


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    for name in ("numpy", "pydantic", "annotated_types", "typing_extensions"):
        library(name)
    folder = tmp_path_factory.mktemp("odd")
    parts = [HEAD]
    for name, key in names().items():
        annotation = ODD[key][0]
        parts.append(f"@tool\ndef {name}(x: {annotation}, good: int = 1) -> {annotation}: return 1")
    parts.append("@tool\ndef words(**x: NoAttributes()): return 1")
    parts.append("@tool\ndef places(*x: NoEquality(), ctx: NoAttributes() = 1): return 1")
    (folder / "tools.py").write_text("\n\n".join(parts))
    with Worker("tools.py", cwd=str(folder)) as worker:
        yield worker


@pytest.mark.parametrize("key", list(ODD))
def test_what_is_not_checked_is_said_and_the_rest_is_checked(worker, key):
    name = {key: name for name, key in names().items()}[key]
    spec = next(spec for spec in worker.described["tools"] if spec["name"] == name)
    schema = json.loads(spec["parameters_schema"])
    comment = schema["properties"]["x"].get("$comment", "")
    said = ODD[key][1]
    if said is None:
        assert comment == ""
    else:
        assert said in comment and comment.startswith(("not checked: ", "only partly checked: "))
        if comment.startswith("not checked"):
            assert worker.call(name, x={"any": [1]}) == 1
    with pytest.raises(ToolError) as caught:
        worker.call(name, x=1, good="a")
    assert caught.value.fields["path"] in ("good", "x")


def test_catch_all_parameters_may_be_odd_too(worker):
    assert worker.call("words", a=1) == 1
    assert worker.call("places", 1, 2) == 1


def test_bounds_of_other_libraries_hold(worker):
    name = {key: name for name, key in names().items()}
    for key, value in (("numpy number", 1), ("float array", ["a"]), ("never", 1)):
        with pytest.raises(ToolError) as caught:
            worker.call(name[key], x=value)
        assert caught.value.fields["path"] == "x"


def test_the_log_names_file_line_parameter_and_reason(tmp_path):
    (tmp_path / "tools.py").write_text(
        "from snakepit_bridge import tool\n\n@tool\ndef f(a: int, b: 'Missing'): return b\n"
    )
    worker = Worker("tools.py", cwd=str(tmp_path))
    worker.shutdown()
    errors = worker.process.stderr.read().decode()
    worker.close()
    assert "tools.py:4: parameter `b` of tool `f` is not checked: `Missing` cannot be" in errors
    assert "`a`" not in errors


def test_a_note_on_a_hint_shows_no_secret_in_it(tmp_path):
    (tmp_path / "tools.py").write_text(
        "from snakepit_bridge import tool\n\n"
        "class Odd:\n    def __repr__(self): return \"Foo['password=hunter2']\"\n\n"
        "@tool\ndef f(a: Odd()) -> Odd(): return 1\n"
    )
    worker = Worker("tools.py", cwd=str(tmp_path))
    described = json.dumps(worker.described["tools"])
    worker.shutdown()
    errors = worker.process.stderr.read().decode()
    worker.close()
    for shown in (described, errors):
        assert "Foo['password=<redacted>']" in shown and "hunter2" not in shown


STRICT = {
    "host": ({"SNAKEPIT_WORKER_STRICT_HINTS": "1"}, True),
    "variable": ({"SNAKEPIT_STRICT_HINTS": "True"}, True),
    "host wins": ({"SNAKEPIT_STRICT_HINTS": "1", "SNAKEPIT_WORKER_STRICT_HINTS": "0"}, False),
    "off": ({"SNAKEPIT_STRICT_HINTS": "0"}, False),
}


@pytest.mark.parametrize("name", list(STRICT))
@pytest.mark.parametrize("extra", ["", ": 'Missing'", ": list['Missing']"])
def test_strict_hints_refuse_what_is_not_checked(tmp_path, name, extra):
    env, strict = STRICT[name]
    (tmp_path / "tools.py").write_text(
        "from snakepit_bridge import tool\n\n@tool\n"
        f"def f(a: int, b{extra}, c: object = 1): return b\n"
    )
    if not (strict and extra):
        with Worker("tools.py", cwd=str(tmp_path), env=env) as worker:
            assert worker.call("f", a=1, b=[2]) == [2]
        return
    with pytest.raises(ToolError) as caught:
        Worker("tools.py", cwd=str(tmp_path), env=env)
    fields = caught.value.fields
    assert (fields["code"], fields["file"], fields["line"]) == ("SP5003", "tools.py", 4)
    assert "parameter `b` of tool `f`" in fields["message"] and "Missing" in fields["message"]
    assert "annotate it" in fields["help"] and fields["source"].startswith("def f(a: int, b")


def test_hints_of_a_package_that_are_all_texts(tmp_path):
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "shapes.py").write_text(
        textwrap.dedent("""
        from __future__ import annotations
        import typing
        from dataclasses import KW_ONLY, InitVar, dataclass, field
        from typing import NamedTuple, TypedDict
        if typing.TYPE_CHECKING:
            from nowhere import Gone

        @dataclass
        class Base:
            inner: Inner | None = None

        @dataclass
        class Inner:
            x: float
            _: KW_ONLY
            scale: InitVar[float] = 1.0
            total: float = field(init=False, default=0.0)
            def __post_init__(self, scale):
                self.total = self.x * scale

        class Row(NamedTuple):
            left: int
            right: Row | None = None

        class Options(TypedDict, total=False):
            size: typing.Annotated[int, "words"]
            rows: list[Row]
        """)
    )
    (package / "tools.py").write_text(
        textwrap.dedent("""
        from __future__ import annotations
        import typing
        from snakepit_bridge import tool
        from . import shapes
        from .shapes import Base, Row
        if typing.TYPE_CHECKING:
            from typing import Iterable
            from nowhere import Gone

        class Derived(Base): ...

        @tool
        def derived(x: Derived) -> float:
            return x.inner.total

        @tool
        def options(x: shapes.Options, y: Iterable[int] = ()) -> str:
            return f"{x} {y}"

        @tool
        def gone(x: Gone, y: Row | None = None) -> Gone:
            return str(y)
        """)
    )
    with Worker("pack.tools", cwd=str(tmp_path)) as worker:
        assert worker.call("derived", x={"inner": {"x": 2, "scale": 3}}) == 6.0
        assert worker.call("options", x={"rows": [[1]]}, y=[1]) == (
            "{'rows': [Row(left=1, right=None)]} [1]"
        )
        assert worker.call("gone", x=[], y=[1, [2]]).startswith("Row(left=1, right=Row(left=2")
        for name, arguments, path in [
            ("derived", {"x": {"inner": {"x": 2, "total": 1}}}, "x.inner.total"),
            ("options", {"x": {"rows": [[1, [2, 3]]]}}, "x.rows[0].right.right"),
            ("options", {"x": {}, "y": ["1"]}, "y[0]"),
            ("gone", {"x": 1, "y": ["1"]}, "y.left"),
        ]:
            assert worker.fail(name, **arguments)["path"] == path


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in Python 3.12")
@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_parameters_of_types(tmp_path, future):
    (tmp_path / "tools.py").write_text(
        future
        + textwrap.dedent("""
        from dataclasses import dataclass
        from typing import NamedTuple, TypedDict
        from snakepit_bridge import tool

        @dataclass
        class Box[T]:
            value: T
            more: "Box[T] | None" = None

        class Pair[A, B](NamedTuple):
            left: A
            right: B

        class Named[T](TypedDict):
            value: list[T]

        type Both[T] = Pair[T, Box[T]]

        @tool
        def box(x: Box[int]) -> str: return str(x)
        @tool
        def boxes(x: list[Box[Box[int]]]) -> str: return str(x)
        @tool
        def pair(x: Pair[int, str]) -> str: return str(x)
        @tool
        def both(x: Both[int]) -> str: return str(x)
        @tool
        def named(x: Named[bool]) -> str: return str(x)
        @tool
        def own[T: int](x: T, y: list[T]) -> T: return x
        @tool
        def many[*Ts, **P](*x: *Ts) -> int: return len(x)
        """)
    )
    with Worker("tools.py", cwd=str(tmp_path)) as worker:
        assert worker.call("box", x={"value": 1, "more": {"value": 2}}).startswith("Box(value=1")
        assert worker.call("pair", x=[1, "a"]) == "Pair(left=1, right='a')"
        assert worker.call("both", x=[1, {"value": 2}]).startswith("Pair(left=1, right=Box(value=2")
        assert worker.call("own", x=1, y=[2]) == 1
        assert worker.call("many", 1, "a") == 2
        for name, arguments, path in [
            ("box", {"x": {"value": 1, "more": {"value": "2"}}}, "x.more.value"),
            ("boxes", {"x": [{"value": {"value": "1"}}]}, "x[0].value.value"),
            ("pair", {"x": [1, 2]}, "x.right"),
            ("both", {"x": [1, {"value": "2"}]}, "x.right.value"),
            ("named", {"x": {"value": [1]}}, "x.value[0]"),
            ("own", {"x": "a", "y": []}, "x"),
            ("own", {"x": 1, "y": ["a"]}, "y[0]"),
        ]:
            assert worker.fail(name, **arguments)["path"] == path, name
