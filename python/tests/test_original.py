"""Adapters of the original, loaded and run as they are."""

import sys
from pathlib import Path

import pytest
from host_model import FakeContext, Host
from minihost import ToolError, Worker

from snakepit_bridge import BaseAdapter, SessionContext, base_adapter as original
from snakepit_bridge._load import loader
from snakepit_bridge._serve import aio, errors

HERE = Path(__file__).parent
FILE = str(HERE / "original_adapter.py")


@pytest.fixture
def load(monkeypatch):
    before = dict(sys.modules)

    def load(name):
        catalog = loader.load(f"{FILE}:{name}")
        catalogs.append(catalog)
        return {tool.name: tool for tool in catalog.tools}

    catalogs = []
    yield load
    for catalog in catalogs:
        catalog.close()
    for name in set(sys.modules) - set(before):
        if "original_adapter" in name:
            del sys.modules[name]


def context(session="s1"):
    return SessionContext(FakeContext(Host(), session))


def call(tool, name, **arguments):
    native = context()
    if tool.owner is not None:
        tool.owner.session_context = native
    return aio.run(tool.function(tool_name=name, arguments=arguments, ctx=native))


def test_own_dispatch_is_reached_by_a_tool_that_takes_any_name(load):
    tools = load("OwnDispatch")
    assert list(tools) == ["marked", "execute_tool", "execute_tool_stream"]
    tool = tools["execute_tool"]
    assert (tool.kind, tool.is_async, tool.catch_all, tool.context) == ("call", True, True, "ctx")
    assert not tools["marked"].catch_all
    assert call(tool, "add", a=1, b=2) == 3
    assert call(tool, "later", x=1) == [1]
    assert call(tool, "whoami") == ["s1", "s1"]
    assert call(tool, "ready") is True
    assert tool.function("ready") is True
    with pytest.raises(ValueError, match="Unknown tool: nope") as caught:
        call(tool, "nope")
    fields = errors.describe_exception(caught.value, tool)
    assert fields["source"].startswith("raise ValueError")
    assert "_load/dispatch" not in fields["traceback"]
    lines = Path(FILE).read_text().splitlines()
    assert "def execute_tool" in lines[tool.line - 1]


def test_streams_of_own_dispatch(load):
    tool = load("OwnDispatch")["execute_tool_stream"]
    assert tool.kind == "stream" and not tool.is_async

    def stream(name, **arguments):
        return list(tool.function(name, arguments))

    assert stream("rows", n=2) == [{"row": 0}, {"row": 1}]
    assert stream("arows", n=3) == [0, 1, 2]
    assert stream("chunks") == [1, 2]
    assert stream("one") == [{"a": 1}]
    assert stream("add", a="a", b="b") == ["ab"]
    assert stream("later", x=1) == [1]


def test_an_adapter_that_keeps_the_context_itself_is_given_each(load):
    tools = load("OwnContext")
    assert list(tools) == ["count", "stream", "bare"]
    first, second = context(), context()
    for ctx in (first, second):
        tools["count"].owner.session_context = ctx
        assert tools["count"].owner.session_context is ctx
        tools["count"].owner.session_context = None
    adapter = tools["count"].function.__self__
    assert adapter.contexts == [first, second] and adapter.session_context is None
    assert tools["stream"].kind == "stream" and tools["stream"].description == "Streams"
    assert tools["bare"].description == "Without parentheses."


def test_decorated_tools_of_the_original(load):
    tools = load("Decorated")
    assert list(tools) == ["progress", "hybrid"]
    assert tools["progress"].kind == "stream" and tools["progress"].description == "Progress"
    adapter = tools["hybrid"].function.__self__
    assert type(adapter).progress._tool_metadata.required_variables == ["x"]
    assert tools["progress"].owner is adapter
    ctx = context()
    ctx._native.host.add_tool(lambda data: data[::-1], name="parallel_map")
    adapter.session_context = ctx
    assert adapter.hybrid([1, 2]) == {"result": [2, 1]}
    assert adapter.session_id == "s1" and adapter._session_context is ctx


def test_the_base_class_of_the_original(load):
    class Mine(original.BaseAdapter):
        @original.tool("Doubles")
        def double(self, x):
            return 2 * x

    mine = Mine()
    assert isinstance(mine, BaseAdapter) and mine.session_id is None
    assert [tool.name for tool in mine.get_tools()] == ["double"]
    assert mine.register_with_session("s", None) == ["double"]
    assert aio.run(mine.register_with_session_async("s")) == ["double"]
    assert mine.call_tool("double", x=4) == 8
    assert Mine.double._tool_metadata.description == "Doubles"
    ctx = context()
    mine.set_session_context(ctx)
    assert mine.session_context is ctx and mine._session_context is ctx
    mine._session_context = None
    assert mine.session_context is None


def test_a_marked_execute_tool_is_a_tool_like_others(source):
    source(
        """
        from snakepit_bridge import BaseAdapter, tool

        class A(BaseAdapter):
            @tool
            def execute_tool(self, x: int):
                return x
        """
    )
    catalog = loader.load("adapter_under_test.py")
    assert [(t.name, t.catch_all) for t in catalog.tools] == [("execute_tool", False)]


@pytest.mark.parametrize(
    "annotation",
    [
        "SessionContext",
        "SessionContext | None",
        "Optional[SessionContext]",
        "'SessionContext'",
        "'Optional[SessionContext]'",
        "snakepit_bridge.session_context.SessionContext",
        "'snakepit_bridge.session_context.SessionContext'",
        "snakepit_bridge.Context",
    ],
)
def test_a_parameter_annotated_with_the_class_takes_the_context(source, annotation):
    source(
        f"""
        from typing import Optional
        import snakepit_bridge.session_context
        from snakepit_bridge import SessionContext, tool

        @tool
        def f(x, session: {annotation}, *, y=1):
            return x

        @tool
        def g(x: list[SessionContext]):
            return x
        """
    )
    f, g = loader.load("adapter_under_test.py").tools
    assert (f.context, f.context_index) == ("session", 1) and g.context is None


@pytest.mark.native
def test_own_dispatch_in_a_worker():
    with Worker(f"{FILE}:OwnDispatch") as worker:
        names = [tool["name"] for tool in worker.described["tools"]]
        assert names == ["marked", "execute_tool", "execute_tool_stream"]
        assert worker.call("marked", text="ab") == "abab"
        assert worker.call("execute_tool", tool_name="add", arguments={"a": 1, "b": 2}) == 3
        assert worker.call("execute_tool", tool_name="later", arguments={"x": 1}) == [1]
        got = worker.stream("execute_tool_stream", tool_name="arows", arguments={"n": 3})
        assert list(got) == [0, 1, 2]
        with pytest.raises(ToolError, match="Unknown tool"):
            worker.call("execute_tool", tool_name="nope")


@pytest.mark.native
def test_an_own_context_in_a_worker():
    with Worker(f"{FILE}:OwnContext") as worker:
        assert [worker.call("count") for _ in range(3)] == [1, 2, 3]
        assert list(worker.stream("stream")) == [0, 1]
        assert worker.call("bare") == worker.next_call
