"""Calls that lie in a slot's connection behind another one, and are taken back."""

import os
import struct
from pathlib import Path

import pytest
from minihost import CALL, HEADER, REPLY, Worker, field, fields

pytestmark = pytest.mark.native

ADAPTER = str(Path(__file__).parent / "recall_adapter.py")
RECALL, RECALLED = 38, 39
LIMIT = 4 << 10


@pytest.fixture(params=[1, 3])
def worker(request):
    with Worker(ADAPTER, slots=request.param, max_payload=LIMIT) as worker:
        yield worker.on(request.param - 1)


def recall(worker, call, slot=None):
    """Take a call back; return whether it was not begun."""
    slot = worker.slot.slot if slot is None else slot
    worker.control.send(RECALL, call, field(1, slot))
    while True:
        frame = worker.control.receive()
        if frame.kind == RECALLED:
            assert frame.call_id == call
            return bool(dict(fields(frame.head)).get(1, 0))


def gate(folder):
    """Return a pipe that a tool waits for, and a function that opens it."""
    path = os.path.join(folder, "gate")
    os.mkfifo(path)
    return path, lambda: os.close(os.open(path, os.O_WRONLY))


def test_what_was_not_begun_comes_back_at_once_and_is_never_begun(worker, tmp_path):
    path, open_gate = gate(tmp_path)
    notes = str(tmp_path / "notes")
    front = worker.start("wait", path=path)
    calls = [worker.start("note", path=notes, text=text) for text in "abcd"]
    assert recall(worker, calls[1])
    assert recall(worker, calls[1]), "it stays taken back"
    assert recall(worker, calls[3])
    assert not recall(worker, calls[0], slot=99), "there is no such slot"
    open_gate()
    assert worker.result(front) == "open"
    assert worker.result(calls[0]) == "a"
    assert worker.result(calls[2]) == "c"
    assert worker.call("note", path=notes, text="e") == "e"
    assert Path(notes).read_text() == "ace"


def test_what_was_begun_is_not_given_back(worker, tmp_path):
    path, open_gate = gate(tmp_path)
    front = worker.start("wait", path=path)
    begun = tmp_path / "gate.begun"
    while not begun.exists():
        pass
    assert not recall(worker, front)
    open_gate()
    assert worker.result(front) == "open"
    assert not recall(worker, front)
    later = worker.start("note", path=str(tmp_path / "notes"), text="x")
    assert worker.result(later) == "x"
    assert not recall(worker, later)


def test_calls_behind_a_tool_that_talks_to_its_host(worker, tmp_path):
    notes = str(tmp_path / "notes")
    front = worker.start("asks")
    request = worker.next_request()
    calls = [worker.start("note", path=notes, text=text) for text in "ab"]
    assert recall(worker, calls[0])
    worker.reply(request.number, 7)
    assert worker.result(front) == 7
    assert worker.result(calls[1]) == "b"
    assert worker.call("note", path=notes, text="c") == "c"
    assert Path(notes).read_text() == "bc"


def test_a_call_that_cannot_be_read_is_skipped_when_it_was_taken_back(worker, tmp_path):
    path, open_gate = gate(tmp_path)
    front = worker.start("wait", path=path)
    worker.slot.send(CALL, 1001, b"\xff\xff")
    worker.slot.sock.sendall(HEADER.pack(CALL, 0, 0, 0, 2 * LIMIT, 1002) + bytes(2 * LIMIT))
    assert recall(worker, 1001)
    assert recall(worker, 1002)
    open_gate()
    assert worker.result(front) == "open"
    assert worker.call("note", path=str(tmp_path / "notes"), text="x") == "x"


def test_many_calls_in_a_row_are_begun_in_order(worker, tmp_path):
    notes = str(tmp_path / "notes")
    body = b"".join(
        self_contained(number, notes, chr(ord("a") + number % 26)) for number in range(500)
    )
    worker.slot.sock.sendall(body)
    for number in range(500):
        frame = worker.receive()
        assert (frame.kind, frame.call_id) == (REPLY, 5000 + number)
    text = "".join(chr(ord("a") + number % 26) for number in range(500))
    assert Path(notes).read_text() == text


def self_contained(number, path, text):
    from snakepit_bridge._native import pack

    body = pack({"path": path, "text": text})
    head = field(2, "note") + field(101, 1) + field(103, 5000 + number)
    return struct.pack("<BBHIQQ", CALL, 0, 0, len(head), len(body), 5000 + number) + head + body
