"""A copy of the host holds its ends of the connections; the process of the host is what counts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from minihost import PACKAGE_DIR, TIMEOUT

pytestmark = pytest.mark.native

HERE = Path(__file__).parent


def state_of(pid):
    """Return the letter of a process's state, and its session; `None` if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return fields[0], int(fields[3])


def until(condition):
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0)


def session(leader):
    """Return the living processes of a session."""
    states = {int(pid): state_of(pid) for pid in os.listdir("/proc") if pid.isdigit()}
    return [
        pid
        for pid, state in states.items()
        if state and state[1] == leader and state[0] not in "ZX"
    ]


@pytest.mark.parametrize("state", ["idle", "busy", "gil", "family", "stopped"])
def test_a_worker_ends_with_its_host_whatever_a_copy_of_it_holds(state, tmp_path):
    host = subprocess.Popen(
        [
            sys.executable,
            HERE / "host_copied.py",
            HERE / "copied_adapter.py",
            state,
            tmp_path / "mark",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{PACKAGE_DIR}{os.pathsep}{HERE}"},
    )
    worker, copy = map(int, host.stdout.readline().split())
    try:
        if state == "stopped":
            until(lambda: state_of(worker)[0] == "T")
        assert len(session(worker)) == (2 if state in ("family", "stopped") else 1)
        host.kill()
        host.wait(TIMEOUT)
        until(lambda: not session(worker))
        assert state_of(copy)[0] == "S"
    finally:
        os.kill(copy, signal.SIGKILL)
        host.kill()
        host.stdout.close()
        host.wait(TIMEOUT)
