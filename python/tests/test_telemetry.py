"""Events, spans and measurements of tools, in real workers of every profile."""

import sys
from pathlib import Path

import pytest
from telemetry_host import (
    EVENT,
    MEASUREMENT,
    PARENT,
    SAMPLED,
    TOOL,
    TRACE,
    UNSAMPLED,
    Observed,
    settings,
)

pytestmark = pytest.mark.native

ADAPTER = str(Path(__file__).parent / "telemetry_adapter.py")
LOOP = {"env": {"SNAKEPIT_WORKER_CONCURRENCY": "4", "SNAKEPIT_WORKER_EVENT_LOOP": "asyncio"}}
PROFILES = {"process": {}, "thread": {"slots": 2}, "loop": LOOP}


@pytest.fixture(scope="module", params=PROFILES)
def running(request):
    with Observed(ADAPTER, **PROFILES[request.param]) as worker:
        early = worker.until(events=1, spans=1)
        assert early["events"][0]["name"] == "python.model.loaded"
        assert early["events"][0]["call"] == 0
        span = early["spans"][0]
        assert (span["name"], span["parent"], span["call"]) == ("initialize", None, 0)
        yield worker


@pytest.fixture
def worker(running):
    running.records = []
    yield running


def by_name(records):
    names = {record["name"]: record for record in records}
    assert len(names) == len(records), records
    return names


def parent_of(span):
    return span["parent"]


def own(span):
    assert span["trace"][:16] == TRACE and span["trace"][24] == 1
    return span["trace"][16:24]


def test_an_event_arrives_with_its_call_and_trace(worker):
    call = worker.start(
        "emits", name="tool.x", measurements={"n": 1, "f": 0.5}, metadata={"k": "v"}
    )
    worker.result(call)
    (event,) = worker.until(events=1)["events"]
    at = event.pop("at_ns")
    assert event == {
        "name": "tool.x",
        "measurements": {"n": 1, "f": 0.5},
        "metadata": {"k": "v", "correlation_id": "cid-1"},
        "call": call,
        "trace": SAMPLED,
    }
    assert at > 1_700_000_000 * 10**9


def test_odd_events_arrive_without_secrets_or_errors(worker):
    worker.call("emits_odd_things")
    odd, bad, number, big, wrong = worker.until(events=5)["events"]
    assert odd["measurements"] == {"a": 1, "d": float(2**80)}
    assert odd["metadata"]["b"] == "text" and odd["metadata"]["c"] == "None"
    assert odd["metadata"]["e"] == "<no text: ValueError in __str__>"
    assert bad["name"] == "bad_name_" and "hush" not in repr(bad)
    assert (number["name"], number["metadata"]["1"]) == ("7", "one")
    assert number["metadata"]["x"] == "[1]"
    assert 0 < len(big["metadata"]) <= 64 and big["metadata"]["k0"].endswith("…")
    assert (wrong["measurements"], wrong["name"]) == ({}, "tool.wrong")
    assert worker.dropped == 0


@pytest.mark.parametrize("tool", ["ids", "ids_async"])
def test_a_tool_knows_its_place(worker, tool):
    assert worker.call(tool) == ["cid-1", PARENT]
    assert worker.call_plain(tool) == [None, None]


def test_spans_are_a_tree_with_what_is_inside(worker):
    parent = worker.call("nested")
    got = worker.until(spans=2, events=1, logs=1, measurements=1)
    spans = by_name(got["spans"])
    outer, inner = spans["outer"], spans["inner"]
    assert parent_of(outer) == TOOL and parent_of(inner) == own(outer) != own(inner)
    assert parent == f"00-{TRACE.hex()}-{own(outer).hex()}-01"
    assert outer["start_ns"] <= inner["start_ns"] <= inner["end_ns"] <= outer["end_ns"]
    ids = {"snakepit.correlation_id": "cid-1"}
    assert outer["attributes"] == {"size": 3, "later": True, **ids}
    (moment,) = outer["events"]
    assert (moment["name"], moment["attributes"]) == ("moment", {"at": "end"})
    assert outer["error"] is None and outer["kind"] == 0
    for record in (got["events"][0], got["logs"][0], got["measurements"][0]):
        assert record["trace"] == inner["trace"] and record["call"] == outer["call"]


def test_tasks_have_the_span_that_started_them(worker):
    worker.call("nested_async")
    spans = by_name(worker.until(spans=5)["spans"])
    assert parent_of(spans["outer"]) == TOOL
    for name in ("a", "b"):
        assert parent_of(spans[name]) == own(spans["outer"])
        assert parent_of(spans[f"{name}.below"]) == own(spans[name])


def test_decorated_functions_and_generators(worker):
    assert worker.call("decorators") == [2, 0, "given", 1]
    spans = worker.until(spans=6)["spans"]
    named = by_name([span for span in spans if span["name"] != "item"])
    assert parent_of(named["within"]) == own(named["decorated"])
    assert named["decorated"]["attributes"]["kind"] == "sync"
    assert parent_of(named["generated"]) == parent_of(named["consumer"]) == TOOL
    items = [span for span in spans if span["name"] == "item"]
    assert [parent_of(item) for item in items] == [own(named["generated"])] * 2


def test_decorated_coroutines_and_async_generators(worker):
    assert worker.call("decorators_async") == [2, 0, 1]
    spans = by_name(worker.until(spans=3)["spans"])
    assert parent_of(spans["within"]) == own(spans["decorated"])
    assert parent_of(spans["generated"]) == TOOL


@pytest.mark.parametrize("tool", ["stream", "stream_async"])
def test_a_streaming_tool_may_be_decorated(worker, tool):
    assert list(worker.stream(tool, n=3)) == [0, 1, 2]
    got = worker.until(spans=1, events=3)
    (span,) = got["spans"]
    assert parent_of(span) == TOOL and span["name"] == "stream"
    assert [event["trace"] for event in got["events"]] == [span["trace"]] * 3


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tasks take no context")
@pytest.mark.parametrize("tool", ["stream_open", "stream_open_async"])
def test_a_span_may_be_open_over_the_items_of_a_stream(worker, tool):
    assert list(worker.stream(tool, n=3)) == [0, 1, 2]
    spans = by_name(worker.until(spans=4)["spans"])
    assert parent_of(spans["opened"]) == TOOL
    for number in range(3):
        assert parent_of(spans[f"item-{number}"]) == own(spans["opened"])
    # Nothing of it is left for the next call.
    assert worker.call("ids") == ["cid-1", PARENT]


def test_an_exception_ends_the_span_as_failed(worker):
    assert worker.fail("fails")["type"] == "ValueError"
    (span,) = worker.until(spans=1)["spans"]
    assert span["error"] == "ValueError: password='<redacted>'"
    assert span["attributes"]["error.type"] == "ValueError"
    (event,) = span["events"]
    assert event["name"] == "exception" and "hush" not in repr(span)
    assert "telemetry_adapter.py" in event["attributes"]["exception.stacktrace"]


def test_threads_with_a_copied_context_or_a_bound_function_belong_to_the_call(worker):
    worker.call("threads")
    spans = by_name(worker.until(spans=3)["spans"])
    for name in ("copied", "bound"):
        assert parent_of(spans[name]) == own(spans["outer"])
        assert spans[name]["call"] == spans["outer"]["call"]


def test_a_span_that_stays_open_is_no_place_for_the_next_call(worker):
    worker.call("leaves_open")
    worker.call("nested")
    spans = by_name(worker.until(spans=2)["spans"])
    assert parent_of(spans["outer"]) == TOOL


def test_a_span_that_is_dropped_open_arrives_with_a_mark(worker):
    worker.call("drops_open")
    (span,) = worker.until(spans=1)["spans"]
    assert span["attributes"]["snakepit.unclosed"] is True


def test_a_span_may_end_in_another_thread(worker):
    worker.call("closes_elsewhere")
    spans = by_name(worker.until(spans=3)["spans"])
    assert parent_of(spans["elsewhere"]) == own(spans["before"])
    assert parent_of(spans["after"]) == TOOL


def test_ends_that_are_too_many_change_nothing(worker):
    worker.call("closes_twice")
    got = worker.only(spans=3)
    assert [span["name"] for span in got["spans"]] == ["twice", "again", "next"]
    assert [parent_of(span) for span in got["spans"]] == [TOOL] * 3


def test_spans_that_cross_each_other_leave_a_sound_tree(worker):
    worker.call("crossed")
    spans = by_name(worker.until(spans=4)["spans"])
    assert parent_of(spans["third"]) == own(spans["second"])
    assert parent_of(spans["fourth"]) == TOOL


def test_a_span_may_begin_and_end_in_different_tasks():
    with Observed(ADAPTER) as worker:
        worker.call("closes_in_a_task")
        assert "task" in by_name(worker.until(spans=2)["spans"])


def test_the_form_of_the_original_emits_start_and_stop(worker):
    worker.call("former_form")
    got = worker.until(events=4, spans=2)
    assert [event["name"] for event in got["events"]] == [
        *("work.start", "work.stop", "tool.execution.start", "tool.execution.exception"),
    ]
    start, stop, _, exception = got["events"]
    assert start["metadata"] == {"step": "one", "correlation_id": "cid-own"}
    assert start["measurements"]["system_time"] > 0 and stop["measurements"]["duration"] >= 0
    assert exception["metadata"]["error_type"] == "KeyError"
    assert by_name(got["spans"])["work"]["attributes"]["snakepit.correlation_id"] == "cid-own"


def test_the_demo_of_the_showcase():
    with Observed("snakepit_bridge.adapters.showcase") as worker:
        got = worker.call("telemetry_demo", delay_ms=1)
        assert got["telemetry_enabled"] is True and got["correlation_id"] == "cid-1"
        records = worker.until(events=3, spans=1, measurements=1)
        names = ["tool.execution.start", "tool.result_size", "tool.execution.stop"]
        assert [event["name"] for event in records["events"]] == names


def test_measurements(worker):
    worker.call("measures")
    got = worker.only(measurements=4)["measurements"]
    assert [(m["name"], m["instrument"], m["value"]) for m in got] == [
        ("rows", 0, 5.0),
        ("rows", 0, 1.0),
        ("size", 2, 4096.0),
        ("queue.depth", 1, 3.0),
    ]
    assert (got[0]["unit"], got[0]["description"]) == ("{row}", "Rows that were read")
    assert [m["attributes"] for m in got[:2]] == [{"table": "t"}, {"table": "u"}]
    assert got[0]["trace"] == SAMPLED


def test_what_a_tool_asks_of_the_host_belongs_to_its_span(worker):
    asked = []

    def host(request):
        asked.append(request.trace)
        return 1

    worker.host = host
    assert worker.call("host_tools") == [1, 1]
    (span,) = worker.until(spans=1)["spans"]
    assert asked == [span["trace"], SAMPLED]


def test_a_correlation_id_of_its_own_ends_with_the_call(worker):
    header = "x-snakepit-correlation-id"
    expected = ["cid-1", "own", {header: "own", "traceparent": PARENT}]
    assert worker.call("correlated") == expected
    assert worker.call("correlated") == expected


@pytest.mark.parametrize("trace", [b"", UNSAMPLED])
def test_a_call_that_is_not_sampled_has_no_spans(worker, trace):
    worker.result(worker.start("nested", options={"trace": trace}))
    got = worker.only(events=1, logs=1, measurements=1)
    assert got["events"][0]["trace"] == (trace or None)


def test_a_forked_child_reports_nothing(worker):
    assert worker.call("forks") == 0
    worker.only()


def test_a_flood_is_dropped_and_counted_and_counters_stay_exact():
    with Observed(ADAPTER) as worker:
        worker.until(events=1, spans=1)
        # Nobody reads the control connection meanwhile, and the tool does not wait for it.
        worker.call("floods", n=20_000)
        worker.end()
        events = [record for kind, record in worker.records if kind == EVENT]
        assert 0 < len(events) < 20_000
        assert worker.dropped >= 20_000 - len(events)
        rows = [record["value"] for kind, record in worker.records if kind == MEASUREMENT]
        assert sum(rows) == 20_000


def test_the_host_switches_and_filters_at_run_time():
    with Observed(ADAPTER, settings(enabled=False)) as worker:
        assert worker.call("settings_now") is False
        worker.call("nested")
        change(worker, enabled=True, deny=["tool.s*"])
        for name in ("tool.secret", "secret", "python.x"):
            worker.call("emits", name=name, measurements={}, metadata={})
        assert [e["name"] for e in worker.only(events=1)["events"]] == ["python.x"]
        change(worker, allow=["tool.mark", "python.*"])
        for name in ("tool.other", "python.y"):
            worker.call("emits", name=name, measurements={}, metadata={})
        assert [e["name"] for e in worker.only(events=1)["events"]] == ["python.y"]
        # Measurements are not sampled.
        change(worker, sampling=0.0)
        worker.call("nested")
        change(worker)
        worker.only(measurements=1, logs=1)
        worker.call("nested")
        worker.only(spans=2, events=1, measurements=1, logs=1)


def change(worker, **values):
    """Send settings, and wait until the worker has them: it answers a ping after them."""
    from minihost import PING, PONG

    worker.control_settings(**values)
    worker.control.send(PING, 1)
    while True:
        frame = worker.control.receive()
        if frame.kind == PONG:
            return
        worker.keep(frame)
