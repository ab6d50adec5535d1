"""`ThreadSafeAdapter` and its parts, with many threads at once."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given, settings, strategies as st
from minihost import PACKAGE_DIR

import snakepit_bridge
from snakepit_bridge._load import loader
from snakepit_bridge.base_adapter_threaded import (
    RequestTracker,
    ThreadLocalStorage,
    ThreadSafeAdapter,
    require_thread_safe,
    thread_safe_method,
    tool,
    validate_thread_safety,
)
from snakepit_bridge.thread_safety_checker import ThreadSafetyChecker

THREADS = 16


def together(function, threads=THREADS):
    """Return the results of `function(index)` in threads that begin together; raise errors."""
    start = threading.Barrier(threads)
    results, errors = [None] * threads, []

    def run(index):
        start.wait(60)
        try:
            results[index] = function(index)
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=run, args=(index,)) for index in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)
    assert not any(thread.is_alive() for thread in running)
    if errors:
        raise errors[0]
    return results


class Counter(ThreadSafeAdapter):
    __thread_safe__ = True

    def __init__(self):
        # Forgets to call the base class, as people do.
        self.count = 0

    @thread_safe_method
    @tool("Adds one")
    def add(self, times: int = 1) -> int:
        for _ in range(times):
            with self.acquire_lock():
                before = self.count
                # Others run between reading and writing, so that a write without the lock is lost.
                time.sleep(0)
                self.count = before + 1
        return self.count

    @tool
    @thread_safe_method
    def numbers(self, n: int):
        """A stream."""
        yield from range(n)

    @thread_safe_method
    @tool
    async def later(self, x: int) -> int:
        await asyncio.sleep(0)
        return x

    @thread_safe_method
    @tool
    async def later_numbers(self, n: int):
        for number in range(n):
            yield number

    @thread_safe_method
    @tool
    def fail(self) -> None:
        raise ValueError("no")


def test_no_write_is_lost_under_the_lock():
    counter = Counter()
    together(lambda _: counter.add(500))
    assert counter.count == THREADS * 500
    stats = counter.get_stats()
    assert stats["total_requests"] == THREADS and stats["active_requests"] == 0
    assert len(stats["thread_utilization"]) == THREADS
    assert sum(stats["thread_utilization"].values()) == THREADS


def test_the_lock_is_reentrant_and_excludes_others():
    counter = Counter()
    tried = []
    with counter.acquire_lock(), counter.acquire_lock():
        other = threading.Thread(target=lambda: tried.append(counter._lock.acquire(False)))
        other.start()
        other.join(60)
    assert tried == [False]
    with counter.acquire_lock():
        pass


def test_all_kinds_of_methods_are_counted_until_they_end():
    counter = Counter()
    numbers = counter.numbers(3)
    assert counter.get_stats()["total_requests"] == 0
    assert next(numbers) == 0
    assert counter.get_stats()["active_requests"] == 1
    numbers.close()
    assert counter.get_stats()["active_requests"] == 0
    assert list(counter.numbers(2)) == [0, 1]
    assert asyncio.run(counter.later(4)) == 4

    async def collect():
        stopped = counter.later_numbers(9)
        assert await stopped.__anext__() == 0
        await stopped.aclose()
        return [number async for number in counter.later_numbers(3)]

    assert asyncio.run(collect()) == [0, 1, 2]
    with pytest.raises(ValueError, match="no"):
        counter.fail()
    stats = counter.get_stats()
    assert (stats["total_requests"], stats["active_requests"]) == (6, 0)
    assert stats["failed_requests"] == 1 and stats["busy_seconds"] > 0


def test_requests_that_overlap_are_seen():
    counter = Counter()
    inside, leave = threading.Barrier(THREADS + 1), threading.Event()

    def request(_):
        with counter.track_request("mine") as number:
            inside.wait(60)
            assert leave.wait(60)
        return number

    numbers = []
    callers = threading.Thread(target=lambda: numbers.extend(together(request)))
    callers.start()
    inside.wait(60)
    assert counter.get_stats()["active_requests"] == THREADS
    leave.set()
    callers.join(60)
    assert sorted(numbers) == list(range(1, THREADS + 1))
    stats = counter.get_stats()
    assert (stats["active_requests"], stats["peak_requests"]) == (0, THREADS)


def test_threads_see_only_their_own_values():
    storage = ThreadLocalStorage()
    storage.set("x", "main")

    def use(index):
        assert storage.get("x") is None and storage.get("x", 7) == 7
        made = storage.get("cache", factory=list)
        made.append(index)
        storage.set("x", index)
        assert storage.get("cache") is made
        return storage.get("x"), made

    assert together(use) == [(index, [index]) for index in range(THREADS)]
    assert storage.get("x") == "main"
    storage.delete("x")
    storage.delete("x")
    storage.set("y", 1)
    storage.clear()
    assert storage.get("x") is None and storage.get("y") is None


def test_values_of_the_adapter_by_thread():
    adapter = Counter()
    adapter.set_thread_local("a", 1)
    adapter.set_thread_local("b", 2)
    adapter.clear_thread_local("a")
    assert (adapter.get_thread_local("a"), adapter.get_thread_local("b")) == (None, 2)
    adapter.clear_thread_local()
    assert adapter.get_thread_local("b", "gone") == "gone"
    assert adapter.get_thread_local("c", factory=dict) is adapter.get_thread_local("c")
    assert Counter().get_thread_local("c") is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["start", "end", "fail", "foreign", "twice"]), max_size=40))
def test_the_counters_always_add_up(steps):
    tracker, running = RequestTracker(), []
    begun = ended = failed = peak = 0
    for step in steps:
        if step == "start":
            running.append(tracker.start_request())
            begun += 1
        elif step == "foreign":
            tracker.end_request(request_id=10_000)
        elif step == "twice" and begun and not running:
            tracker.end_request()
        elif step in ("end", "fail") and running:
            tracker.end_request(failed=step == "fail")
            running.pop()
            ended += 1
            failed += step == "fail"
        peak = max(peak, begun - ended)
        stats = tracker.get_stats()
        assert stats["total_requests"] == begun
        assert stats["active_requests"] == begun - ended
        assert (stats["failed_requests"], stats["peak_requests"]) == (failed, peak)


def test_the_tracker_bears_many_threads_and_many_names():
    tracker = RequestTracker()

    def use(index):
        for number in range(100):
            request = tracker.start_request(index * 100 + number)
            tracker.end_request(request_id=request, failed=number == 0)

    together(use)
    stats = tracker.get_stats()
    assert (stats["total_requests"], stats["failed_requests"]) == (1600, THREADS)
    assert sum(stats["thread_utilization"].values()) == 1600
    assert len(stats["thread_utilization"]) == 1025


def test_wrapped_methods_stay_tools_of_their_kind():
    tools = {tool.name: tool for tool in loader.load(f"{__name__}:Counter").tools}
    assert {name: (item.kind, item.is_async) for name, item in tools.items()} == {
        "add": ("call", False),
        "numbers": ("stream", False),
        "later": ("call", True),
        "later_numbers": ("stream", True),
        "fail": ("call", False),
    }
    assert tools["add"].description == "Adds one"
    assert tools["add"].signature == "def add(times: int = 1) -> int"
    assert tools["numbers"].description == "A stream."
    assert Counter.add.__thread_safe__ is True


def test_on_other_objects_a_method_runs_as_it_is():
    class Plain:
        @thread_safe_method
        def double(self, x):
            return 2 * x

    assert Plain().double(3) == 6


def test_the_declaration_is_required_where_it_is_asked_for():
    class Mine(snakepit_bridge.BaseAdapter):
        pass

    class Undone(Counter):
        __thread_safe__ = False

    @require_thread_safe
    def use(adapter, x):
        return x

    assert use(Counter(), 1) == 1 and use(Counter, x=2) == 2
    for bad in (Mine(), Undone(), Undone):
        assert not validate_thread_safety(bad)
        with pytest.raises(ValueError, match=r"Mine|Undone.*`__thread_safe__ = True`"):
            use(bad, 1)
    assert Undone().get_stats()["thread_safe"] is False


def test_a_wait_for_the_lock_is_measured_while_a_checker_is_active():
    counter = Counter()
    with ThreadSafetyChecker() as checker:
        with counter.acquire_lock(), counter.acquire_lock():
            assert checker.get_report()["locks"]["Counter"]["taken"] == 1
        together(lambda _: counter.add(200))
        lock = checker.get_report()["locks"]["Counter"]
    assert lock["taken"] == 1 + THREADS * 200
    assert 0 <= lock["contended"] <= lock["taken"]
    assert (lock["longest_wait_seconds"] > 0) == (lock["contended"] > 0)
    with counter.acquire_lock():
        assert checker.get_report()["locks"]["Counter"] == lock


def test_a_lock_that_is_held_is_waited_for_and_told():
    counter = Counter()
    waits = []
    with ThreadSafetyChecker() as checker:
        counter._lock.acquire()
        waiting = threading.Event()
        lock = checker.lock_waits
        checker.lock_waits = lambda name: waiting.set() or lock(name)
        other = threading.Thread(target=lambda: waits.append(counter.add()))
        other.start()
        assert waiting.wait(60)
        # The checker has reported that the thread waits for the lock.
        assert waits == []
        counter._lock.release()
        other.join(60)
        taken = checker.get_report()["locks"]["Counter"]["taken"]
    assert waits == [1] and taken == 1


def test_a_lock_is_given_back_when_its_taking_is_interrupted():
    counter = Counter()

    def interrupted(_):
        raise KeyboardInterrupt

    with ThreadSafetyChecker() as checker:
        checker.lock_waits = lambda name: interrupted
        with pytest.raises(KeyboardInterrupt):
            counter.add()
    assert together(lambda _: counter.add(), threads=2)[0] >= 1
    assert counter.count == 2 and counter.get_stats()["failed_requests"] == 1


def test_the_names_are_found_in_the_package_and_cost_nothing_before():
    assert snakepit_bridge.ThreadSafeAdapter is ThreadSafeAdapter
    assert snakepit_bridge.thread_safe_method is thread_safe_method
    script = (
        "import sys; before = set(sys.modules); import snakepit_bridge._load.loader\n"
        "new = set(sys.modules) - before\n"
        "heavy = ('threading', 'functools', 'ast', 'inspect', 'typing', 'logging')\n"
        "print([name for name in new if name in heavy or 'thread' in name.partition('.')[2]])\n"
        "import snakepit_bridge.base_adapter_threaded\n"
        "print([name for name in set(sys.modules) - before if name in heavy[2:]])\n"
    )
    script = f"import sys; sys.path.insert(0, {str(PACKAGE_DIR)!r})\n{script}"
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert ran.stdout.split("\n")[:2] == ["[]", "[]"], ran.stderr
