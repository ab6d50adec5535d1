"""Cancellation of tools that do not look at the flag."""

import os
import random
import time
from pathlib import Path

import pytest
from minihost import CALL, CANCEL, CHUNK, ERROR, REPLY, STREAM, Worker, field, fields
from test_codec import pack

pytestmark = pytest.mark.native

ADAPTER = str(Path(__file__).parent / "cancel_adapter.py")
STOPPED = 35
FLAG, TASK, EXCEPTION, INTERRUPT, AGAIN = 1, 2, 3, 4, 5
GRACE_US = 2_000_000


@pytest.fixture(scope="module")
def worker():
    with Worker(ADAPTER) as running:
        yield running


@pytest.fixture
def begun(tmp_path):
    """Return a file that the tool writes to when it begins; reading it waits for that."""
    path = tmp_path / "begun"
    os.mkfifo(path)
    return path


def cancel(worker, call_id, grace_us=GRACE_US):
    worker.control.send(CANCEL, call_id, field(1, grace_us))


def stopped(worker, call_id):
    frame = worker.control.receive()
    assert (frame.kind, frame.call_id) == (STOPPED, call_id)
    return dict(fields(frame.head)).get(1, 0)


def outcome(worker):
    while (frame := worker.receive()).kind == CHUNK:
        pass
    return frame


CASES = [
    ("sees_the_flag", {FLAG}),
    ("asks_the_host", {FLAG}),
    ("loops", {EXCEPTION}),
    # A signal may find the tool between the file and the system call.
    ("sleeps", {EXCEPTION, INTERRUPT}),
    ("locks", {EXCEPTION, INTERRUPT}),
    ("reads", {EXCEPTION, INTERRUPT}),
    ("runs", {EXCEPTION, INTERRUPT}),
    ("swallows_once", {AGAIN}),
    ("generates", {EXCEPTION, INTERRUPT}),
    ("awaits", {TASK}),
    ("agenerates", {TASK}),
    ("blocks_its_loop", {EXCEPTION, INTERRUPT}),
    ("shields", {AGAIN}),
    ("cleans_up", {EXCEPTION, INTERRUPT}),
]


@pytest.mark.parametrize(("tool", "steps"), CASES, ids=[case[0] for case in CASES])
def test_the_ladder_stops_it_and_the_worker_goes_on(worker, tmp_path, begun, tool, steps):
    if tool == "asks_the_host":
        from minihost import LATER

        worker.host = lambda request: LATER
    closes = tool in ("generates", "awaits", "agenerates", "shields", "cleans_up")
    args = {"begun": str(begun)}
    if closes:
        args["closed"] = str(tmp_path / "closed")
    kind = STREAM if "generates" in tool else CALL
    call_id = worker.begin(kind, tool, pack(args))
    assert begun.read_text()
    cancel(worker, call_id)
    frame = outcome(worker)
    assert frame.call_id == call_id
    assert stopped(worker, call_id) in steps
    if tool == "sees_the_flag":
        assert frame.kind == REPLY
    else:
        assert (frame.kind, frame.error().code) == (ERROR, "SP3002")
    if closes:
        assert (tmp_path / "closed").read_text() == "closed"
    assert worker.call("spins_then_works") == sum(n % 7 for n in range(200_000))


def test_numpy_is_stopped(worker, begun):
    pytest.importorskip("numpy")
    call_id = worker.begin(CALL, "multiplies", pack({"begun": str(begun)}))
    assert begun.read_text()
    cancel(worker, call_id)
    assert outcome(worker).error().code == "SP3002"
    assert stopped(worker, call_id) in (EXCEPTION, INTERRUPT)


def test_the_error_says_which_step_worked(worker, begun):
    call_id = worker.begin(CALL, "loops", pack({"begun": str(begun)}))
    assert begun.read_text()
    cancel(worker, call_id)
    fault = outcome(worker).error().fields
    assert fault["type"] == "Cancelled"
    assert fault["notes"][0].startswith("stopped by step `exception`, ")
    assert stopped(worker, call_id) == EXCEPTION


@pytest.mark.parametrize("tool", ["swallows_all", "holds_the_gil"])
def test_what_cannot_be_stopped_leaves_the_control_connection_alive(begun, tool):
    from minihost import PING, PONG

    with Worker(ADAPTER) as worker:
        call_id = worker.begin(CALL, tool, pack({"begun": str(begun)}))
        assert begun.read_text()
        cancel(worker, call_id, 20_000)
        worker.control.send(PING, 7)
        assert worker.control.receive().kind == PONG


def test_a_cancellation_at_the_end_of_a_call_never_hits_the_next_one(worker):
    chance = random.Random(1)
    for _ in range(300):
        call_id = worker.begin(CALL, "short", pack({"seconds": chance.uniform(0, 0.001)}))
        end = time.monotonic() + chance.uniform(0, 0.001)
        while time.monotonic() < end:
            pass
        cancel(worker, call_id, 1000)
        frame = outcome(worker)
        assert frame.kind == REPLY or frame.error().code == "SP3002"
        assert worker.call("short", seconds=0.0005) == "done"
