"""The end of a worker: its report, and its appearance before that."""

import os
import time

import pytest
from minihost import CANCEL, ERROR, SHUTDOWN, Worker

pytestmark = pytest.mark.native

CLEANING = 41

TOOLS = """
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

from snakepit_bridge import BaseAdapter, tool

NEVER = threading.Event()
EXECUTOR = ThreadPoolExecutor(1, thread_name_prefix="executor")


class First(BaseAdapter):
    @tool
    def start(self, daemon: bool) -> None:
        kwargs = {"target": NEVER.wait, "daemon": daemon}
        threading.Thread(name="poller", **kwargs).start()
        EXECUTOR.submit(int).result()

    @tool
    def shell(self, file: str) -> str:
        command = f"sleep 3600 & echo $! > {file}.tmp; mv {file}.tmp {file}; wait"
        return subprocess.check_output(command, shell=True, text=True)

    @tool
    def release(self) -> None:
        NEVER.set()

    def cleanup(self) -> None:
        pass


class Second(BaseAdapter):
    @tool
    def other(self) -> None:
        pass

    def cleanup(self) -> None:
        raise RuntimeError("on purpose")
"""


@pytest.fixture
def adapter(tmp_path):
    path = tmp_path / "tools.py"
    path.write_text(TOOLS)
    return str(path)


def told(worker):
    """Return the names of the adapters in the worker's reports, to the end of the connection."""
    names = []
    while True:
        try:
            frame = worker.control.receive()
        except ConnectionError:
            return names
        if frame.kind == CLEANING:
            names.append(frame.head[2:].decode())


def test_each_adapter_is_named_before_it_cleans_up(adapter):
    with Worker(adapter) as worker:
        worker.slot.send(SHUTDOWN)
        assert told(worker) == ["Second", "First", ""]


@pytest.mark.parametrize("daemon", [True, False])
def test_threads_of_tools_are_named_once(adapter, daemon):
    with Worker(adapter) as worker:
        worker.call("start", daemon=daemon)
        worker.call("start", daemon=daemon)
        worker.slot.send(SHUTDOWN)
        lines = iter(worker.process.stderr.readline, b"")
        line = next(line.decode() for line in lines if b"threads that tools started" in line)
        assert line.count("'poller'") == 2
        assert line.count("(daemon)") == (2 if daemon else 0)
        assert "executor" not in line
        assert "MainThread" not in line


def test_without_threads_nothing_is_named(adapter):
    with Worker(adapter) as worker:
        worker.call("release")
        worker.call("start", daemon=False)
        worker.slot.send(SHUTDOWN)
        _, errors = worker.process.communicate(timeout=60)
        assert b"threads that tools started" not in errors


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_the_shell_of_a_cancelled_tool_has_started_ends_with_it(adapter, tmp_path):
    file = tmp_path / "pid"
    with Worker(adapter) as worker:
        call = worker.start("shell", file=str(file))
        deadline = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < deadline
            os.sched_yield()
        grandchild = int(file.read_text())
        assert alive(grandchild)
        worker.control.send(CANCEL, call)
        assert worker.receive().kind == ERROR
        # It was killed before the call was over, and its end takes no time worth mentioning.
        while alive(grandchild):
            assert time.monotonic() < deadline
            os.sched_yield()
        assert worker.process.poll() is None
