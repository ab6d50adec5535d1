"""Programs that coroutines on a shared event loop start.

They end with a cancelled call, and with no other.
"""

import os
import signal
import time
from pathlib import Path

import pytest
from minihost import ERROR, TIMEOUT, Worker
from test_concurrent import LOOPS, cancel
from test_worker_end import alive

pytestmark = pytest.mark.native

ADAPTER = str(Path(__file__).parent / "program_adapter.py")


class Programs:
    """A worker, and the processes that its tools have started."""

    def __init__(self, worker, folder):
        self.worker, self.folder, self.all = worker, folder, []

    def pids(self, name):
        """Return the recorded process ids."""
        file, deadline = self.folder / name, time.monotonic() + TIMEOUT
        while not file.exists():
            assert time.monotonic() < deadline
            os.sched_yield()
        pids = [int(pid) for pid in file.read_text().split()]
        self.all += pids
        return pids

    def waits(self, how, name):
        call = self.worker.start("waits", how=how, file=str(self.folder / name))
        return call, self.pids(name)

    def cancelled(self, call):
        cancel(self.worker, call)
        frame = self.worker.receive()
        assert (frame.kind, frame.call_id) == (ERROR, call)


@pytest.fixture(params=LOOPS)
def programs(request, tmp_path):
    env = {"SNAKEPIT_WORKER_CONCURRENCY": "10", "SNAKEPIT_WORKER_EVENT_LOOP": request.param}
    with Worker(ADAPTER, env=env) as worker:
        programs = Programs(worker, tmp_path)
        yield programs
        assert worker.process.poll() is None
    for pid in programs.all:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def gone(pids):
    """Check that the programs were killed before the call was over, and wait for their end."""
    deadline = time.monotonic() + TIMEOUT
    while any(map(alive, pids)):
        assert time.monotonic() < deadline
        os.sched_yield()


@pytest.mark.parametrize(
    "how",
    [
        "loop",
        "task",
        "ends_the_shell",
        "popen",
        "blocks",
        "thread",
        "with_a_hook",
        "executes",
        "spawns",
    ],
)
def test_programs_of_a_cancelled_call_end_with_it_and_no_others(programs, how):
    programs.worker.call("leaves", file=str(programs.folder / "left"))
    left = programs.pids("left")
    other, others = programs.waits("loop", "other")
    mine, pids = programs.waits(how, "mine")
    programs.cancelled(mine)
    gone(pids)
    assert all(map(alive, left + others))
    programs.cancelled(other)
    gone(others)
    assert all(map(alive, left))


@pytest.mark.parametrize("how", ["session", "copy"])
def test_what_is_to_go_on_goes_on(programs, how):
    mine, pids = programs.waits(how, "mine")
    programs.cancelled(mine)
    assert all(map(alive, pids))
    other, others = programs.waits("loop", "other")
    programs.cancelled(other)
    gone(others)
    assert all(map(alive, pids))
