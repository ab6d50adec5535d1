"""The showcase: each of its tools runs, against a host in memory and in a worker."""

import asyncio
import threading

import pytest
from host_model import FakeContext, Host
from minihost import ToolError, Worker

from snakepit_bridge import HostError, SessionContext
from snakepit_bridge._load import loader
from snakepit_bridge._serve import aio

REFERENCE = "snakepit_bridge.adapters.showcase"


@pytest.fixture
def host():
    host = Host()
    host.add_tool(lambda x: x * 2, name="double")
    host.add_tool(lambda n: iter(range(n)), name="count", streaming=True)
    return host


@pytest.fixture
def use(host):
    catalog = loader.load(REFERENCE)
    tools = {tool.name: tool for tool in catalog.tools}

    def use(name, /, **arguments):
        tool = tools[name]
        if tool.context:
            arguments[tool.context] = SessionContext(FakeContext(host))
        return aio.run(tool.function(**arguments))

    use.tools = tools
    yield use
    catalog.close()


def test_it_loads_by_package_and_by_class():
    by_class = loader.load(f"{REFERENCE}:ShowcaseAdapter")
    names = [tool.name for tool in by_class.tools]
    assert names == [tool.name for tool in loader.load(REFERENCE).tools]
    assert all(tool.description and tool.file and tool.line for tool in by_class.tools)
    wanted = (
        "ping echo add error_demo adapter_info init_session set_counter get_counter "
        "increment_counter get_worker_info create_tensor create_embedding benchmark_encoding "
        "stream_data stream_progress stream_fibonacci generate_dataset infinite_stream "
        "cpu_bound_task sleep_task lightweight_task load_sample_data preprocess_data train_model "
        "cross_validate predict_single predict_batch_with_embeddings process_text get_stats "
        "call_elixir_demo serialization_demo telemetry_demo"
    )
    assert set(wanted.split()) <= set(names)


def test_basic_tools(use):
    assert use("ping", message="hi")["message"] == "hi"
    assert use("echo", a=1, b=[2]) == {"echoed": {"a": 1, "b": [2]}}
    assert use("add", a=1, b=2.5) == 3.5
    for operation, result in (("upper", "AB"), ("lower", "ab"), ("reverse", "Ba"), ("length", 2)):
        assert use("process_text", text="aB", operation=operation) == result
    assert use("get_stats")["calls"] == 7
    assert use("adapter_info")["adapter"] == "ShowcaseAdapter"
    assert use("serialization_demo")["large"] == 2**64 - 1
    demo = use("telemetry_demo", operation="load", delay_ms=1)
    assert (demo["operation"], demo["correlation_id"]) == ("load", None)
    kinds = {"value": ValueError, "key": KeyError, "runtime": RuntimeError, "chained": ValueError}
    for name, kind in kinds.items():
        with pytest.raises(kind):
            use("error_demo", error_type=name)


def test_session_tools(use, host):
    assert use("init_session", owner="me")["metadata"] == {"owner": "me"}
    assert use("get_counter") == 0
    assert use("set_counter", value=5) == 2
    with pytest.raises(HostError):
        use("set_counter", value=-1)
    assert use("increment_counter", by=2) == 7
    assert use("list_variables") == [{"name": "counter", "type": "integer", "version": 3}]
    got = use("set_many", values={"counter": 1, "none": 1}, atomic=False)
    assert got == {"counter": 4, "none": {"error": "SP7101"}}
    assert use("save_program", name="p", program=[1]) == ["p"]
    assert use("load_program", name="p") == [1]
    assert use("cleanup_session") == 1
    assert use("get_counter") == 0 and use("increment_counter") == 1
    assert use("threads_task", name="shared") == {"value": 40, "versions": 40}


def test_watching(use):
    changes = use("watch_changes", names=["counter"], count=2)
    assert next(changes)["kind"] == "watching"
    threading.Thread(target=use, args=("increment_counter",)).start()
    assert [(c["kind"], c["value"]) for c in changes] == [("registered", 0), ("set", 1)]


def test_tools_of_the_host(use):
    assert use("list_host_tools")["double"].startswith("double(")
    assert use("call_host", tool_name="double", arguments={"x": 4}) == 8
    assert use("call_elixir_demo", tool_name="double", x=4) == 8
    assert list(use("stream_host", tool_name="count", arguments={"n": 5})) == [0, 1, 2, 3, 4]
    many = use("call_host_many", tool_name="double", calls=[{"x": i} for i in range(5)])
    assert many == [0, 2, 4, 6, 8]


def test_streams(use):
    assert [item["value"] for item in use("stream_data", count=3)] == [0, 1, 4]

    async def progress():
        return [item async for item in use("stream_progress", steps=2, delay_ms=0)]

    assert [item["is_final"] for item in asyncio.run(progress())] == [False, True]
    numbers = list(use("stream_fibonacci", count=100))
    assert numbers[10] == 55 and numbers[93] == 12200160415121876738
    assert numbers[99] == "218922995834555169026"
    chunks = list(use("generate_dataset", rows=25, chunk_size=10))
    assert [len(chunk["rows"]) for chunk in chunks] == [10, 10, 5] and chunks[-1]["is_final"]
    endless = use("infinite_stream")
    assert [next(endless) for _ in range(3)] == [0, 1, 2]


def test_arrays(use):
    assert use("create_bytes", size=3) == bytes(3)
    vector = use("create_embedding", text="a", dimensions=100)
    assert len(vector) == 100 and abs(sum(x * x for x in vector) - 1) < 1e-5
    assert use("create_tensor", shape=[2, 3], fill=1.5).tolist() == [[1.5] * 3] * 2
    assert use("create_tensor", shape=[], fill=1.5) == 1.5
    assert use("store_embedding", name="e", text="a", dimensions=4) == 1
    assert use("store_embedding", name="e", text="b", dimensions=4) == 2
    assert use("measure_bytes", data=b"abc")["size"] == 3


def test_work_and_learning(use):
    assert use("cpu_bound_task", task_id="t", duration_ms=1)["task_id"] == "t"
    assert use("sleep_task", duration_ms=0, task_number=3)["task_number"] == 3
    assert use("lightweight_task", iteration=2)["iteration"] == 2
    assert use("get_worker_info", call_number=1)["worker_id"] == "worker-1"
    data = use("load_sample_data", size=10)
    assert len(data["x"]) == len(data["y"]) == 10
    assert abs(sum(use("preprocess_data", values=[1.0, 2.0, 6.0]))) < 1e-9
    assert use("preprocess_data", values=[]) == []
    losses = [item["loss"] for item in use("train_model", epochs=50) if "loss" in item]
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.1
    assert abs(use("predict_single", x=0.5) - 3.5) < 0.3
    assert len(use("cross_validate", slope=3.0, offset=2.0)) == 5
    got = use("predict_batch_with_embeddings", texts=["a", "b"], embedding_dim=8)
    assert [len(item["embedding"]) for item in got] == [8, 8]


@pytest.fixture(scope="module")
def worker():
    with Worker(REFERENCE) as running:
        yield running


@pytest.mark.native
def test_in_a_worker(worker):
    assert worker.call("add", a=1, b=2) == 3
    assert worker.call("adapter_info")["worker_id"] == "test-1"
    assert len(list(worker.stream("stream_progress", steps=3, delay_ms=0))) == 3
    rich = worker.call("serialization_demo", demo_type="rich")
    assert rich["bytes"] == b"\x00\x01" and rich["large"] == 2**64 - 1
    assert len(worker.call("benchmark_encoding", end_kb=16)) == 3
    fields = worker.fail("error_demo", error_type="chained")
    assert fields["file"].endswith("showcase/basic.py") and "raise error" in fields["source"]
    assert fields["cause"]["type"] == "ValueError"
    fields = worker.fail("error_demo", error_type="secret")
    assert "not-for-the-log" not in str(fields)
    with pytest.raises(ToolError) as caught:
        worker.call("serialization_demo", demo_type="custom")
    assert caught.value.code == "SP2007"
