"""Stacks and profiles of a real worker: right line by line, and harmless whatever it does."""

import os
import re
import sys
from pathlib import Path

import pytest
from minihost import CALL, CANCEL, PING, PONG, ToolError, Worker, field
from profiling_host import DROP, Profile, Refused, stacks

pytestmark = pytest.mark.native

ADAPTER = Path(__file__).parent / "profile_adapter.py"
MARK = re.compile(r"# at: (.+)$")
ON_CPU, GIL = 1, 2
FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()


def marked():
    """Return the lines of functions by name."""
    lines = enumerate(ADAPTER.read_text().splitlines(), 1)
    found = ((MARK.search(line), number) for number, line in lines)
    return {match[1]: number for match, number in found if match}


@pytest.fixture(params=[1, 3], ids=["process", "threads"])
def worker(request):
    env = {"SNAKEPIT_WORKER_THREAD_SAFETY_CHECKS": "off"}
    with Worker(str(ADAPTER), slots=request.param, env=env) as worker:
        yield worker


@pytest.fixture
def pipe(tmp_path):
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    return path


def release(path):
    os.close(os.open(path, os.O_WRONLY))


def own(frames):
    """Return the frames of the adapter's code: the last part of the name, and the line."""
    name = str(ADAPTER)
    return [(function.split(".")[-1], line) for function, file, line in frames if file == name]


def waiting(worker):
    """Return the stack, the innermost frame first, once the tool waits for its pipe."""
    while True:
        for _, frames in stacks(worker):
            if own(frames)[:1] == [("wait", marked()["wait"])]:
                return own(frames)


STACKS = {
    "in_function": ["wait", "outer", "in_function"],
    "in_lambda": ["wait", "<lambda>", "in_lambda"],
    "in_generator": ["wait", "steps", "in_generator"],
    "in_coroutine": ["wait", "inner", "in_coroutine"],
    "in_callback": ["wait", "key", "add", "in_callback"],
    "in_method": ["wait", "area", "in_method"],
}


@pytest.mark.parametrize("tool", STACKS)
def test_a_stack_is_right_line_by_line(worker, pipe, tool):
    lines = marked()
    expected = [(name, lines[name]) for name in STACKS[tool]]
    call = worker.start(tool, path=pipe)
    assert waiting(worker) == expected
    report = Profile(worker).stop()
    release(pipe)
    worker.result(call)
    seen = [own(frames) for *_, frames in report.stacks]
    assert expected[::-1] in seen


def test_a_deep_stack_keeps_its_innermost_frames(worker, pipe):
    lines = marked()
    call = worker.start("in_recursion", path=pipe, depth=900)
    stack = waiting(worker)
    assert stack[:2] == [("wait", lines["wait"]), ("dive", lines["dive"])]
    assert set(stack[2:]) == {("dive", lines["dive again"])}
    report = Profile(worker).stop()
    release(pipe)
    worker.result(call)
    deepest = max(len(frames) for *_, frames in report.stacks)
    assert 500 <= deepest <= 512


def test_c_code_that_holds_the_gil_is_told_from_code_that_computes(worker):
    profile = Profile(worker)
    worker.call("sleeps_with_the_gil", seconds=0.3)
    report = profile.stop()
    name = "sleeps_with_the_gil"
    assert report.total(GIL, name) > 0.9 * report.total(within=name) > 0
    assert report.total(ON_CPU, name) < 0.1 * report.total(within=name)
    profile = Profile(worker)
    worker.call("matches", length=20)
    report = profile.stop()
    # The first sample and the last may meet it on its way.
    assert report.total(GIL, "matches") >= report.total(within="matches") - 2
    assert report.total(ON_CPU, "matches") >= report.total(within="matches") - 2


def test_stacks_come_at_once_while_the_gil_is_held(worker):
    call = worker.start("sleeps_with_the_gil", seconds=0.5)
    while True:
        found = [own(frames) for _, frames in stacks(worker)]
        if [("sleeps_with_the_gil", marked()["sleeps_with_the_gil"])] in found:
            break
    assert worker.result(call) is None


def test_a_thread_that_waits_has_no_marks(worker, pipe):
    call = worker.start("in_function", path=pipe)
    waiting(worker)
    profile = Profile(worker, hz=1000)
    report = profile.stop()
    assert report.total(within="wait") > 0
    if not FREE_THREADED:
        assert report.total(GIL, "wait") == 0
    assert report.total(ON_CPU, "wait") == 0
    only = Profile(worker, hz=1000, threads=2, number=5000)
    assert only.stop().total(within="wait") == 0
    release(pipe)
    worker.result(call)


def test_a_worker_survives_samples_while_all_of_it_changes(worker):
    profile = Profile(worker, hz=1000)
    assert worker.call("churns", seconds=1.5) > 0
    assert worker.call("echo", text="there") == "there"
    report = profile.stop()
    assert report.total() > 0 and not report.failure
    files = {os.path.basename(file) for *_, frames in report.stacks for _, file, _ in frames}
    own_lines = len(ADAPTER.read_text().splitlines())
    for *_, frames in report.stacks:
        for function, file, line in frames:
            if file == str(ADAPTER):
                assert 0 <= line <= own_lines, (function, line)
    assert "profile_adapter.py" in files


def test_cancelled_calls_and_signs_of_life_go_on(worker):
    profile = Profile(worker, hz=1000)
    call = worker.start("spins", seconds=60.0)
    while not any(("spins", marked()["spins"]) in own(frames) for _, frames in stacks(worker)):
        pass
    worker.control.send(PING, 1)
    while worker.control.receive().kind != PONG:
        pass
    worker.control.send(CANCEL, call, field(1, 10_000_000))
    with pytest.raises(ToolError):
        worker.raw(call)
    assert profile.stop().total(within="spins") > 0
    assert worker.call("echo", text="well") == "well"


def test_one_profile_at_a_time_and_each_only_once(worker):
    first = Profile(worker)
    with pytest.raises(Refused, match="another profile"):
        Profile(worker, number=2000)
    first.ask(DROP)
    with pytest.raises(Refused, match="unknown profile"):
        first.ask(DROP)
    second = Profile(worker, seconds=0.02, number=3000)
    second.ended()
    assert second.stop().samples > 0


def test_a_worker_ends_in_order_while_it_is_profiled(worker):
    Profile(worker, hz=1000)
    worker.begin(CALL, "echo", b"\x91\xa1x")
    worker.receive()
    assert worker.shutdown() == 0


def test_a_worker_ends_with_its_host_while_it_is_profiled(worker):
    Profile(worker, hz=1000)
    worker.start("spins", seconds=60.0)
    worker.control.sock.close()
    assert worker.process.wait(60) != 0
