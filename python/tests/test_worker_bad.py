"""Every bad input that a worker may receive, and its answer; the worker survives."""

import struct
from pathlib import Path

import pytest
from minihost import CALL, ERROR, HEADER, ToolError, Worker
from test_codec import pack

pytestmark = pytest.mark.native

ADAPTER = str(Path(__file__).parent / "adapter_for_tests.py")
LIMIT = 64 * 1024
OOPS = 'argument `xs` of tool `mean` must be list[float], got string "oops"'
INNER = 'argument `xs[1]` of tool `mean` must be float, got string "x"'


@pytest.fixture(scope="module")
def worker():
    with Worker(ADAPTER, max_payload=LIMIT) as running:
        yield running


@pytest.fixture(autouse=True)
def lives_on(worker):
    yield
    if worker.process.poll() is None:
        assert worker.call("echo", x="alive") == "alive"


def raw(worker, tool, body):
    with pytest.raises(ToolError) as caught:
        worker.call_raw(tool, body)
    return caught.value.fields


def test_unknown_tools_name_the_nearest(worker):
    got = worker.fail("maen", xs=[])
    assert (got["code"], got["message"]) == ("SP2001", "no tool is named `maen`")
    assert "`mean`" in got["help"]


@pytest.mark.parametrize(
    ("tool", "arguments", "code", "text"),
    [
        ("mean", {"xs": "oops"}, "SP2003", OOPS),
        ("mean", {"xs": [1, "x"]}, "SP2003", INNER),
        ("mean", {"xs": None}, "SP2003", "got null"),
        ("mean", {"xs": 3}, "SP2003", "got integer 3"),
        ("mean", {"xs": [True]}, "SP2003", "got bool true"),
        ("mean", {"xs": b"abc"}, "SP2003", "got bytes of length 3"),
        ("mean", {"xs": {"a": 1, "b": 2}}, "SP2003", "got object with keys a, b"),
        ("count", {}, "SP2002", "tool `count` needs argument `n` (int)"),
        ("mean", {"xs": [], "y": 1}, "SP2004", "tool `mean` has no argument `y`"),
        ("add", {"n": 1.5}, "SP2003", "argument `n` of tool `add` must be int, got float 1.5"),
        ("typed", {"p": {"x": 1, "z": 2}}, "SP2004", "`p.z` of tool `typed` is not a field"),
        ("typed", {"p": {"y": 1}}, "SP2002", "argument `p.x` of tool `typed` is missing (float)"),
        ("typed", {"p": {"x": 1}, "c": "blue"}, "SP2003", "argument `c` of tool `typed`"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_told_precisely(worker, tool, arguments, code, text):
    if tool == "count":
        with pytest.raises(ToolError) as caught:
            list(worker.stream(tool, **arguments))
        got = caught.value.fields
    else:
        got = worker.fail(tool, **arguments)
    assert got["code"] == code
    assert text in got["message"]
    assert got["file"].endswith("adapter_for_tests.py")
    assert got["line"] > 0
    assert f"def {tool}(" in got["source"]


@pytest.mark.parametrize(
    ("tool", "arguments", "path"),
    [
        ("mean", {"xs": "oops"}, "xs"),
        ("mean", {"xs": [1, "x"]}, "xs[1]"),
        ("mean", {}, "xs"),
        ("mean", {"xs": [], "y": 1}, "y"),
        ("typed", {"p": {"y": 1}}, "p.x"),
        ("typed", {"p": {"x": 1, "z": 2}}, "p.z"),
        ("typed", {"p": {"x": 1, "y": None}}, "p.y"),
        ("typed", {"p": {"x": 1}, "t": [1, "2"]}, "t[1]"),
        ("unsendable", {}, ""),
    ],
)
def test_the_argument_at_fault_is_a_field_of_the_error(worker, tool, arguments, path):
    assert worker.fail(tool, **arguments)["path"] == path


def test_too_many_positional_arguments(worker):
    assert worker.fail("mean", [1.0], 2)["code"] in ("SP2004", "SP2008")


def test_arguments_must_be_a_map_an_array_or_nil(worker):
    assert raw(worker, "echo", pack(3))["code"] == "SP2008"
    assert raw(worker, "echo", pack({1: 2}))["code"] == "SP2008"


def test_a_call_of_a_stream_and_the_reverse(worker):
    assert worker.fail("count", n=1)["code"] == "SP2009"
    with pytest.raises(ToolError) as caught:
        list(worker.stream("mean", xs=[1.0]))
    assert caught.value.code == "SP2009"
    with pytest.raises(ToolError) as caught:
        list(worker.stream("not_a_stream"))
    assert caught.value.code == "SP2009"


def test_results_that_cannot_be_sent(worker):
    got = worker.fail("unsendable")
    assert got["code"] == "SP2007"
    assert "$[0].x" in got["message"]
    stream = worker.stream("bad_chunks")
    assert next(stream) == 1
    with pytest.raises(ToolError) as caught:
        next(stream)
    assert caught.value.code == "SP2007"


def test_payloads_over_the_limit_in_both_directions(worker):
    got = raw(worker, "echo", pack({"x": bytes(4 * LIMIT)}))
    assert got["code"] == "SP2005"
    assert worker.fail("big", n=LIMIT + 1)["code"] == "SP2005"
    assert len(worker.call("big", n=LIMIT - 100)) == LIMIT - 100


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x81\xa1x\xa2\xff\xfe",
        b"\x81\xa1x" + b"\x91" * 60_000 + b"\xc0",
        b"\x81\xa1x\xdd\xff\xff\xff\xff",
        b"\x81\xa1x\xc7\x01\x63a",
        b"\x80\x80",
    ],
)
def test_broken_payloads(worker, body):
    assert raw(worker, "echo", body)["code"] == "SP2006"


def test_nesting_of_a_hundred_thousand_levels():
    with Worker(ADAPTER) as worker:
        got = raw(worker, "echo", b"\x81\xa1x" + b"\x91" * 100_000 + b"\xc0")
        assert got["code"] == "SP2006"
        assert "128" in got["message"]
        assert worker.call("echo", x=1) == 1


@pytest.mark.parametrize(
    "data",
    [
        HEADER.pack(99, 0, 0, 0, 0, 1),
        HEADER.pack(CALL, 0, 0, 2**31, 0, 1),
        HEADER.pack(CALL, 0, 0, 3, 0, 1) + b"\xff\xff\xff",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_an_invalid_frame_ends_in_an_error_or_the_end_of_the_worker(data):
    with Worker(ADAPTER) as worker:
        worker.slot.sock.sendall(data)
        try:
            frame = worker.slot.receive()
        except (ConnectionError, struct.error):
            worker.process.wait(60)
        else:
            assert frame.kind == ERROR
            assert frame.error().code.startswith("SP")


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        ("def f(:\n", "SP5003", "SyntaxError"),
        ("import no_such_module_here\n", "SP5003", "no_such_module_here"),
        ("1 / 0\n", "SP5003", "ZeroDivisionError"),
        ("def f(): pass\n", "SP5004", "has no tools"),
        (None, "SP5003", "does not exist"),
    ],
)
def test_an_adapter_that_cannot_be_loaded(tmp_path, text, code, part):
    if text is not None:
        (tmp_path / "tools.py").write_text(text)
    with Worker("tools.py", cwd=str(tmp_path), describe=False) as worker:
        with pytest.raises(ToolError) as caught:
            worker.describe()
        assert caught.value.code == code
        assert part in caught.value.fields["message"]
        assert worker.process.wait(60) == 1
