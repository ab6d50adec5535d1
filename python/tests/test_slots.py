"""Workers of several slots, each on a thread and a connection of its own."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest
from minihost import (
    CALL,
    CANCEL,
    CHUNK,
    END,
    ERROR,
    MANY,
    MANY_REPLY,
    PING,
    PONG,
    REPLY,
    SHUTDOWN,
    STREAM,
    ToolError,
    Worker,
    field,
    fields,
)
from test_codec import pack, unpack

pytestmark = pytest.mark.native

HERE = Path(__file__).parent
ADAPTER, TURNS = str(HERE / "slots_adapter.py"), str(HERE / "turns_adapter.py")
SLOTS = 16
STOPPED = 35
FLAG, TASK, EXCEPTION, INTERRUPT, AGAIN = 1, 2, 3, 4, 5
GRACE_US = 2_000_000


@pytest.fixture(scope="module")
def worker():
    with Worker(ADAPTER, slots=SLOTS) as running:
        yield running


@pytest.fixture(scope="module")
def turns():
    with Worker(TURNS, slots=4) as running:
        yield running


@pytest.fixture
def begun(tmp_path):
    """Return a file that the tool writes to when it begins; reading it waits for that."""
    path = tmp_path / "begun"
    os.mkfifo(path)
    return path


def all_slots(worker, tool, count=SLOTS, kind=CALL, **args):
    """Return the calls of one tool in the first `count` slots, by slot."""
    args = pack({"count": count, **args})
    return [
        worker.on(slot).begin(kind, tool, args, session=f"session {slot}") for slot in range(count)
    ]


def results(worker, calls):
    return [worker.on(slot).result(call) for slot, call in enumerate(calls)]


def cancel(worker, call_id, grace_us=GRACE_US):
    worker.control.send(CANCEL, call_id, field(1, grace_us))


def stopped(worker, call_id):
    frame = worker.control.receive()
    assert (frame.kind, frame.call_id) == (STOPPED, call_id)
    return dict(fields(frame.head)).get(1, 0)


def test_it_says_how_many_calls_it_holds_and_whether_they_take_turns(worker):
    assert worker.described["slots"] == SLOTS
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    assert worker.described["gil_enabled"] == gil


def test_all_slots_hold_calls_at_the_same_time(worker):
    for _ in range(3):
        names = results(worker, all_slots(worker, "meet"))
        assert sorted(names) == sorted(f"snakepit-slot-{n}" for n in range(SLOTS))
    assert {f"snakepit-slot-{n}" for n in range(SLOTS)} < set(worker.on(5).call("names"))


def test_each_slot_has_an_event_loop(worker):
    for _ in range(3):
        assert len(set(results(worker, all_slots(worker, "meet_async")))) == SLOTS


@pytest.mark.parametrize("tool", ["session_of", "own_context", "own_context_async"])
def test_every_call_has_its_own_context(worker, tool):
    for _ in range(5):
        calls = all_slots(worker, tool)
        expected = [[True, call, f"session {slot}"] for slot, call in enumerate(calls)]
        assert results(worker, calls) == expected


def test_a_context_belongs_to_the_thread_of_its_call(worker):
    assert worker.on(3).call("no_context") == [True, True]


def test_the_adapter_is_initialised_once_on_the_main_thread(worker):
    for slot in (0, 7, 15):
        assert worker.on(slot).call("started_once") == [True]


def test_requests_travel_on_the_connection_of_their_call(worker):
    calls = all_slots(worker, "ask", count=8)
    for slot, call in enumerate(calls):
        got = worker.on(slot).result(call)
        assert got == [[2, f"call {call}", n] for n in range(20)]


@pytest.mark.parametrize("tool", ["items", "items_async"])
def test_streams_run_side_by_side(worker, tool):
    calls = all_slots(worker, tool, count=4, kind=STREAM, length=200)
    threads = set()
    for slot, call in enumerate(calls):
        seen = []
        while (frame := worker.on(slot).receive()).kind == CHUNK:
            assert frame.call_id == call
            seen.append(unpack(frame.body))
        assert frame.kind == END
        assert [n for _, n in seen] == list(range(200))
        threads.update(thread for thread, _ in seen)
    assert len(threads) == 4


def test_batches_run_side_by_side(worker):
    items = b"".join(len(body).to_bytes(4, "little") + body for body in [pack({"count": 3})] * 5)
    calls = [worker.on(slot).begin(MANY, "meet", items) for slot in range(3)]
    for slot, call in enumerate(calls):
        last, size = False, 0
        while not last:
            frame = worker.on(slot).receive()
            assert (frame.kind, frame.call_id) == (MANY_REPLY, call)
            last, size = frame.flags & 1, size + len(frame.body)
        assert size > 0


STEPS = [
    ("sees_the_flag", {FLAG}),
    ("loops", {EXCEPTION, INTERRUPT}),
    ("naps", {EXCEPTION, INTERRUPT}),
    ("pauses", {EXCEPTION, INTERRUPT}),
    ("awaits", {TASK}),
    ("shields", {AGAIN}),
    ("swallows_once", {AGAIN}),
    ("cleans_up", {EXCEPTION, INTERRUPT}),
]


@pytest.mark.parametrize(("tool", "steps"), STEPS, ids=[case[0] for case in STEPS])
def test_the_ladder_reaches_one_slot_and_leaves_the_others(worker, tmp_path, begun, tool, steps):
    meet = pack({"count": 5})
    others = [worker.on(slot).begin(CALL, "meet", meet) for slot in range(4)]
    args = {"begun": str(begun)}
    if tool == "cleans_up":
        args["closed"] = str(tmp_path / "closed")
    call = worker.on(9).begin(CALL, tool, pack(args))
    assert begun.read_text()
    cancel(worker, call)
    frame = worker.receive()
    assert frame.call_id == call
    assert stopped(worker, call) in steps
    if tool == "sees_the_flag":
        assert frame.kind == REPLY
    else:
        error = frame.error()
        assert (frame.kind, error.code, error.fields["type"]) == (ERROR, "SP3002", "Cancelled")
        if tool != "awaits":
            assert f"call {call} was" in error.fields["message"]
    if tool == "cleans_up":
        assert (tmp_path / "closed").read_text() == "closed"
    assert worker.call("spins_then_works") == sum(n % 7 for n in range(200_000))
    # The fifth comes last: the others were in their calls all the time.
    others.append(worker.on(4).begin(CALL, "meet", meet))
    assert len(results(worker, others)) == 5


def test_a_wait_in_the_system_ends_by_itself_and_then_the_call_is_cancelled(worker, begun):
    call = worker.on(2).begin(CALL, "sleeps", pack({"begun": str(begun), "seconds": 0.3}))
    assert begun.read_text()
    cancel(worker, call)
    frame = worker.receive()
    assert (frame.kind, frame.error().code) == (ERROR, "SP3002")
    assert stopped(worker, call) in (EXCEPTION, INTERRUPT)


def test_a_cancellation_before_its_call_reaches_it_in_any_slot(worker):
    for slot in (0, 15):
        call = worker.next_call + 1
        cancel(worker, call)
        worker.control.send(PING, 7)
        assert worker.control.receive().kind == PONG
        assert worker.on(slot).begin(CALL, "short", pack({"seconds": 60.0})) == call
        assert worker.receive().error().code == "SP3002"
        assert stopped(worker, call) == FLAG


def test_a_cancellation_at_the_end_of_a_call_never_hits_the_next_one():
    chance = random.Random(1)
    with Worker(ADAPTER, slots=2) as worker:
        for turn in range(300):
            worker.on(turn % 2)
            seconds = chance.uniform(0, 0.001)
            call = worker.begin(CALL, "short", pack({"seconds": seconds}))
            end = time.monotonic() + chance.uniform(0, 0.001)
            while time.monotonic() < end:
                pass
            cancel(worker, call, 1000)
            frame = worker.receive()
            assert frame.kind == REPLY or frame.error().code == "SP3002"
            assert worker.call("short", seconds=0.0005) == "done"


def test_what_does_not_say_that_it_is_thread_safe_takes_turns(turns):
    calls = [turns.on(slot).begin(CALL, "alone", pack({})) for slot in range(4)]
    assert results(turns, calls) == [True] * 4
    streams = [turns.on(slot).begin(STREAM, "items", pack({})) for slot in range(3)]
    call = turns.on(3).begin(CALL, "alone", pack({}))
    for slot, stream in enumerate(streams):
        while (frame := turns.on(slot).receive()).kind == CHUNK:
            assert (frame.call_id, unpack(frame.body)) == (stream, True)
        assert frame.kind == END
    assert turns.on(3).result(call) is True


def test_turns_are_of_one_adapter_and_a_call_that_waits_can_be_cancelled(turns, tmp_path, begun):
    end = tmp_path / "end"
    os.mkfifo(end)
    held = turns.on(0).begin(CALL, "holds", pack({"begun": str(begun), "end": str(end)}))
    assert begun.read_text()
    waits = turns.on(1).begin(CALL, "alone", pack({}))
    # Others do not wait for it.
    assert turns.on(2).call("says_so") == "beside"
    assert turns.on(2).call("elsewhere") is None
    cancel(turns, waits)
    assert turns.on(1).receive().error().code == "SP3002"
    assert stopped(turns, waits) == FLAG
    end.write_text("over")
    assert turns.on(0).result(held) == "over"


def test_the_log_names_what_takes_turns_once():
    with Worker(TURNS, slots=2) as worker:
        assert worker.shutdown() == 0
        lines = worker.process.stderr.read().decode().splitlines()
    assert len(lines) == 1
    assert "module `turns_adapter`, adapter `Other`: not declared thread-safe" in lines[0]


def test_a_report_of_all_calls_is_in_the_log_when_that_is_wanted():
    with Worker(TURNS, slots=2, env={"SNAKEPIT_WORKER_THREAD_SAFETY_CHECKS": "report"}) as worker:
        assert results(worker, [worker.on(n).begin(CALL, "alone", pack({})) for n in (0, 1)])
        for slot in (0, 1):
            assert worker.on(slot).call("says_so") == "beside"
        assert worker.shutdown() == 0
        text = worker.process.stderr.read().decode()
    assert "not declared thread-safe" in text, "it takes turns all the same"
    assert "thread safety: 0 finding(s)" in text, text
    assert "turns_adapter.alone: 2 calls on 2 threads, 1 at once at most" in text, text
    assert "turns_adapter.says_so: 2 calls on 2 threads" in text, text


def test_a_report_names_unsafe_libraries_once_the_adapters_are_loaded(source):
    path = source(
        """
        import sys, types
        sys.modules["sqlite3"] = types.ModuleType("sqlite3")
        from snakepit_bridge import tool
        __thread_safe__ = True
        @tool
        def f(): pass
        """
    )
    env = {"SNAKEPIT_WORKER_THREAD_SAFETY_CHECKS": "report"}
    with Worker(path, cwd=os.getcwd(), slots=2, env=env) as worker:
        assert worker.call("f") is None
        assert worker.shutdown() == 0
        lines = worker.process.stderr.read().decode().splitlines()
    named = [line for line in lines if line.startswith("thread safety: library `sqlite3`")]
    assert len(named) == 1, lines


def test_strict_checks_refuse_it(tmp_path):
    env = {"SNAKEPIT_WORKER_THREAD_SAFETY_CHECKS": "strict"}
    with pytest.raises(ToolError) as error:
        Worker(TURNS, slots=2, env=env)
    assert error.value.code == "SP5003"
    assert "is not declared thread-safe" in error.value.fields["message"]
    assert "__thread_safe__ = True" in error.value.fields["help"]
    with Worker(ADAPTER, slots=2, env=env) as worker:
        assert worker.shutdown() == 0
    with Worker(TURNS, slots=1, env=env) as worker:
        assert worker.call("alone") is True


def test_without_checks_nothing_takes_turns(tmp_path, begun):
    end = tmp_path / "end"
    os.mkfifo(end)
    env = {"SNAKEPIT_WORKER_THREAD_SAFETY_CHECKS": "off"}
    with Worker(TURNS, slots=2, env=env) as worker:
        held = worker.on(0).begin(CALL, "holds", pack({"begun": str(begun), "end": str(end)}))
        assert begun.read_text()
        assert worker.on(1).call("alone") is True
        end.write_text("over")
        assert worker.on(0).result(held) == "over"
        assert worker.shutdown() == 0
        assert worker.process.stderr.read() == b""


def test_a_shutdown_lets_each_slot_end_its_call_and_cleans_up_last(tmp_path):
    with Worker(ADAPTER, slots=3, env={"CLEANED": str(tmp_path / "cleaned")}) as worker:
        worker.slots[2].send(SHUTDOWN)
        calls = all_slots(worker, "meet", count=2)
        worker.slots[1].send(SHUTDOWN)
        assert len(results(worker, calls)) == 2
        assert worker.on(0).call("spins_then_works") > 0
        assert not (tmp_path / "cleaned").exists()
        worker.slots[0].send(SHUTDOWN)
        assert worker.process.wait(60) == 0
        assert worker.process.stderr.read() == b""
    assert (tmp_path / "cleaned").read_text() == "MainThread"


def test_one_lost_connection_is_the_end_of_the_host(begun):
    with Worker(ADAPTER, slots=3) as worker:
        worker.on(0).begin(CALL, "loops", pack({"begun": str(begun)}))
        assert begun.read_text()
        worker.slots[2].sock.close()
        assert worker.process.wait(60) == -signal.SIGKILL


def test_a_signal_handler_of_the_adapter_runs_at_once_and_may_end_the_worker(tmp_path, begun):
    adapter = tmp_path / "listens.py"
    adapter.write_text(
        "import signal, sys\n"
        "from slots_adapter import *\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\n"
    )
    with Worker(str(adapter), slots=2, env={"PYTHONPATH": f"{HERE.parent}:{HERE}"}) as worker:
        worker.on(1).begin(CALL, "naps", pack({"begun": str(begun)}))
        assert begun.read_text()
        os.kill(worker.process.pid, signal.SIGTERM)
        assert worker.process.wait(60) == 3


def test_the_number_of_slots_has_its_limits():
    for wrong in (0, 257):
        with pytest.raises(ConnectionError, match="SNAKEPIT_WORKER_SLOTS is not 1 to 256"):
            Worker(ADAPTER, env={"SNAKEPIT_WORKER_SLOTS": str(wrong)})
