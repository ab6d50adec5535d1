"""Names of the original that adapters and their tests use, with the original's meaning."""

import asyncio
import dataclasses
import importlib
import threading
from pathlib import Path

import pytest
from host_model import FakeContext, Host
from minihost import Worker

from snakepit_bridge import SessionContext
from snakepit_bridge._host.errors import CallOverError
from snakepit_bridge._load import loader
from snakepit_bridge.adapters.showcase.tool import StreamChunk, Tool
from snakepit_bridge.base_adapter import ToolMetadata
from snakepit_bridge.base_adapter_threaded import RequestTracker, ThreadSafeAdapter

CHUNKS = """
import asyncio
from dataclasses import dataclass
from snakepit_bridge.adapters.showcase.tool import StreamChunk
from snakepit_bridge.base_adapter import BaseAdapter, tool

closed = []

@dataclass
class Own:
    data: object
    is_final: bool = False

class Streams(BaseAdapter):
    @tool(description="d", supports_streaming=True)
    def generated(self, n: int = 2):
        try:
            for i in range(n):
                yield StreamChunk({"i": i}, is_final=i + 1 == n)
        finally:
            closed.append("generated")

    @tool(supports_streaming=True)
    def returned(self):
        return iter([Own([1]), Own("x", True), {"data": 1, "is_final": True}, 5])

    @tool(supports_streaming=True)
    async def asynchronous(self, n: int = 2):
        try:
            for i in range(n):
                await asyncio.sleep(0)
                yield Own(i, i + 1 == n)
        finally:
            closed.append("asynchronous")

    @tool
    def bare(self):
        yield Own(None)

    @tool
    def fails(self):
        yield Own(1)
        raise ValueError("half-way")

    @tool
    def what_closed(self) -> list[str]:
        return closed
"""


def test_the_data_of_chunks_is_streamed(source):
    source(CHUNKS)
    tools = {tool.name: tool for tool in loader.load("adapter_under_test.py").tools}
    assert list(tools["generated"].function(n=2)) == [{"i": 0}, {"i": 1}]
    plain = {"data": 1, "is_final": True}
    assert list(tools["returned"].function()) == [[1], "x", plain, 5]
    assert list(tools["bare"].function()) == [None]

    async def collect():
        return [item async for item in tools["asynchronous"].function(n=3)]

    assert asyncio.run(collect()) == [0, 1, 2]


@pytest.mark.native
def test_the_data_of_chunks_leaves_the_worker(tmp_path):
    file = tmp_path / "streams.py"
    file.write_text(CHUNKS)
    with Worker(str(file)) as worker:
        assert list(worker.stream("generated", n=2)) == [{"i": 0}, {"i": 1}]
        plain = {"data": 1, "is_final": True}
        assert list(worker.stream("returned")) == [[1], "x", plain, 5]
        assert list(worker.stream("asynchronous", n=3)) == [0, 1, 2]
        assert list(worker.stream("bare")) == [None]
        assert worker.call("what_closed") == ["generated", "asynchronous"]
        with pytest.raises(Exception, match="half-way") as caught:
            list(worker.stream("fails"))
        fields = caught.value.fields
        assert "chunks.py" not in fields["traceback"] and fields["line"] > 0


def test_chunks_and_tools_of_the_showcase():
    chunk = StreamChunk([1], is_final=True, metadata={"a": 1})
    assert (chunk.data, chunk.is_final, chunk.metadata) == ([1], True, {"a": 1})
    wrapped = Tool(len)
    assert wrapped.name == "len" and wrapped([1, 2]) == 2


def test_the_metadata_of_a_tool_is_a_dataclass():
    one = ToolMetadata("d", parameters=None)
    assert one == ToolMetadata("d") and one.parameters == [] == one.required_variables
    assert dataclasses.is_dataclass(one) and one != ToolMetadata("e")
    assert dataclasses.replace(one, description="e") == ToolMetadata("e")
    fields = {"supports_streaming": False, "parameters": [], "required_variables": []}
    assert dataclasses.asdict(one) == {"description": "d", **fields}
    assert repr(one).startswith("ToolMetadata(description='d', supports_streaming=False")


@pytest.mark.parametrize(
    "name",
    [
        "adapters.TemplateAdapter",
        "adapters.ShowcaseAdapter",
        "adapters.showcase.showcase_adapter.ShowcaseAdapter",
        "base_adapter_threaded.BaseAdapter",
        "base_adapter_threaded.require_thread_safe",
    ],
)
def test_a_name_of_the_original_can_be_imported(name):
    module, _, last = f"snakepit_bridge.{name}".rpartition(".")
    assert getattr(importlib.import_module(module), last).__name__ is not None


def test_requests_of_threads_are_counted_and_ended():
    class Adapter(ThreadSafeAdapter):
        def get_stats(self):
            with self.acquire_lock():
                return {**self.get_stats_dict(), "own": 1}

    adapter = Adapter()
    tracker = adapter._tracker
    assert isinstance(tracker, RequestTracker) and adapter._thread_local is not None
    here = threading.get_ident()
    assert [tracker.start_request(here), tracker.start_request(thread_id=5)] == [1, 2]
    stats = adapter.get_stats()
    assert (stats["own"], stats["adapter_class"], stats["thread_safe"]) == (1, "Adapter", True)
    tracked = stats["tracker"]
    assert (tracked["total_requests"], tracked["total_active_requests"]) == (2, 2)
    assert (tracked["active_threads"], tracked["threads_seen"]) == (2, 2)
    tracker.end_request(5)
    tracker.end_request(5)
    assert tracker.get_stats()["total_active_requests"] == 1
    tracker.end_request(thread_id=here)
    assert tracker.get_stats()["active_threads"] == 0


def test_a_context_keeps_attributes_and_the_metadata_of_its_call():
    native = FakeContext(Host())
    native.metadata = {"tenant": "a"}
    ctx = SessionContext(native)
    ctx.foo = 1
    assert (ctx.foo, ctx.request_metadata, ctx.stub) == (1, {"tenant": "a"}, None)
    ctx.request_metadata["seen"] = "yes"
    assert ctx.request_metadata == {"tenant": "a", "seen": "yes"}
    assert native.metadata is ctx.request_metadata
    with pytest.raises(AttributeError, match="bar"):
        ctx.bar


def test_a_context_made_by_hand():
    stub = object()
    ctx = SessionContext(stub, "s-1", request_metadata={"a": "b"})
    assert (ctx.stub, ctx.session_id, ctx.request_metadata) == (stub, "s-1", {"a": "b"})
    assert (ctx.deadline, ctx.remaining(), ctx.cancelled) == (None, None, False)
    ctx.raise_if_cancelled()
    with ctx:
        ctx.count = 1
    assert SessionContext(None, session_id="s-2").request_metadata == {}
    for request in (lambda: ctx.call_elixir_tool("t", a=1), lambda: ctx["v"], ctx.session_info):
        with pytest.raises(CallOverError, match="made by hand"):
            request()
    with pytest.raises(CallOverError, match="made by hand"):
        asyncio.run(ctx.call_host_tool_async("t"))


def test_the_adapter_of_the_tutorial_and_the_test_that_it_has():
    pytest.importorskip("numpy")
    from concurrent.futures import ThreadPoolExecutor

    from guide_adapter import MyAdapter

    from snakepit_bridge.thread_safety_checker import ThreadSafetyChecker

    checker = ThreadSafetyChecker(enabled=True, strict_mode=True)
    adapter = MyAdapter()
    with ThreadPoolExecutor(max_workers=20) as executor:
        futures = [executor.submit(adapter.compute, [1, 2, 3, 4, 5]) for _ in range(100)]
        results = [future.result(timeout=10) for future in futures]
    assert sorted(result["request_number"] for result in results) == list(range(1, 101))
    assert {result["result"] for result in results} == {55}
    assert adapter.get_stats()["total_requests"] == 100
    assert len(checker.get_report()["warnings"]) == 0


@pytest.mark.native
def test_the_adapter_of_the_tutorial_in_a_worker():
    pytest.importorskip("numpy")
    with Worker(f"{Path(__file__).parent}/guide_adapter.py:MyAdapter") as worker:
        assert worker.call("compute", data=[1, 2, 3]) == {"result": 14, "request_number": 1}
        assert worker.call("compute_cached", key="a", data=[2])["cached"] is False
        assert worker.call("compute_cached", key="a", data=[2])["cached"] is True
        stats = worker.call("get_stats")
        assert (stats["total_requests"], stats["adapter_class"]) == (2, "MyAdapter")
        assert stats["tracker"]["total_requests"] == 4
