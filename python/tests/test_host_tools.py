"""Tools of the host as Python sees them."""

import asyncio
import inspect
import pydoc

import pytest
from host_model import CODES, FakeContext, Host

from snakepit_bridge import Cancelled, HostError, SessionContext
from snakepit_bridge._host import ops
from snakepit_bridge._host.errors import UnknownToolError
from snakepit_bridge._host.tool_help import type_text
from snakepit_bridge._host.tools import HostTool

SCHEMA = {
    "type": "object",
    "properties": {
        "by": {"type": ["number", "null"], "default": None, "description": "The factor."},
        "xs": {"type": "array", "items": {"type": "number"}, "description": "What to\n scale."},
        "how": {"enum": ["up", "down"]},
        "at": {"$ref": "#/$defs/Point"},
    },
    "required": ["xs", "at"],
    "additionalProperties": False,
    "$defs": {"Point": {"type": "object", "properties": {"x": {"type": "integer"}}}},
}


@pytest.fixture
def host():
    host = Host()

    def scale(xs, by=2, **more):
        """Scale numbers."""
        return [x * by for x in xs]

    def count(n):
        yield from range(n)

    def fails_late(n):
        yield from range(n)
        raise ValueError("late")

    def refuse(**_):
        raise ValueError("no, because")

    host.add_tool(
        scale,
        parameters=SCHEMA,
        returns={"type": "array", "items": {"type": "number"}},
        metadata={"kind": "math"},
    )
    host.add_tool(lambda *args, **kwargs: [list(args), kwargs], name="args")
    host.add_tool(count, streaming=True, returns={"type": "integer"})
    host.add_tool(fails_late, streaming=True)
    host.add_tool(refuse)
    return host


@pytest.fixture
def ctx(host):
    return SessionContext(FakeContext(host))


def test_tools_are_called_by_name(ctx):
    assert ctx.host_tools["scale"](xs=[1, 2], by=3) == [3, 6]
    assert ctx.call_host_tool("scale", xs=[1, 2]) == [2, 4]
    assert ctx.call_host_tool("scale", {"xs": [1]}, timeout=5) == [2]
    assert ctx.host_tools["scale"].call({"xs": [1]}, timeout=5) == [2]
    assert ctx.call_host_tool("args", 1, [2]) == [[1, [2]], {}]
    assert ctx.call_host_tool("args", [1, 2]) == [[[1, 2]], {}]
    assert ctx.call_host_tool("args", {"timeout": 1, "name": 2}) == [[], {"timeout": 1, "name": 2}]
    assert ctx.host_tools["args"](timeout=1) == [[], {"timeout": 1}]
    assert ctx.call_host_tool("args", name=1, tool_name=2) == [[], {"name": 1, "tool_name": 2}]
    with pytest.raises(TypeError, match="by name or by position"):
        ctx.call_host_tool("args", 1, b=2)


def test_the_list_is_fetched_once(ctx, host):
    assert sorted(ctx.host_tools) == ["args", "count", "fails_late", "refuse", "scale"]
    assert len(ctx.host_tools) == 5 and "scale" in ctx.host_tools and "x" not in ctx.host_tools
    assert host.requests == [ops.TOOLS_LIST]
    assert repr(ctx.host_tools) == "<HostTools scale, args, count, fails_late, refuse>"


def test_what_a_tool_tells_of_itself(ctx):
    tool = ctx.host_tools["scale"]
    assert (tool.name, tool.__name__, tool.description) == ("scale", "scale", "Scale numbers.")
    assert tool.parameters == SCHEMA and tool.returns["type"] == "array"
    assert tool.streaming is False and tool.metadata == {"kind": "math"}
    head = (
        "scale(*, xs: list[float], at: Point, by: float | None = None, "
        "how: Literal['up', 'down'] = …) -> list[float]"
    )
    assert tool.__doc__.splitlines()[0] == head
    assert repr(tool) == f"<HostTool {head}>"
    shown = pydoc.render_doc(tool, renderer=pydoc.plaintext)
    assert head in shown and "Scale numbers." in shown and "xs: What to scale." in shown
    signature = inspect.signature(tool)
    assert list(signature.parameters) == ["xs", "at", "by", "how"]
    assert signature.parameters["xs"].kind is inspect.Parameter.KEYWORD_ONLY
    signature.bind(xs=[], at={})
    with pytest.raises(TypeError):
        signature.bind(at={})
    free = ctx.host_tools["args"]
    assert free.__doc__ == "args(**arguments) -> Any"
    inspect.signature(free).bind(anything=1)
    assert ctx.host_tools["count"].__doc__ == "count(**arguments) -> HostStream[int]"


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({}, "Any"),
        (True, "Any"),
        (None, "Any"),
        ({"type": "object"}, "dict"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "dict[str, int]"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "str | None"),
        ({"oneOf": [{"const": "a"}, {"const": 1}]}, "Literal['a'] | Literal[1]"),
        ({"enum": list(range(99))}, "Any"),
        ({"$ref": "#/$defs/Name"}, "str"),
        ({"$ref": "#/$defs/Loop"}, "list[list[list[Loop]]]"),
        ({"$ref": "elsewhere"}, "elsewhere"),
        ({"anyOf": []}, "Any"),
        ({"type": 5}, "Any"),
    ],
)
def test_schemas_as_types(schema, text):
    loop = {"type": "array", "items": {"$ref": "#/$defs/Loop"}}
    got = type_text(schema, {"Name": {"type": "string"}, "Loop": loop})
    assert got == text or (text.endswith("Loop]]]") and got.startswith("list[") and len(got) < 99)


@pytest.mark.parametrize(
    "parameters",
    [
        {"properties": []},
        {"properties": {"a b": True, "class": 5, "ok": {"default": object}}},
        {"properties": {"x": None}, "required": None, "$defs": 7},
    ],
)
def test_odd_schemas_break_nothing(parameters):
    tool = HostTool(None, {"name": "odd", "parameters": parameters, "returns": {"$ref": 5}})
    assert tool.__doc__.startswith("odd(")
    inspect.signature(tool)


def test_unknown_tools(ctx):
    with pytest.raises(UnknownToolError) as caught:
        ctx.host_tools["skale"]
    error = caught.value
    assert isinstance(error, KeyError) and isinstance(error, ValueError)
    assert isinstance(error, RuntimeError) and error.code == CODES["unknown_tool"]
    assert "did you mean `scale`?" in str(error)
    with pytest.raises(UnknownToolError, match="the tools are `scale`"):
        ctx.host_tools["zzzzz"]
    with pytest.raises(ValueError):
        ctx.call_elixir_tool("none")
    assert ctx.host_tools.get("none") is None


def test_names_of_the_original(ctx):
    assert ctx.elixir_tools is ctx.host_tools
    item = ctx.elixir_tools["scale"]
    assert item["name"] == "scale" and item["description"] == "Scale numbers."
    assert item["parameters"] == SCHEMA
    with pytest.raises(KeyError):
        item["call"]
    assert ctx.call_elixir_tool("scale", xs=[1], by=5) == [5]
    assert ctx.call_elixir_tool("args", tool_name="x") == [[], {"tool_name": "x"}]
    with pytest.raises(RuntimeError, match="no, because"):
        ctx.call_elixir_tool("refuse")


def test_streams(ctx, host):
    assert list(ctx.host_tools["count"](n=10)) == list(range(10))
    assert list(ctx.host_tools["count"](n=0)) == []
    stream = ctx.host_tools["count"](n=5)
    assert next(stream) == 0 and repr(stream) == "<HostStream of count>"
    stream.close()
    assert list(stream) == [] and host.streams == {}
    assert repr(stream) == "<HostStream of count (at its end)>"
    with ctx.host_tools["count"](n=100) as stream:
        assert next(stream) == 0
    assert host.streams == {}
    with ctx.host_tools["count"](n=1) as stream:
        assert list(stream) == [0]


def test_the_error_of_a_stream_comes_after_its_items(ctx):
    got = []
    with pytest.raises(HostError, match="late"):
        for item in ctx.host_tools["fails_late"](n=4):
            got.append(item)
    assert got == [0, 1, 2, 3]


def test_bad_arguments_of_a_stream_are_told_at_the_call(ctx):
    with pytest.raises(HostError):
        ctx.host_tools["count"](wrong=1)


def test_host_tools_from_a_coroutine(ctx, host):
    async def main():
        assert await ctx.call_host_tool_async("scale", xs=[1, 2]) == [2, 4]
        calls = [ctx.call_host_tool_async("scale", xs=[i]) for i in range(50)]
        assert await asyncio.gather(*calls) == [[i * 2] for i in range(50)]
        tool = ctx.host_tools["scale"]
        assert await tool.call_async(xs=[3]) == [6]
        count = ctx.host_tools["count"]
        assert [i async for i in count.stream_async(n=7)] == list(range(7))
        assert [i async for i in await count.call_async(n=4)] == list(range(4))
        async with count.stream_async(n=9) as stream:
            assert await stream.__anext__() == 0
        async with count.stream_async(n=9):
            pass
        assert host.streams == {}
        with pytest.raises(HostError):
            [i async for i in ctx.host_tools["fails_late"].stream_async(n=1)]

    asyncio.run(main())


def test_a_cancelled_call_stops_its_streams(ctx):
    stream = ctx.host_tools["count"](n=10)
    ctx._native.cancelled = True
    with pytest.raises(Cancelled):
        list(stream)
