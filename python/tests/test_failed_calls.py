"""A failed call leaves nothing behind: the locals of its frames are freed with its answer."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest
from minihost import CALL, CANCEL, PACKAGE_DIR, ToolError, Worker, field
from test_codec import pack

pytestmark = pytest.mark.native

ADAPTER = str(Path(__file__).parent / "failing_adapter.py")
PROFILES = {
    "process": {},
    "thread": {"slots": 2},
    "loop": {"env": {"SNAKEPIT_WORKER_CONCURRENCY": "10", "SNAKEPIT_WORKER_EVENT_LOOP": "asyncio"}},
}
if importlib.util.find_spec("uvloop"):
    PROFILES["loop uvloop"] = {
        "env": {"SNAKEPIT_WORKER_CONCURRENCY": "10", "SNAKEPIT_WORKER_EVENT_LOOP": "uvloop"}
    }


@pytest.fixture(scope="module", params=PROFILES)
def worker(request):
    with Worker(ADAPTER, **PROFILES[request.param]) as running:
        yield running


CALLS = ["function", "coroutine", "inner", "leaves", "task", "returns_a_task", "broken_str"]


@pytest.mark.parametrize("tool", CALLS)
def test_a_failed_call_frees_its_locals(worker, tool):
    for _ in range(3):
        assert worker.fail(tool)["code"] == "SP3001"
    assert worker.call("alive") == 0


@pytest.mark.parametrize("tool", ["items", "items_async"])
def test_a_failed_stream_frees_its_locals(worker, tool):
    for _ in range(3):
        with pytest.raises(ToolError):
            list(worker.stream(tool, x=1))
    assert worker.call("alive") == 0


@pytest.mark.parametrize("tool", [call for call in CALLS if call != "broken_str"])
def test_failed_items_of_a_batch_free_their_locals(worker, tool):
    results = worker.many(tool, [{"x": 1}, {"x": 2}, {"x": 3}])
    assert [result.code for result in results] == ["SP3001"] * 3
    assert worker.call("alive") == 0


def test_a_cancelled_coroutine_frees_its_locals(worker, tmp_path):
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    call_id = worker.begin(CALL, "waits", pack({"begun": str(begun)}))
    assert begun.read_text()
    worker.control.send(CANCEL, call_id, field(1, 5_000_000))
    assert worker.receive().error().code == "SP3002"
    assert worker.call("alive") == 0


@pytest.mark.parametrize("profile", PROFILES)
def test_the_text_survives_when_no_descriptor_is_free(profile):
    with Worker(ADAPTER, **PROFILES[profile]) as worker:
        worker.call("take_all_descriptors")
        error = worker.fail("function", x=7)
        assert error["message"] == "7 False"
        assert "in function" in error["traceback"]


@pytest.mark.parametrize("profile", PROFILES)
def test_the_text_survives_when_the_files_of_the_package_are_replaced(profile, tmp_path):
    package = tmp_path / "snakepit_bridge"
    shutil.copytree(PACKAGE_DIR / "snakepit_bridge", package)
    options = PROFILES[profile]
    env = {**options.get("env", {}), "PYTHONPATH": str(tmp_path)}
    with Worker(ADAPTER, **{**options, "env": env}) as worker:
        for cache in package.rglob("__pycache__"):
            shutil.rmtree(cache)
        for file in package.rglob("*.py"):
            file.write_text("raise RuntimeError('another version')\n")
        assert worker.call("package") == str(package)
        error = worker.fail("function", x=7)
        assert error["message"] == "7 False"
        assert "in function" in error["traceback"]
        assert worker.fail("inner", x=7)["code"] == "SP3001"
        secret = worker.fail("secret")
        assert "hunter2hunter2" not in secret["message"] and "<redacted>" in secret["message"]


def test_what_cannot_be_described_has_its_type_and_its_text():
    with Worker(ADAPTER) as worker:
        worker.call("break_describing")
        error = worker.fail("secret")
        assert (error["code"], error["type"]) == ("SP3001", "ValueError")
        assert error["message"].startswith("password=")
        assert "broken on purpose" in error["notes"][0]
