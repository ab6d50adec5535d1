"""The checker finds real problems and nothing else."""

import asyncio
import io
import sys
import threading
import types

import pytest
from test_thread_safe_adapter import THREADS, together

from snakepit_bridge import BaseAdapter, thread_safety_checker
from snakepit_bridge._threads.unsafe_libraries import UNSAFE
from snakepit_bridge.base_adapter_threaded import ThreadSafeAdapter, thread_safe_method
from snakepit_bridge.thread_safety_checker import (
    ThreadSafetyChecker,
    ThreadSafetyError,
    check_common_pitfalls,
    check_thread_safe,
    disable_checking,
    enable_checking,
    get_global_checker,
    print_thread_safety_report,
    require_thread_safe_adapter,
    validate_adapter_thread_safety,
)


@pytest.fixture(autouse=True)
def no_checker_stays_active():
    yield
    disable_checking()


class Undeclared(BaseAdapter):
    def __init__(self):
        self.inside = threading.Barrier(2)

    def meet(self, x=0):
        self.inside.wait(60)
        return x

    def other(self):
        self.inside.wait(60)

    def alone(self):
        return 1

    async def later(self):
        return 2


class Declared(ThreadSafeAdapter):
    __thread_safe__ = True

    def __init__(self):
        self.inside = threading.Barrier(THREADS)

    @thread_safe_method
    def meet(self):
        self.inside.wait(60)


def run_both(first, second):
    return together(lambda index: (first, second)[index](), threads=2)


def test_runs_that_overlap_are_found_when_nothing_declares_them_safe(capsys):
    checker = ThreadSafetyChecker()
    adapter = checker.watch(Undeclared())
    assert run_both(lambda: adapter.meet(x=4), adapter.meet) == [4, 0]
    report = checker.get_report()
    (finding,) = report["findings"]
    assert finding["kind"] == "concurrent_access" and finding["subject"] == "Undeclared.meet"
    assert report["warnings"] == [
        "`Undeclared.meet` runs in 2 threads concurrently without being declared thread-safe"
    ]
    method = report["methods"]["Undeclared.meet"]
    assert (method["calls"], method["threads"], method["peak_concurrency"]) == (2, 2, 2)
    assert "Undeclared.meet: protect the written data" in report["recommendations"][0]
    run_both(adapter.meet, adapter.meet)
    # Once is enough.
    assert capsys.readouterr().err.count("thread safety: ") == 1
    checker.reset()
    assert checker.get_report()["warnings"] == [] == list(checker.get_report()["methods"])


def test_different_methods_of_one_object_overlap_too():
    checker = ThreadSafetyChecker()
    adapter = checker.watch(Undeclared())
    run_both(adapter.meet, adapter.other)
    (warning,) = checker.get_report()["warnings"]
    assert warning.startswith("`Undeclared.meet` and `Undeclared.other` run in 2 threads")


def test_turns_are_no_finding():
    checker = ThreadSafetyChecker(strict_mode=True)
    adapter = checker.watch(Undeclared())
    lock = threading.Lock()

    def turn(_):
        with lock:
            return adapter.alone() + asyncio.run(adapter.later())

    assert together(turn) == [3] * THREADS
    report = checker.get_report()
    assert report["warnings"] == []
    assert report["methods"]["Undeclared.alone"]["threads"] == THREADS
    assert report["methods"]["Undeclared.later"]["calls"] == THREADS
    assert report["methods"]["Undeclared.alone"]["peak_concurrency"] == 1


def test_two_objects_do_not_disturb_each_other():
    checker = ThreadSafetyChecker(strict_mode=True)
    gate = threading.Barrier(2)

    class One(BaseAdapter):
        def use(self):
            gate.wait(60)

    first, second = checker.watch(One()), checker.watch(One())
    run_both(first.use, second.use)
    assert checker.get_report()["methods"][f"{One.__qualname__}.use"]["peak_concurrency"] == 2


def test_declared_methods_may_overlap_and_are_counted():
    adapter = Declared()
    with ThreadSafetyChecker(strict_mode=True) as checker:
        together(lambda _: adapter.meet())
    report = checker.get_report()
    assert report["warnings"] == []
    assert report["methods"]["Declared.meet"]["peak_concurrency"] == THREADS
    assert report["gil_enabled"] == getattr(sys, "_is_gil_enabled", lambda: True)()


def test_a_class_that_takes_its_declaration_back_is_found():
    class Undone(Declared):
        __thread_safe__ = False

    adapter = Undone()
    with ThreadSafetyChecker() as checker:
        together(lambda _: adapter.meet())
    assert [finding["kind"] for finding in checker.get_report()["findings"]] == [
        "concurrent_access"
    ]


def test_strict_mode_raises_and_leaves_the_counters_right():
    checker = ThreadSafetyChecker(strict_mode=True)
    inside, leave = threading.Event(), threading.Event()

    class Slow(BaseAdapter):
        def hold(self):
            inside.set()
            assert leave.wait(60)

        def touch(self):
            return 1

    adapter = checker.watch(Slow())
    holder = threading.Thread(target=adapter.hold)
    holder.start()
    assert inside.wait(60)
    for _ in range(2):
        with pytest.raises(ThreadSafetyError, match=r"Slow\.hold.* and .*Slow\.touch"):
            adapter.touch()
    leave.set()
    holder.join(60)
    assert adapter.touch() == 1
    assert checker._inside == {}


def test_a_method_may_call_itself():
    checker = ThreadSafetyChecker(strict_mode=True)
    owner = Undeclared()
    with checker.track_execution("a", owner), checker.track_execution("a", owner):
        pass
    with checker.track_execution("free"):
        checker.reset()
    assert checker._inside == {} and checker.get_report()["methods"] == {}


def test_plain_accesses_by_several_threads(capsys):
    checker = ThreadSafetyChecker()
    assert checker.check_method_access("predict")
    assert checker.check_method_access("predict")
    assert not checker.check_method_access("predict", thread_id=-1)
    assert checker.get_report()["warnings"] == ["`predict` is used by 2 threads"]
    assert "shared" not in capsys.readouterr().err
    strict = ThreadSafetyChecker(strict_mode=True)
    strict.check_method_access("predict")
    with pytest.raises(ThreadSafetyError):
        strict.check_method_access("predict", thread_id=-1)


def test_libraries_that_need_care_are_told(monkeypatch, capsys):
    for name in UNSAFE:
        monkeypatch.delitem(sys.modules, name, raising=False)
    checker = ThreadSafetyChecker()
    assert checker.check_library_safety() == [] == checker.get_report()["libraries"]
    monkeypatch.setitem(sys.modules, "pandas", types.ModuleType("pandas"))
    assert checker.check_library_safety() == ["pandas"] == checker.get_report()["libraries"]
    assert checker.check_library_safety("sqlite3") == ["sqlite3"]
    assert checker.check_library_safety(["json", "matplotlib"]) == ["matplotlib"]
    assert capsys.readouterr().err.count("is not safe to be used by several threads") == 3
    with pytest.raises(ThreadSafetyError, match="pandas"):
        ThreadSafetyChecker(strict_mode=True).check_library_safety()


def test_a_checker_that_is_off_sees_nothing():
    checker = ThreadSafetyChecker(enabled=False, strict_mode=True)
    with checker:
        assert get_global_checker() is checker
    assert checker.check_library_safety("pandas") == []
    assert checker.check_method_access("a") and checker.check_method_access("a", thread_id=-1)
    adapter = checker.watch(Undeclared())
    run_both(adapter.meet, adapter.meet)
    assert checker.get_report()["methods"] == {}


def test_the_active_checker():
    assert not get_global_checker().enabled
    outer = enable_checking(strict_mode=True)
    assert get_global_checker() is outer and outer.strict_mode
    with ThreadSafetyChecker() as inner:
        assert get_global_checker() is inner
    assert get_global_checker() is outer
    disable_checking()
    assert not get_global_checker().enabled


def test_functions_and_methods_that_tell_of_themselves():
    gate = threading.Barrier(2)

    @check_thread_safe
    def function():
        gate.wait(60)

    class Thing:
        @check_thread_safe
        def method(self, x):
            return x

    run_both(function, function)
    checker = enable_checking()
    run_both(function, function)
    assert Thing().method(3) == 3
    report = checker.get_report()
    assert [finding["subject"] for finding in report["findings"]] == ["function"]
    assert len(report["methods"]) == 2


def test_the_printed_report():
    out = io.StringIO()
    print_thread_safety_report(out)
    assert out.getvalue() == "thread safety: no checker is active\n"
    checker = enable_checking()
    adapter = Declared()
    together(lambda _: adapter.meet())
    with adapter.acquire_lock():
        pass
    checker.lock_waits("Declared")(0.5)
    checker.check_library_safety("pandas")
    out = io.StringIO()
    print_thread_safety_report(out)
    text = out.getvalue()
    assert text.startswith("thread safety: 1 finding(s)\n")
    assert "Declared.meet: 16 calls on 16 threads, 16 at once at most" in text
    assert "lock of Declared: acquired 2 times, waited 1 times, 0.500 s" in text
    assert "Declared: 50 % of the acquisitions of its lock had to wait" in text


class Careless(BaseAdapter):
    shared: list[int] = []  # noqa: RUF012

    def __init__(self):
        self.count, self.items, self.kept = 0, {}, []

    def write(self, key):
        self.count += 1
        self.count += 1
        self.items[key] = self.count
        a, (self.last, *self.rest) = 1, (2, 3)
        del self.items[key]
        self.kept.append(a)
        with self.lock:
            self.fine = 1
        local = {}
        local[key] = 1
        return self.kept.index(a)


class Careful(ThreadSafeAdapter):
    __thread_safe__ = True

    def initialize(self):
        self.count = 0

    def write(self):
        with self.acquire_lock():
            self.count += 1
            return self.count

    @staticmethod
    def nothing():
        return 1


def test_what_looks_unsafe_in_the_source():
    found = check_common_pitfalls(Careless)
    assert found[:2] == [
        "Careless does not declare `__thread_safe__ = True`",
        "Careless.shared is a list that all instances share",
    ]
    names = [line.split("`")[1] for line in found[2:]]
    assert names == ["self.count", "self.items", "self.last", "self.rest", "self.kept"]
    assert "outside of a `with` (line 8 of the class)" in found[2]
    assert check_common_pitfalls(Careful()) == []
    made = type("Made", (Careful,), {})
    assert check_common_pitfalls(made) == []
    assert len(check_common_pitfalls(Careless())) == 7


def test_an_adapter_must_declare():
    assert validate_adapter_thread_safety(Careful) is True
    assert validate_adapter_thread_safety(Careful()) is True
    assert validate_adapter_thread_safety(Careless()) is False
    assert validate_adapter_thread_safety(type("Odd", (), {"__thread_safe__": 1})) is False
    with (
        ThreadSafetyChecker(strict_mode=True),
        pytest.raises(ValueError, match="adapter `Careless` does not declare"),
    ):
        validate_adapter_thread_safety(Careless)


def test_a_function_requires_an_adapter_that_declares():
    @require_thread_safe_adapter
    def use(adapter, *args, key=None):
        return type(adapter), args, key

    assert use(Careful(), 1, key=2) == (Careful, (1,), 2) and use.__name__ == "use"
    with pytest.raises(ValueError, match="adapter `Careless` does not declare"):
        use(Careless())


def test_libraries_may_be_added(monkeypatch, capsys):
    known = ThreadSafetyChecker.UNSAFE_LIBRARIES
    assert known.keys() == UNSAFE.keys()
    entry = {"reason": "slow", "safe_pattern": "use one thread"}
    monkeypatch.setitem(known, "my_library", entry)
    checker = ThreadSafetyChecker()
    assert checker.check_library_safety(imported_modules={"my_library", "json"}) == ["my_library"]
    assert "library `my_library` is slow; use one thread" in capsys.readouterr().err
    assert checker.get_report()["warnings_issued"] == 1


def test_all_names_of_the_module_are_there():
    for name in thread_safety_checker.__all__:
        assert hasattr(thread_safety_checker, name)
