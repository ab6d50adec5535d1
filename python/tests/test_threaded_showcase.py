"""The showcase for threads: each tool alone, then all of them from many threads."""

import threading
from contextlib import nullcontext

import pytest
from minihost import Worker
from test_thread_safe_adapter import THREADS, together

from snakepit_bridge._load import loader
from snakepit_bridge.adapters.threaded_showcase import ThreadedShowcaseAdapter
from snakepit_bridge.thread_safety_checker import (
    ThreadSafetyChecker,
    check_common_pitfalls,
    validate_adapter_thread_safety,
)

REFERENCE = "snakepit_bridge.adapters.threaded_showcase"


@pytest.fixture
def adapter():
    adapter = ThreadedShowcaseAdapter()
    adapter.initialize()
    return adapter


def test_it_loads_with_all_its_tools():
    catalog = loader.load(REFERENCE)
    tools = {tool.name: tool for tool in catalog.tools}
    assert list(tools) == [
        "model_info",
        "compute_intensive",
        "matrix_multiply",
        "compute_cached",
        "batch_process",
        "meet",
        "stress_test",
        "read_log",
        "thread_stats",
    ]
    assert all(tool.description and tool.file.endswith("showcase.py") for tool in tools.values())
    assert tools["batch_process"].kind == "stream"
    assert tools["meet"].owner.__thread_safe__ is True
    catalog.close()


def test_read_only(adapter):
    assert adapter.model_info() == {"name": "sines", "weights": 64}
    with pytest.raises(TypeError):
        adapter.model["name"] = "other"


def test_computing_notes_what_it_did(adapter):
    one = adapter.compute_intensive([1.0, 2.0], rounds=2)
    two = adapter.compute_intensive([1.0, 2.0], rounds=4)
    assert two["result"] == pytest.approx(2 * one["result"])
    assert (one["request_number"], two["request_number"]) == (1, 2)
    assert [entry["result"] for entry in adapter.read_log(1)] == [two["result"]]
    assert adapter.read_log(0) == []
    items = list(adapter.batch_process([1.0, 2.0, 3.0], rounds=1))
    assert [(item["index"], item["request_number"]) for item in items] == [(0, 3), (1, 4), (2, 5)]


def test_matrices(adapter):
    assert adapter.matrix_multiply([[1, 2], [3, 4]], [[5, 6], [7, 8]]) == [[19, 22], [43, 50]]
    for bad in ([[1]], [[1, 2], [3]]):
        with pytest.raises(ValueError, match="as long as"):
            adapter.matrix_multiply([[1, 2]], bad)


def test_each_thread_has_its_own_cache(adapter):
    def use(_):
        first, again = adapter.compute_cached("key"), adapter.compute_cached("key")
        return first["cached"], again["cached"], again["value"], again["entries"]

    results = together(use)
    assert [result[:2] for result in results] == [(False, True)] * THREADS
    assert {result[2:] for result in results} == {(results[0][2], 1)}


def test_a_meeting_needs_all_who_are_meant(adapter):
    for _ in range(3):
        places = [met["place"] for met in together(lambda _: adapter.meet(THREADS))]
        assert sorted(places) == list(range(THREADS)) and adapter.meetings == {}
    two = together(lambda index: adapter.meet(2, name=str(index % 2)), threads=4)
    assert sorted(met["place"] for met in two) == [0, 0, 1, 1]
    with pytest.raises(threading.BrokenBarrierError):
        adapter.meet(2, timeout_s=0.0)
    assert adapter.meetings == {}
    adapter.meetings[""] = (threading.Barrier(2), 1)
    with pytest.raises(ValueError, match="meeting of 2"):
        adapter.meet(3)


def test_no_write_of_the_stress_test_is_lost(adapter):
    result = adapter.stress_test(threads=THREADS, rounds=300)
    assert (result["expected"], result["lost"]) == (THREADS * 300, 0)


def test_the_stress_test_notices_that_the_lock_is_missing(adapter, monkeypatch):
    monkeypatch.setattr(adapter, "acquire_lock", nullcontext)
    assert adapter.stress_test(threads=THREADS, rounds=300)["lost"] > 0


def test_all_tools_at_once_under_a_strict_checker(adapter):
    def use(index):
        for round in range(20):
            adapter.compute_intensive([float(index)], rounds=1)
            adapter.compute_cached(str(round))
            adapter.read_log()
            list(adapter.batch_process([1.0], rounds=1))

    with ThreadSafetyChecker(strict_mode=True) as checker:
        together(use)
        report = checker.get_report()
    assert report["warnings"] == []
    name = "ThreadedShowcaseAdapter.compute_intensive"
    assert report["methods"][name]["calls"] == THREADS * 40
    stats = adapter.thread_stats()
    assert stats["noted"] == THREADS * 40 and stats["log_entries"] == THREADS * 40
    # The stream's inner calls are requests as well; the running one is `thread_stats` itself.
    assert stats["total_requests"] == THREADS * 100 + 1 and stats["active_requests"] == 1
    assert validate_adapter_thread_safety(adapter) and check_common_pitfalls(adapter) == []


@pytest.mark.native
def test_in_a_worker():
    with Worker(REFERENCE) as worker:
        assert worker.call("compute_intensive", data=[1.0])["request_number"] == 1
        assert worker.call("compute_cached", key="a")["cached"] is False
        assert worker.call("compute_cached", key="a")["cached"] is True
        items = list(worker.stream("batch_process", items=[1.0, 2.0]))
        assert [item["request_number"] for item in items] == [2, 3]
        assert worker.call("stress_test", threads=8, rounds=50)["lost"] == 0
        stats = worker.call("thread_stats")
        assert (stats["noted"], stats["active_requests"], stats["declared"]) == (3, 1, True)
