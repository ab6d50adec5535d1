"""The context of a call in a real worker: its requests go over the link to a host in memory."""

from pathlib import Path

import minihost
import pytest
from host_model import Host, Refused
from minihost import ToolError, Worker

from snakepit_bridge._unsendable.markers import TYPE_KEY, is_marker

pytestmark = pytest.mark.native

HERE = Path(__file__).parent
SHOWCASE = "snakepit_bridge.adapters.showcase"


def serving(worker, host, session="s1"):
    def answer(request):
        try:
            return host.request(session, request.op, request.name, request.body)
        except Refused as error:
            fields = (error.code, error.message, error.help, "Refused")
            raise minihost.HostFault(*fields) from None

    worker.host = answer
    return worker


@pytest.fixture
def host():
    host = Host()
    host.add_tool(lambda x: x * 2, name="double")
    host.add_tool(lambda n: iter(range(n)), name="count", streaming=True)
    return host


@pytest.fixture(scope="module")
def process():
    with Worker(SHOWCASE) as running:
        yield running


@pytest.fixture
def worker(process, host):
    return serving(process, host)


def test_variables(worker, host):
    assert worker.call("init_session", owner="me")["metadata"] == {"owner": "me"}
    assert worker.call("set_counter", value=5) == 2
    assert worker.call("increment_counter", by=2) == 7
    assert worker.call("list_variables")[0]["version"] == 3
    fields = worker.fail("set_counter", value=-1)
    assert fields["type"] == "HostError" and "at least 0" in fields["message"]
    assert worker.call("threads_task", name="n", threads=8, times=25) == {
        "value": 200,
        "versions": 200,
    }
    assert worker.fail("load_program", name="none")["type"] == "UnknownProgramError"


def test_arrays_as_variables(worker, host):
    assert worker.call("store_embedding", name="e", text="x", dimensions=8) == 1
    assert len(host.session("s1").variables["e"]["value"]) == 8
    assert worker.call("store_embedding", name="e", text="y", dimensions=8) == 2


def test_host_tools(worker):
    assert worker.call("list_host_tools")["double"] == "double(**arguments) -> Any"
    assert worker.call("call_host", tool_name="double", arguments={"x": 21}) == 42
    assert worker.call("call_elixir_demo", tool_name="double", x=21) == 42
    assert worker.fail("call_host", tool_name="doubel", arguments={})["type"] == "UnknownToolError"
    calls = [{"x": number} for number in range(50)]
    got = worker.call("call_host_many", tool_name="double", calls=calls)
    assert got == [number * 2 for number in range(50)]
    assert list(worker.stream("stream_host", tool_name="count", arguments={"n": 10})) == list(
        range(10)
    )


def test_watching(worker, host):
    changes = worker.stream("watch_changes", names=["x"], count=3)
    assert next(changes)["after"] == 0
    # The tool waits in a request, which is answered when the next chunk is requested.
    body = {"type": "integer", "value": 1}
    host.request("s1", 20, "x", body, origin="host")
    for value in (2, 3):
        host.request("s1", 22, "", {"items": [{"name": "x", "value": value}]}, origin="host")
    got = [(change["kind"], change["value"], change["origin"]) for change in changes]
    assert got == [("registered", 1, "host"), ("set", 2, "host"), ("set", 3, "host")]


def test_the_context_of_an_adapter_of_the_original(host):
    with Worker(f"{HERE / 'original_adapter.py'}:OwnDispatch") as worker:
        serving(worker, host)
        got = worker.call("execute_tool", tool_name="add", arguments={"a": 1, "b": 2})
        assert got == 3
        # Any name that no tool has goes to its own dispatch.
        assert worker.call("add", a=1, b=2) == 3
        assert worker.call("later", x=1) == [1]
        assert worker.call("whoami") == [None, None]
        assert list(worker.stream("rows", n=2)) == [{"row": 0}, {"row": 1}]
        assert list(worker.stream("chunks")) == [1, 2]
        assert worker.call("marked") == "xx"
        with pytest.raises(ToolError, match="Unknown tool: nope") as caught:
            worker.call("nope")
        assert caught.value.code == "SP3001"


def test_markers():
    with Worker(SHOWCASE, env={"SNAKEPIT_UNSERIALIZABLE": "marker"}) as worker:
        got = worker.call("serialization_demo", demo_type="custom")
        assert is_marker(got) and got[TYPE_KEY].endswith("basic.Unsendable")
        nested = worker.call("serialization_demo", demo_type="nested")["kept"]
        assert nested[0] == 1 and is_marker(nested[1]) and nested[2] == "text"
        rich = worker.call("serialization_demo", demo_type="rich")
        assert rich["large"] == 2**64 - 1
    with Worker(SHOWCASE) as worker:
        assert worker.fail("serialization_demo", demo_type="custom")["code"] == "SP2007"
