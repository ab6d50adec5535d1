"""A signal's handler that raises while an event loop serves many calls."""

import importlib.util
import os
import signal
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from minihost import CHUNK, MANY, STREAM, Worker
from test_codec import pack

pytestmark = pytest.mark.native

ADAPTER = str(Path(__file__).parent / "signals_adapter.py")
LOOPS = ["asyncio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]
HANDLERS = ["function", "object", "method", "partial", "interrupt"]


@pytest.fixture(params=LOOPS)
def worker(request):
    env = {"SNAKEPIT_WORKER_CONCURRENCY": "10", "SNAKEPIT_WORKER_EVENT_LOOP": request.param}
    with Worker(ADAPTER, env=env) as running:
        yield running


def ends_without_an_answer(worker):
    """Check that no call has an outcome but the end of the worker."""
    with pytest.raises(ConnectionError):
        while worker.receive().kind == CHUNK:
            pass
    assert worker.process.wait(60) == 1


@pytest.mark.parametrize("handler", HANDLERS)
def test_in_the_loop_itself(worker, handler):
    worker.call("install", handler=handler)
    for _ in range(3):
        worker.start("waits")
    assert worker.fail("fails")["message"] == "its own"
    # An exception in code of the runtime belongs to no call, and the runtime continues.
    while worker.process.poll() is None:
        os.kill(worker.process.pid, signal.SIGUSR1)
        with suppress(subprocess.TimeoutExpired):
            worker.process.wait(0.5)
    ends_without_an_answer(worker)


@pytest.mark.parametrize("tool", ["is_hit", "is_hit_and_wraps"])
@pytest.mark.parametrize("handler", HANDLERS)
def test_in_the_code_of_a_call(worker, handler, tool):
    worker.call("install", handler=handler)
    for _ in range(3):
        worker.start("waits")
    worker.start(tool)
    ends_without_an_answer(worker)


def test_in_a_stream(worker):
    worker.call("install", handler="function")
    worker.start("waits")
    worker.begin(STREAM, "yields_until_hit", pack({}))
    ends_without_an_answer(worker)


def test_in_a_batch(worker):
    worker.call("install", handler="function")
    worker.start("waits")
    body = pack({})
    worker.begin(MANY, "is_hit", (struct.pack("<I", len(body)) + body) * 3)
    ends_without_an_answer(worker)


def test_what_a_tool_raises_itself_is_its_own(worker):
    worker.call("install", handler="interrupt")
    assert worker.fail("interrupts")["type"] == "KeyboardInterrupt"
    worker.call("install", handler="function")
    assert worker.fail("fails")["type"] == "TimeoutError"
