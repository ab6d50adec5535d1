"""Real worker processes, driven over a real socket."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from minihost import CANCEL, CHUNK, ERROR, PING, PONG, STREAM, ToolError, Worker
from test_codec import VALUES, pack, same

pytestmark = pytest.mark.native

ADAPTER = str(Path(__file__).parent / "adapter_for_tests.py")


@pytest.fixture(scope="module")
def worker():
    with Worker(ADAPTER) as running:
        yield running


def test_a_worker_describes_itself_and_its_tools(worker):
    got = worker.described
    assert (got["runtime"], got["slots"], got["pid"]) == ("cpython", 1, worker.process.pid)
    assert "cancel" in got["capabilities"]
    tools = {item["name"]: item for item in got["tools"]}
    mean = tools["mean"]
    assert mean["signature"] == "def mean(xs: list[float]) -> float"
    lines = Path(ADAPTER).read_text().splitlines()
    assert lines[mean["line"] - 1].startswith("def mean(")
    assert tools["count"]["supports_streaming"] == 1
    assert tools["aecho"]["is_async"] == 1
    assert '"type":"array"' in mean["parameters_schema"]
    assert mean["returns_schema"] == '{"type":"number"}'


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(VALUES)
def test_every_value_survives_the_way_through_a_worker(worker, value):
    assert same(worker.call("echo", x=value), value)


def test_arguments_are_bound_like_a_call(worker):
    assert worker.call("mixed", 1, 2, 4, 5) == [1, 2, [4, 5], 3, {}]
    assert worker.call("mean", xs=[1, 2.0]) == 1.5
    assert worker.call("mean", [1, 3]) == 2.0
    assert worker.call("closed") == []


def test_arguments_are_converted(worker):
    got = worker.call("typed", p={"x": 1}, c="red", t=[1, 2], s=["a"])
    assert got == ["Point", 1.0, 0.0, "RED", [1, 2], "tuple", "set"]


def test_coroutines_and_streams(worker):
    assert worker.call("aecho", x=1, delay=0.001) == 1
    assert list(worker.stream("count", n=1000)) == list(range(1000))
    assert list(worker.stream("acount", n=10)) == list(range(10))
    assert list(worker.stream("count", n=0)) == []


def test_many_items_are_answered_in_order_with_their_own_errors(worker):
    items = [{"xs": [float(i)]} for i in range(500)]
    items[7] = {"xs": "x"}
    items[8] = {"xs": []}
    got = worker.many("mean", items)
    assert len(got) == 500
    assert (got[7].code, got[8].code) == ("SP2003", "SP3001")
    assert [got[i] for i in (0, 6, 9, 499)] == [0.0, 6.0, 9.0, 499.0]
    assert worker.many("mean", []) == []


def test_the_context_knows_the_call(worker):
    call_id = worker.call("about")["call_id"]
    assert call_id == worker.next_call
    body = worker.call_raw("about", pack({}), session="s1", timeout_us=5_000_000)
    from test_codec import unpack

    got = unpack(body)
    assert (got["session_id"], got["worker_id"], got["cancelled"]) == ("s1", "test-1", False)
    assert 0 < got["left"] <= 5
    assert got["now"] < got["deadline"] <= got["now"] + 5
    assert worker.call("about")["deadline"] is None
    assert worker.call("my_call") == worker.next_call


def test_state_lives_in_the_adapter(worker):
    assert worker.call("add") + 1 == worker.call("add", n=1)


def test_the_context_takes_its_own_place_among_the_parameters(worker):
    assert worker.call("context_first", 1) == [True, 1, 2, [], 3, {}]
    assert worker.call("context_first", 1, 5, 6, 7) == [True, 1, 5, [6, 7], 3, {}]
    assert worker.call("context_first", a=1, c=4, d=9) == [True, 1, 2, [], 4, {"d": 9}]
    assert worker.call("context_between", 7, 8) == [7, 8]
    assert worker.call("context_between", b=9) == [1, 9]
    assert worker.call("context_between", a=9) == [9, 2]


@pytest.mark.parametrize("how", ["flag", "raise"])
def test_a_running_call_sees_the_cancellation(worker, how):
    from minihost import CALL, REPLY

    call_id = worker.begin(CALL, "until_cancelled", pack({"how": how}))
    worker.control.send(CANCEL, call_id)
    frame = worker.slot.receive()
    assert frame.call_id == call_id
    # The cancellation may overtake its call, which then does not run at all.
    assert frame.kind == REPLY or frame.error().code == "SP3002"
    assert worker.call("echo", x=1) == 1


@pytest.mark.parametrize("name", ["endless", "aendless"])
def test_a_cancelled_stream_closes_its_generator(worker, name):
    call_id = worker.begin(STREAM, name, pack({}))
    for _ in range(10):
        assert worker.slot.receive().kind == CHUNK
    worker.control.send(CANCEL, call_id)
    while (frame := worker.slot.receive()).kind == CHUNK:
        pass
    assert (frame.kind, frame.error().code) == (ERROR, "SP3002")
    assert name in worker.call("closed")


def test_a_call_cancelled_before_it_came_does_not_run(worker):
    worker.control.send(CANCEL, 999_999)
    worker.control.send(PING)
    # What earlier cancellations came to is there, too.
    while worker.control.receive().kind != PONG:
        pass
    with pytest.raises(ToolError) as caught:
        worker.call_raw("echo", pack({"x": 1}), call_id=999_999)
    assert caught.value.code == "SP3002"


def test_an_exception_travels_with_everything(worker):
    got = worker.fail("fails")
    assert (got["code"], got["type"], got["module"]) == ("SP3001", "ValueError", "builtins")
    assert (got["message"], got["notes"]) == ("bad value", ["a note"])
    assert got["cause"]["type"] == "KeyError"
    assert got["file"].endswith("adapter_for_tests.py")
    assert got["source"] == "raise raised from error"
    assert ", in fails" in got["traceback"]
    if sys.version_info >= (3, 11):  # 3.10 knows no notes and prints none
        assert got["traceback"].rstrip().endswith("a note")


def test_an_exception_of_the_interpreter_has_its_traceback_too(worker):
    got = worker.fail("divide", 1, 0)
    assert (got["type"], got["source"]) == ("ZeroDivisionError", "return a / b")
    assert ", in divide" in got["traceback"]


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("exit", "SystemExit"),
        ("interrupt", "KeyboardInterrupt"),
        ("recursion", "RecursionError"),
    ],
)
def test_no_exception_ends_the_worker(worker, how, kind):
    assert worker.fail("fails", how=how)["type"] == kind
    assert worker.call("echo", x=1) == 1


def test_a_stream_that_fails_late_delivers_what_it_had(worker):
    stream = worker.stream("fails_late", n=3)
    assert [next(stream), next(stream), next(stream)] == [0, 1, 2]
    with pytest.raises(ToolError) as caught:
        next(stream)
    assert caught.value.fields["message"] == "late"


def test_the_token_is_not_in_the_environment(worker):
    assert worker.slot.token == worker.control.token == worker.token
    assert worker.call("environment", name="SNAKEPIT_WORKER_TOKEN") is None
    assert worker.call("environment", name="SNAKEPIT_WORKER_ID") == "test-1"


def test_prints_do_not_touch_the_link_and_shutdown_cleans_up(tmp_path):
    log = tmp_path / "log"
    with Worker(ADAPTER, env={"TEST_LOG": str(log)}) as worker:
        assert worker.call("prints", text="hello") == 5
        assert log.read_text().split() == ["init", "initialize"]
        worker.slot.send(5)
        out, errors = worker.process.communicate(timeout=60)
        assert (out, errors) == (b"hello\nraw\n", b"hello\n")
        assert worker.process.returncode == 0
        assert log.read_text().split() == ["init", "initialize", "cleanup"]


def test_a_worker_ends_when_its_host_is_gone():
    from minihost import CALL

    with Worker(ADAPTER) as worker:
        worker.begin(CALL, "until_cancelled", pack({}))
        worker.control.sock.close()
        assert worker.process.wait(60) != 0


def test_a_worker_ends_when_its_slot_is_closed_by_the_host():
    with Worker(ADAPTER) as worker:
        worker.slot.sock.close()
        worker.process.wait(60)


def test_a_package_adapter_is_found_in_the_working_directory(tmp_path):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "inner.py").write_text(
        "from snakepit_bridge import BaseAdapter, tool\n"
        "class A(BaseAdapter):\n    @tool\n    def f(self): return 1\n"
    )
    for reference in ("pack.inner", "pack.inner:A", "pack.inner.A"):
        with Worker(reference, cwd=str(tmp_path)) as worker:
            assert worker.call("f") == 1
            assert worker.shutdown() == 0


def test_files_are_named_relative_to_the_working_directory():
    with Worker("adapter_for_tests.py:mean", cwd=os.path.dirname(ADAPTER)) as worker:
        assert [item["file"] for item in worker.described["tools"]] == ["adapter_for_tests.py"]
