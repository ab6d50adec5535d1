"""Large results and requests on a connection that many calls share.

They come in parts, and no other call waits for them.
"""

import socket
from pathlib import Path

import pytest
from minihost import CHUNK, END, HEADER, HOST_CALL, MANY, MANY_REPLY, PART, REPLY, STREAM, Worker
from test_codec import pack, unpack

pytestmark = pytest.mark.native

ADAPTER = str(Path(__file__).parent / "large_adapter.py")
MB = 1 << 20
#: More than the sockets hold and what is sent until the worker's next step; far less than a result.
AHEAD = 8 * MB


@pytest.fixture
def worker():
    env = {"SNAKEPIT_WORKER_CONCURRENCY": "10", "SNAKEPIT_WORKER_EVENT_LOOP": "asyncio"}
    with Worker(ADAPTER, env=env, max_payload=64 * MB) as worker:
        yield worker


def frames(worker, until):
    """Return the frames as they come, up to the last of a call: (kind, flags, call, body)."""
    out = []
    while not out or out[-1][1] & PART or out[-1][2] != until or out[-1][0] == CHUNK:
        kind, flags, _, head, body, call = HEADER.unpack(worker.slot.read(HEADER.size))
        head = worker.slot.read(head)
        # Only a request has one, which comes with its last part.
        assert bool(head) == (kind == HOST_CALL and not flags & PART)
        out.append((kind, flags, call, worker.slot.read(body)))
    return out


@pytest.mark.parametrize(
    "tool", ["data", "text", "numbers", "data_on_a_thread", "text_on_a_thread"]
)
def test_a_small_answer_waits_for_a_part_of_a_large_one_at_most(worker, tool, tmp_path):
    large = worker.start(tool, mb=40)
    # The large answer has begun, and the rest of it is not read yet.
    assert worker.slot.sock.recv(1, socket.MSG_PEEK)
    marker = tmp_path / "ran"
    small = worker.start("small", marker=str(marker))
    while not marker.exists():
        pass
    before = frames(worker, small)
    assert unpack(before[-1][3]) == 1
    assert sum(len(body) for *_, body in before) < AHEAD
    parts = [*before[:-1], *frames(worker, large)]
    assert {(kind, call) for kind, _, call, _ in parts} == {(REPLY, large)}
    assert [flags & PART for _, flags, _, _ in parts] == [PART] * (len(parts) - 1) + [0]
    whole = unpack(b"".join(body for *_, body in parts))
    assert len(whole) == 40 * MB if tool != "numbers" else whole == list(range(5 * MB))
    assert worker.call("small") == 1


@pytest.mark.parametrize("tool", ["asks", "asks_on_a_thread", "asks_after_others"])
def test_a_small_answer_waits_for_a_part_of_a_large_request_at_most(worker, tool, tmp_path):
    large = worker.start(tool, mb=40)
    if tool == "asks_after_others":
        others = [worker.next_request() for _ in range(64)]
        for other in others:
            worker.reply(other.number, 0)
    assert worker.slot.sock.recv(1, socket.MSG_PEEK)
    marker = tmp_path / "ran"
    small = worker.start("small", marker=str(marker))
    while not marker.exists():
        pass
    before = frames(worker, small)
    assert unpack(before[-1][3]) == 1
    assert sum(len(body) for *_, body in before) < AHEAD
    number = before[0][2]
    parts = [*before[:-1], *frames(worker, number)]
    assert {(kind, call) for kind, _, call, _ in parts} == {(HOST_CALL, number)}
    assert [flags & PART for _, flags, _, _ in parts] == [PART] * (len(parts) - 1) + [0]
    assert len(unpack(b"".join(body for *_, body in parts))) == 40 * MB
    worker.reply(number, 7)
    assert worker.result(large) == 7


@pytest.mark.parametrize("tool", ["chunks", "chunks_on_a_thread"])
def test_the_frames_of_a_stream_stay_in_order(worker, tool):
    stream = worker.begin(STREAM, tool, pack({"sizes": [10, 20 * MB, 10, 30 * MB, 10]}))
    worker.slot.send(7, stream, b"\x08" + b"\xff" * 8 + b"\x7f")
    assert worker.slot.sock.recv(1, socket.MSG_PEEK)
    small = worker.start("small")
    got, lengths = [], []
    while not got or got[-1].kind != END:
        got.append(worker.receive())
        if got[-1].kind == CHUNK:
            lengths.append(len(unpack(got[-1].body)))
    assert lengths == [10, 20 * MB, 10, 30 * MB, 10]
    assert [frame.call_id for frame in got if frame.kind == REPLY] == [small]


@pytest.mark.parametrize("tool", ["data", "data_on_a_thread"])
def test_the_items_of_batches_stay_apart_and_in_order(worker, tool):
    sizes = {0: [1, 0, 20, 0, 1], 1: [0, 2, 0, 30]}
    calls = {}
    for number, megabytes in sizes.items():
        items = [pack({"mb": mb}) for mb in megabytes]
        body = b"".join(len(item).to_bytes(4, "little") + item for item in items)
        calls[worker.begin(MANY, tool, body)] = (number, [])
    ended = 0
    while ended < len(calls):
        frame = worker.receive()
        assert frame.kind == MANY_REPLY
        _, lengths = calls[frame.call_id]
        at = 0
        while at < len(frame.body):
            assert frame.body[at] == 0
            size = int.from_bytes(frame.body[at + 1 : at + 5], "little")
            lengths.append(len(unpack(frame.body[at + 5 : at + 5 + size])) // MB)
            at += 5 + size
        ended += frame.flags & 1
    assert {number: lengths for number, lengths in calls.values()} == sizes
