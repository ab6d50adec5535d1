"""A process forked by a tool never speaks for its worker, and disturbs no other call."""

import importlib.util
from pathlib import Path

import pytest
from minihost import Worker
from test_codec import unpack

pytestmark = pytest.mark.native

ADAPTER = str(Path(__file__).parent / "forking_adapter.py")
LOOPS = {"loop": {"SNAKEPIT_WORKER_CONCURRENCY": "10", "SNAKEPIT_WORKER_EVENT_LOOP": "asyncio"}}
if importlib.util.find_spec("uvloop"):
    LOOPS["uvloop"] = {"SNAKEPIT_WORKER_CONCURRENCY": "10", "SNAKEPIT_WORKER_EVENT_LOOP": "uvloop"}
PROFILES = {
    "process": {},
    "thread": {"slots": 2},
    **{name: {"env": env} for name, env in LOOPS.items()},
}
MESSAGE = "a forked child returned from a tool"


@pytest.fixture(params=PROFILES)
def worker(request):
    with Worker(ADAPTER, **PROFILES[request.param]) as running:
        running.host = lambda request: [request.name, request.body]
        yield running


def ended(worker):
    """Check that every copy has ended with the message, and the worker answers nothing twice."""
    assert worker.call("codes") == [1]
    # asyncio may have something to say of it, too.
    while MESSAGE not in (line := worker.process.stderr.readline().decode()):
        assert line, "the copy ended without a message"


@pytest.mark.parametrize(
    "tool", ["returns", "returns_async", "awaits", "forks_in_a_task", "leaves"]
)
def test_its_result_is_not_sent(worker, tool):
    pid = worker.process.pid
    assert worker.call(tool) == (1 if tool == "leaves" else pid)
    ended(worker)


@pytest.mark.parametrize("tool", ["fails", "fails_async"])
def test_its_error_is_not_sent(worker, tool):
    assert worker.fail(tool)["message"] == "in both"
    ended(worker)


@pytest.mark.parametrize("tool", ["asks", "asks_async"])
def test_it_asks_the_host_nothing(worker, tool):
    assert worker.call(tool) == ["echo", [worker.process.pid]]
    assert len(worker.requests) == 1
    ended(worker)


@pytest.mark.parametrize("tool", ["chunks", "chunks_async"])
def test_its_chunks_are_not_sent(worker, tool):
    assert list(worker.stream(tool)) == [1, 2, 3]
    ended(worker)


@pytest.mark.parametrize("tool", ["returns", "returns_async", "awaits"])
def test_its_items_are_not_sent(worker, tool):
    assert worker.many(tool, [{}]) == [worker.process.pid]
    ended(worker)


@pytest.mark.parametrize("tool", ["returns", "returns_async", "awaits", "forks_in_a_task"])
@pytest.mark.parametrize("loop", LOOPS)
def test_other_calls_do_not_run_in_the_copy(tmp_path, loop, tool):
    with Worker(ADAPTER, env=LOOPS[loop]) as worker:
        over = tmp_path / "over"
        others = [worker.start("runs_beside", began=str(over)) for _ in range(3)]
        assert worker.call(tool) == worker.process.pid
        ended(worker)
        over.touch()
        got = {}
        for _ in others:
            frame = worker.receive()
            got[frame.call_id] = unpack(frame.body)
        assert got == {call: [worker.process.pid] for call in others}


def test_children_of_multiprocessing_are_left_alone(worker):
    assert worker.call("pool", n=3) == [3, 2, 1]


@pytest.mark.parametrize("where", ["import", "initialize"])
def test_a_copy_made_while_the_adapter_loads_ends(tmp_path, where):
    adapter = tmp_path / "forks.py"
    body = "CHILD = os.fork()" if where == "import" else ""
    start = "global CHILD; CHILD = os.fork()" if where == "initialize" else "pass"
    adapter.write_text(
        "import os\nfrom snakepit_bridge import BaseAdapter, tool\n"
        f"{body}\n"
        "class Adapter(BaseAdapter):\n"
        "    def initialize(self):\n"
        f"        {start}\n"
        "    @tool\n"
        "    def code(self) -> int:\n"
        "        return os.waitstatus_to_exitcode(os.waitpid(CHILD, 0)[1])\n"
    )
    with Worker(str(adapter)) as worker:
        assert worker.call("code") == 1
