"""Processes that a tool starts receive the trace to which they belong."""

import re
from pathlib import Path

import pytest
from telemetry_host import PARENT, TRACE, Observed
from test_telemetry import PROFILES, own

pytestmark = pytest.mark.native

ADAPTER = str(Path(__file__).parent / "telemetry_adapter.py")


@pytest.fixture(scope="module", params=PROFILES)
def running(request):
    with Observed(ADAPTER, **PROFILES[request.param]) as worker:
        worker.until(spans=1, events=1)
        yield worker


def test_subprocesses_inherit_it_and_given_environments_stay(running):
    got = running.call("environments")
    (span,) = running.until(spans=1)["spans"]
    inside = f"00-{TRACE.hex()}-{own(span).hex()}-01"
    assert got == [PARENT, "None", inside, inside, inside, None]


def test_os_system_and_popen(running, tmp_path):
    got = running.call("systems", path=str(tmp_path / "out"))
    assert got == [3, PARENT, PARENT]


def test_subprocesses_of_asyncio(running):
    assert running.call("environment_async") == PARENT


def test_without_a_trace_nothing_changes(running, tmp_path):
    got = running.call_plain("environments")
    assert got == ["None", "None", None, "None", "None", None]
    assert running.call_plain("systems", path=str(tmp_path / "out")) == [3, "", ""]


def test_calls_at_the_same_time_do_not_mix():
    with Observed(ADAPTER, slots=2) as worker:
        worker.until(spans=1, events=1)
        calls = {}
        for turn in range(10):
            for slot in (0, 1):
                trace = TRACE + bytes([turn + 1, slot + 1] * 4) + b"\x01"
                worker.on(slot)
                calls[slot] = (worker.start("environments", options={"trace": trace}), trace)
            for slot in (0, 1):
                call, trace = calls[slot]
                got = worker.on(slot).result(call)
                assert got[0] == f"00-{TRACE.hex()}-{trace[16:24].hex()}-01"
                assert re.fullmatch(f"00-{TRACE.hex()}-[0-9a-f]{{16}}-01", got[3])
                assert got[2] == got[3] != got[0]
