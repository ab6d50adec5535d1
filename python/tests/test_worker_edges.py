"""User code that strains a worker: forks, changes a value that is being sent, is slow."""

import struct

import pytest
from minihost import CALL, ERROR, MANY, MANY_REPLY, REPLY, ToolError, Worker
from test_codec import pack, unpack

pytestmark = pytest.mark.native

TOOLS = """
import enum
import os

from snakepit_bridge import tool

CHANGING = {}


class Growing(enum.Enum):
    A = 1

    @property
    def value(self):
        CHANGING[len(CHANGING)] = 1
        return 1


class Moving(enum.Enum):
    A = 1

    @property
    def value(self):
        CHANGING.pop("a", None)
        CHANGING.pop("c", None)
        CHANGING.update(a=1, d=4)
        return 1


@tool
def moving():
    CHANGING.clear()
    CHANGING.update(a=Moving.A, b=2, c=3)
    return CHANGING


@tool
def changing():
    CHANGING.clear()
    CHANGING.update(a=Growing.A, b=2)
    return CHANGING


@tool
def fork():
    child = os.fork()
    if child == 0:
        return "child"
    return ["parent", os.waitpid(child, 0)[1] != 0]


@tool
def read(path: str):
    with open(path) as file:
        return file.read()


@tool
def echo(x):
    return x
"""


@pytest.fixture
def worker(tmp_path):
    (tmp_path / "edges.py").write_text(TOOLS)
    with Worker("edges.py", cwd=str(tmp_path)) as running:
        yield running


def test_a_dictionary_that_changes_while_it_is_sent_is_an_error_of_the_call(worker):
    with pytest.raises(ToolError) as caught:
        worker.call("changing")
    assert caught.value.code == "SP2007"
    assert "changed while it was being sent" in str(caught.value)
    assert worker.call("echo", x=1) == 1


def test_a_dictionary_is_sent_as_it_was_when_its_first_entry_is_read(worker):
    assert worker.call("moving") == {"a": 1, "b": 2, "c": 3}


def test_a_forked_child_never_answers_for_the_worker(worker):
    call_id = worker.begin(CALL, "fork", pack({}))
    frame = worker.slot.receive()
    assert (frame.call_id, frame.kind, unpack(frame.body)) == (call_id, REPLY, ["parent", True])
    # Whatever the child had written would come before this answer.
    assert worker.call("echo", x=1) == 1


def test_a_batch_delivers_each_result_while_the_next_item_runs(worker, tmp_path):
    import os

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    items = [pack({"path": str(pipe)})] * 3
    body = b"".join(struct.pack("<I", len(item)) + item for item in items)
    worker.begin(MANY, "read", body)
    for number in range(3):
        # The item waits for this text; the one before it must have been delivered already.
        pipe.write_text(str(number))
        frame = worker.slot.receive()
        assert frame.kind == MANY_REPLY
        status, size = struct.unpack_from("<BI", frame.body)
        assert (status, unpack(frame.body[5 : 5 + size])) == (0, str(number))
    while not frame.flags & 1:
        frame = worker.slot.receive()
        assert frame.kind != ERROR
