"""Pings: answered whatever the interpreter does, with the time for which it has been held."""

import itertools
import os
import sys
import time
from pathlib import Path

import pytest
from minihost import CALL, PING, PONG, REPLY, SHUTDOWN, TIMEOUT, Worker, fields
from test_codec import pack

pytestmark = pytest.mark.native

ADAPTER = str(Path(__file__).parent / "liveness_adapter.py")


@pytest.fixture
def worker():
    with Worker(ADAPTER) as worker:
        yield worker


def ping(worker, number):
    """Return the microseconds that the interpreter was held, and the seconds until the answer."""
    start = time.monotonic()
    worker.control.send(PING, number)
    frame = worker.control.receive()
    assert (frame.kind, frame.call_id) == (PONG, number)
    return dict(fields(frame.head)).get(1, 0), time.monotonic() - start


def threads(worker):
    return len(os.listdir(f"/proc/{worker.process.pid}/task"))


def test_an_idle_worker_answers(worker):
    before = threads(worker)
    for number in range(1, 20):
        ping(worker, number)
    # The last question was answered by the interpreter before a call came through.
    assert worker.call("names") == ["MainThread"]
    # Questions follow one another fast, and the thread that asks the interpreter may be late.
    deadline = time.monotonic() + TIMEOUT
    while ping(worker, 20)[0] != 0:
        assert time.monotonic() < deadline
    assert threads(worker) == before + 1, "the thread starts with the first question"


@pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(),
    reason="nothing holds an interpreter without the GIL",
)
def test_a_held_interpreter_is_told_and_delays_no_answer(worker):
    worker.begin(CALL, "hold", pack({"amount": 100_000_000}))
    seen, slowest = [], 0.0
    deadline = time.monotonic() + TIMEOUT
    for number in itertools.count(1):
        held, took = ping(worker, number)
        seen.append(held)
        slowest = max(slowest, took)
        if held > 300_000:
            break
        assert time.monotonic() < deadline, "the call is over"
    assert slowest < 0.3, "no answer has waited for the interpreter"
    assert worker.slot.receive().kind == REPLY
    assert worker.call("names") == ["MainThread"]
    deadline = time.monotonic() + TIMEOUT
    while ping(worker, 20_000)[0] != 0:
        assert time.monotonic() < deadline


def test_python_code_that_computes_does_not_hold_the_interpreter(worker):
    worker.begin(CALL, "spin", pack({"seconds": 1.0}))
    number, answered, end = 0, 0, time.monotonic() + 0.5
    while time.monotonic() < end:
        number += 1
        answered += ping(worker, number)[0] == 0
    assert worker.slot.receive().kind == REPLY
    # Held all the time, only the first question would find the interpreter free.
    assert answered > 3, f"{answered} of {number}"


@pytest.mark.parametrize("crowd", [0, 3])
def test_a_question_does_not_disturb_the_end(crowd):
    for number in range(1, 11):
        with Worker(ADAPTER) as worker:
            if crowd:
                worker.call("crowd", n=crowd)
            for more in range(number):
                worker.control.send(PING, more + 1)
            worker.slot.send(SHUTDOWN)
            _, errors = worker.process.communicate(timeout=TIMEOUT)
            lines = [line for line in errors.splitlines() if not line.startswith(b"threads that")]
            assert (worker.process.returncode, lines) == (0, [])
