"""Libraries that are instrumented with OpenTelemetry join the trace of the call."""

import itertools
from pathlib import Path

import pytest
from telemetry_host import TOOL, TRACE, UNSAMPLED, Observed, settings
from test_telemetry import PROFILES, by_name, own

pytest.importorskip("opentelemetry.sdk")
pytestmark = pytest.mark.native

ADAPTER = str(Path(__file__).parent / "otel_adapter.py")
HERE = f"{TRACE.hex()}-{TOOL.hex()}-1"
NOWHERE = f"{'0' * 32}-{'0' * 16}-0"


@pytest.fixture(scope="module", params=PROFILES)
def running(request):
    with Observed(ADAPTER, **PROFILES[request.param]) as worker:
        yield worker


@pytest.fixture
def worker(running):
    running.records = []
    yield running


def test_tools_of_all_kinds_run_in_the_context_of_their_call(worker):
    assert worker.call("here") == HERE
    assert worker.call("here_async") == [HERE, HERE]
    assert list(worker.stream("here_stream", n=2)) == [HERE, HERE]
    assert list(worker.stream("here_stream_async", n=2)) == [HERE, HERE]


def test_what_tracing_systems_have_written_goes_along(worker):
    # A place of its own: a worker knows each by the id of its span.
    options = {"state": "congo=t61,rojo=1", "trace": TRACE + b"\x07" * 8 + b"\x01"}
    worker.result(worker.start("spans", options=options))
    spans = worker.until(spans=2)["spans"]
    assert [span["state"] for span in spans] == ["congo=t61,rojo=1"] * 2
    assert worker.result(worker.start("state", options=options)) == ["congo=t61,rojo=1"] * 2
    # What the user's own span has added counts from there on.
    worker.records = []
    assert worker.result(worker.start("own_state", options=options)) == "mine=1,congo=t61,rojo=1"
    assert worker.until(spans=1)["spans"][0]["state"] == "mine=1,congo=t61,rojo=1"
    worker.records = []
    assert worker.call("state") == ["", None]
    worker.call("spans")
    assert all("state" not in span for span in worker.until(spans=2)["spans"])


def test_without_a_trace_there_is_no_span_and_an_unsampled_one_stays_so(worker):
    assert worker.call_plain("here") == NOWHERE
    worker.result(worker.start("spans", options={"trace": UNSAMPLED}))
    assert worker.result(worker.start("here", options={"trace": UNSAMPLED})) == HERE[:-1] + "0"
    worker.call("here")
    worker.call("spans")
    assert len(worker.until(spans=2)["spans"]) == 2


def test_spans_of_the_sdk_arrive_below_the_tool(worker):
    call = worker.start("spans")
    worker.result(call)
    spans = by_name(worker.until(spans=2)["spans"])
    request, inner = spans["request"], spans["inner"]
    assert request["parent"] == TOOL and inner["parent"] == own(request)
    assert request["call"] == inner["call"] == call
    assert request["start_ns"] <= inner["start_ns"] <= inner["end_ns"] <= request["end_ns"]
    assert request["kind"] == 2 and inner["kind"] == 0
    assert request["attributes"]["http.method"] == "GET"
    assert request["attributes"]["sizes"] == "(1, 2)"
    assert request["attributes"]["otel.scope.name"] == "library"
    assert [event["name"] for event in request["events"]] == ["sent"]
    assert request["error"] == "refused: token='<redacted>'" and inner["error"] is None


def test_spans_of_tasks_and_streams(worker):
    worker.call("spans_async")
    spans = by_name(worker.until(spans=3)["spans"])
    assert spans["all"]["parent"] == TOOL
    assert spans["a"]["parent"] == spans["b"]["parent"] == own(spans["all"])
    assert list(worker.stream("spans_stream", n=3)) == [0, 1, 2]
    (span,) = worker.until(spans=1)["spans"]
    assert span["parent"] == TOOL


def test_spans_of_both_kinds_are_one_tree(worker):
    worker.call("mixed")
    spans = by_name(worker.until(spans=5)["spans"])
    chain = ["own", "theirs", "own within", "theirs within"]
    assert spans["own"]["parent"] == TOOL
    for outer, inner in itertools.pairwise(chain):
        assert spans[inner]["parent"] == own(spans[outer]), inner
    assert spans["theirs beside"]["parent"] == own(spans["theirs"])


def test_threads_with_a_copied_context(worker):
    worker.call("in_a_thread")
    spans = by_name(worker.until(spans=2)["spans"])
    assert spans["thread"]["parent"] == own(spans["own"])


def test_other_values_of_the_context_stay(worker):
    assert worker.call("with_baggage") == [HERE, "ann"]
    # What one call leaves attached has no span of that call for the next one.
    assert worker.call("left_attached") == HERE
    other = bytes.fromhex("11" * 16 + "22" * 8 + "01")
    got = worker.result(worker.start("here", options={"trace": other}))
    assert got == f"{'11' * 16}-{'22' * 8}-1"


def test_exceptions_of_the_sdk(worker):
    assert worker.fail("raises")["message"] == "no"
    (span,) = worker.until(spans=1)["spans"]
    assert span["error"] == "ValueError: no"
    assert span["events"][0]["attributes"]["exception.type"] == "ValueError"


def test_processes_get_the_innermost_span(worker):
    parent, span = worker.call("starts")
    assert parent == f"00-{TRACE.hex()}-{span}-01"
    assert own(worker.until(spans=1)["spans"][0]).hex() == span


def test_a_provider_of_the_program(worker):
    worker.call("own_provider")
    spans = worker.until(spans=1)["spans"]
    assert spans[0]["name"] == "by the other" and spans[0]["parent"] == TOOL


def test_a_host_that_takes_no_records_gets_no_spans():
    with Observed(ADAPTER, settings(enabled=False)) as worker:
        worker.call("spans")
        worker.shutdown()
        with pytest.raises(ConnectionError):
            while True:
                worker.take()
        assert worker.records == []


def test_a_worker_that_uses_none_imports_none(tmp_path):
    adapter = tmp_path / "plain.py"
    adapter.write_text(
        "import sys\nfrom snakepit_bridge import tool\n@tool\ndef loaded() -> list[str]:\n"
        "    names = ('opentelemetry', 'logging', 'subprocess', 'asyncio',\n"
        "             'snakepit_bridge._observe.log_bridge', 'snakepit_bridge._observe.otel',\n"
        "             'snakepit_bridge.telemetry')\n"
        "    return [name for name in names if name in sys.modules]\n"
    )
    with Observed(str(adapter)) as worker:
        assert worker.call("loaded") == []
