"""Records of `logging` reach the host as records, and prints as text."""

from pathlib import Path

import pytest
from telemetry_host import LOG, SAMPLED, Observed, settings
from test_telemetry import PROFILES, change

pytestmark = pytest.mark.native

ADAPTER = str(Path(__file__).parent / "logging_adapter.py")


@pytest.fixture(params=PROFILES)
def worker(request):
    with Observed(ADAPTER, **PROFILES[request.param]) as running:
        yield running


def logs(worker, number):
    return worker.until(logs=number)["logs"]


def printed(worker):
    """Return everything that the worker has printed, once it has ended."""
    worker.shutdown()
    return worker.process.stdout.read().decode() + worker.process.stderr.read().decode()


def test_a_record_has_level_logger_call_and_ids_and_is_not_printed(worker):
    call = worker.start("says", logger="a.b", level=40, text="hello")
    worker.result(call)
    (record,) = logs(worker, 1)
    attributes = record.pop("attributes")
    assert record.pop("at_ns") > 1_700_000_000 * 10**9
    assert record == {
        "level": 40,
        "logger": "a.b",
        "message": "hello",
        "exception": None,
        "call": call,
        "trace": SAMPLED,
    }
    assert attributes["snakepit.correlation_id"] == "cid-1"
    assert attributes["code.file.path"].endswith("logging_adapter.py")
    assert attributes["code.function.name"] == "says" and attributes["code.line.number"] > 1
    worker.call("prints")
    assert sorted(printed(worker).split()) == ["printed", "written"]


def test_levels_are_those_of_the_program(worker):
    worker.call("says", logger="a", level=20, text="below")
    worker.call("sets_level", logger="a", level=10)
    worker.call("says", logger="a", level=10, text="above")
    assert [record["message"] for record in logs(worker, 1)] == ["above"]


def test_messages_of_all_kinds(worker):
    worker.call("formats")
    got = logs(worker, 6)
    plain, wrong, secret, long, lone, broken = (record["message"] for record in got)
    assert plain == "x is 5"
    assert wrong.startswith("%d ('x',)") and "TypeError" in wrong
    assert secret == "token='<redacted>'" and "hush" not in repr(got)
    assert got[2]["attributes"]["user"] == "ann" and got[2]["attributes"]["n"] == 3
    assert long.endswith("é…") and len(long.encode()) <= 8192
    assert lone == "lone \\ud800" and "ValueError" in broken


def test_exceptions_have_their_traceback(worker):
    worker.call("raises")
    failed, here = logs(worker, 2)
    assert failed["message"] == "failed" and failed["level"] == 40
    assert "Traceback" in failed["exception"] and "logging_adapter.py" in failed["exception"]
    assert "hush" not in failed["exception"]
    assert "Stack (most recent call last)" in here["exception"]


def test_a_record_that_logs_while_it_is_formatted_comes_to_an_end(worker):
    worker.call("recurses")
    while not any(r["message"] == "after" for kind, r in worker.records if kind == LOG):
        worker.take()
    assert len(worker.records) <= 7


def test_basic_config_works_as_in_any_program(worker):
    assert worker.call("basic_config") == [0, 1]
    assert [record["message"] for record in logs(worker, 2)] == ["by basicConfig", "by force"]
    assert printed(worker) == ""


def test_dict_config_and_the_removal_of_handlers(worker, tmp_path):
    path = tmp_path / "log"
    worker.call("dict_config", path=str(path))
    messages = [record["message"] for record in logs(worker, 4)]
    assert messages == ["any", "private", "both", "no handlers"]
    assert path.read_text() == "any\nsilent\nboth\n"
    assert printed(worker) == ""


def test_a_record_that_goes_through_a_queue_arrives_once(worker):
    worker.call("queued")
    worker.call("says", logger="x", level=30, text="end")
    assert [record["message"] for record in logs(worker, 2)] == ["once", "end"]


def test_tasks_and_threads(worker):
    call = worker.start("from_tasks")
    worker.result(call)
    got = {record["message"]: record["call"] for record in logs(worker, 3)}
    assert got == {"task 1": call, "task 2": call, "thread": call}
    worker.call("from_a_thread")
    (record,) = logs(worker, 1)
    assert record["attributes"]["thread.name"] == "beside"


def test_a_flood_is_dropped_and_blocks_nothing(worker):
    worker.call("floods", n=10_000)
    worker.end()
    assert 0 < worker.dropped < 10_000
    assert len(worker.records) + worker.dropped == 10_000


def test_the_last_words_of_a_worker_arrive(worker):
    worker.start("dies")
    with pytest.raises(ConnectionError):
        while True:
            worker.take()
    assert [record["message"] for _, record in worker.records] == ["before", "last words"]


def test_a_forked_child_logs_as_text(worker):
    assert worker.call("forks") == 0
    assert "said by the child" in printed(worker)
    assert worker.records == []


def test_the_host_sets_levels_and_takes_them_back(worker):
    change(worker, levels={"": 20, "a": 10, "b": 40})
    for name, level in (("", 20), ("a", 10), ("b", 40), ("b.c", 40), ("d", 20)):
        assert worker.call("level_of", logger=name) == level
    worker.call("says", logger="a.b", level=10, text="fine")
    # The program may change it, and still the host gets only what it wants.
    worker.call("sets_level", logger="b", level=10)
    worker.call("says", logger="b", level=30, text="too low")
    worker.call("says", logger="b", level=40, text="high")
    assert [record["message"] for record in logs(worker, 2)] == ["fine", "high"]
    change(worker)
    assert worker.call("level_of", logger="a") == 30
    assert worker.call("level_of", logger="b") == 10


def test_the_host_filters_loggers_and_turns_the_bridge_off(worker):
    change(worker, deny=["noisy*"])
    worker.call("says", logger="noisy.part", level=50, text="denied")
    worker.call("says", logger="other", level=30, text="allowed")
    assert [record["message"] for record in logs(worker, 1)] == ["allowed"]
    change(worker, enabled=False)
    worker.call("says", logger="other", level=30, text="as text")
    assert printed(worker).strip() == "as text"


def test_a_worker_of_a_host_without_telemetry_prints(tmp_path):
    from minihost import Worker

    with Worker(ADAPTER) as worker:
        worker.call("says", logger="a", level=30, text="plain")
        assert printed(worker).strip() == "plain"


def test_first_settings_hold_from_the_start():
    with Observed(ADAPTER, settings(levels={"": 10})) as worker:
        worker.call("says", logger="a", level=10, text="first")
        assert [record["message"] for record in logs(worker, 1)] == ["first"]
