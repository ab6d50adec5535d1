"""An exception that stops a tool leaves a sound worker, or one that asks to be replaced."""

import os
from pathlib import Path

import pytest
from minihost import CALL, CANCEL, REPLY, Worker, field
from profiling_host import stacks
from test_codec import pack, unpack

pytestmark = pytest.mark.native

ADAPTER = str(Path(__file__).parent / "interrupt_adapter.py")
RENEW = 4
PROFILES = {
    "process": {},
    "thread": {"slots": 2},
    "loop": {"env": {"SNAKEPIT_WORKER_CONCURRENCY": "10", "SNAKEPIT_WORKER_EVENT_LOOP": "asyncio"}},
}


@pytest.fixture(params=PROFILES)
def worker(request):
    with Worker(ADAPTER, **PROFILES[request.param]) as running:
        yield running


@pytest.fixture
def begun(tmp_path):
    path = tmp_path / "begun"
    os.mkfifo(path)
    return path


def cancelled(worker, tool, begun, **args):
    """Return the frame that ends a call which is cancelled once it has begun."""
    call_id = worker.begin(CALL, tool, pack(args or {"begun": str(begun)}))
    assert begun.read_text()
    worker.control.send(CANCEL, call_id, field(1, 2_000_000))
    return worker.receive()


def test_an_import_is_not_interrupted(worker, tmp_path, begun):
    (tmp_path / "slow_module.py").write_text(
        f"import time\nwith open({str(begun)!r}, 'w') as file:\n    file.write('begun')\n"
        "end = time.monotonic() + 0.3\nwhile time.monotonic() < end:\n    pass\nDONE = True\n"
    )
    frame = cancelled(worker, "imports", begun, folder=str(tmp_path))
    # The exception comes after the import, or not at all.
    if frame.kind == REPLY:
        assert unpack(frame.body) is True
    else:
        assert frame.error().code == "SP3002"
    assert worker.call("imported") is True


@pytest.mark.parametrize("tool", ["enters", "enters_a_generator"])
def test_between_acquiring_and_entering_the_worker_asks_to_be_replaced(worker, begun, tool):
    frame = cancelled(worker, tool, begun)
    assert frame.error().code == "SP3002"
    assert frame.flags & RENEW
    # And so does every answer from then on.
    worker.begin(CALL, "nothing", pack({}))
    assert worker.receive().flags & RENEW


def flags(tool, begun):
    """Return the flags of the answer to a call that is cancelled in the last line of its tool."""
    lines = Path(ADAPTER).read_text().splitlines()
    first = lines.index(f"def {tool}(begun: str) -> None:") + 2
    with Worker(ADAPTER) as worker:
        call_id = worker.begin(CALL, tool, pack({"begun": str(begun)}))
        assert begun.read_text()
        # The file may still be being closed.
        inside = False
        while not inside:
            innermost = [frames[0] for _, frames in stacks(worker) if frames]
            inside = any(name == tool and line > first for name, _, line in innermost)
        worker.control.send(CANCEL, call_id, field(1, 2_000_000))
        return worker.receive().flags


@pytest.mark.parametrize("tool", ["loops", "loops_while", "sleeps"])
def test_in_plain_code_of_the_tool_the_worker_is_sound(begun, tool):
    # `sleep` may not have been called yet.
    assert any(flags(tool, begun) == 0 for _ in range(3))


def test_a_task_that_is_cancelled_leaves_the_worker_sound(worker, begun):
    assert cancelled(worker, "awaits", begun).flags == 0


def test_a_blocked_event_loop_is_not_sound(begun):
    with Worker(ADAPTER, **PROFILES["loop"]) as worker:
        assert cancelled(worker, "blocks", begun).flags & RENEW


def test_a_lock_that_may_be_held_costs_the_worker_only_if_it_is_not_replaced(begun):
    """Whatever the moment: the next call works, or the worker asks to be replaced."""
    for _ in range(5):
        with Worker(ADAPTER) as worker:
            frame = cancelled(worker, "acquires", begun)
            assert frame.error().code == "SP3002"
            if frame.flags & RENEW:
                continue
            begin = worker.begin(CALL, "acquires", pack({"begun": str(begun)}))
            assert begun.read_text() and begin
