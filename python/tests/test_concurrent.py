"""Many calls at once on one connection and one event loop."""

import importlib.util
import socket
import struct
from pathlib import Path

import pytest
from minihost import (
    CANCEL,
    CHUNK,
    END,
    ERROR,
    MANY,
    MANY_REPLY,
    REPLY,
    STREAM,
    HostFault,
    Request,
    ToolError,
    Worker,
    field,
    fields,
    tool_error,
)  # fmt: skip
from test_codec import pack, unpack

pytestmark = pytest.mark.native

ADAPTER = str(Path(__file__).parent / "async_adapter.py") + ":Adapter"
WINDOW = 256 << 10
MORE, HOST_CALL, STOPPED = 7, 22, 35
TASK, EXCEPTION, INTERRUPT, AGAIN = 2, 3, 4, 5
LOOPS = ["asyncio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]


# One for each test: what a test leaves behind when it fails is not there for the next.
@pytest.fixture(params=LOOPS)
def worker(request):
    env = {"SNAKEPIT_WORKER_CONCURRENCY": "1000", "SNAKEPIT_WORKER_EVENT_LOOP": request.param}
    with Worker(ADAPTER, env=env) as running:
        running.host = lambda request: [request.name, request.body]
        yield running


def outcomes(worker, count):
    """Return the frames that end calls, by call; answers requests meanwhile."""
    ends = {}
    while len(ends) < count:
        frame = worker.receive()
        if frame.kind != CHUNK:
            assert frame.call_id not in ends
            ends[frame.call_id] = frame
    return ends


def cancel(worker, call_id, grace_us=4_000_000):
    worker.control.send(CANCEL, call_id, field(1, grace_us))


def stopped(worker):
    frame = worker.control.receive()
    assert frame.kind == STOPPED
    return frame.call_id, dict(fields(frame.head)).get(1, 0)


def test_it_says_so(worker):
    assert "concurrency" in worker.described["capabilities"]
    assert worker.described["slots"] == 1000


def test_a_thousand_calls_are_in_the_tool_at_the_same_time(worker):
    calls = [worker.start("meet", parties=1000) for _ in range(1000)]
    ends = outcomes(worker, 1000)
    assert set(ends) == set(calls)
    assert all(frame.kind == REPLY and unpack(frame.body) == 1000 for frame in ends.values())


def test_initialize_has_the_loop_of_the_calls(worker):
    assert worker.call("same_loop") is True


def test_answers_come_as_they_are_ready(worker):
    first = worker.start("waits")
    assert worker.call("add", x=1) == 2
    cancel(worker, first)
    assert outcomes(worker, 1)[first].kind == ERROR
    assert stopped(worker) == (first, TASK)


def test_one_of_a_hundred_is_cancelled(worker):
    calls = [worker.start("waits", options={"session": f"s{i}"}) for i in range(100)]
    # A cancellation has a connection of its own, and could come before its call.
    # Once this is answered all of them wait.
    assert worker.call("add", x=1) == 2
    cancel(worker, calls[42])
    frame = worker.receive()
    assert frame.call_id == calls[42]
    error = tool_error(frame.head)
    assert error["code"] == "SP3002"
    assert any("step `task`" in note for note in error["notes"])
    assert stopped(worker) == (calls[42], TASK)
    assert worker.call("what_closed")[-1] == "s42"
    for call in calls[:42] + calls[43:]:
        cancel(worker, call)
    assert len(outcomes(worker, 99)) == 99
    assert {stopped(worker)[0] for _ in range(99)} == set(calls) - {calls[42]}


def test_a_cancellation_that_comes_before_its_call(worker):
    call = worker.next_call + 1
    cancel(worker, call)
    # The control connection is served in order, so it has been read by then.
    worker.control.send(33, 5)
    assert worker.control.receive().kind == 34
    assert worker.fail("waits")["code"] == "SP3002"
    assert stopped(worker)[0] == call


def test_one_that_swallows_its_cancellation_gets_another(worker):
    call = worker.start("swallows")
    assert worker.call("add", x=1) == 2
    cancel(worker, call, 400_000)
    assert outcomes(worker, 1)[call].kind == ERROR
    assert stopped(worker) == (call, AGAIN)


def test_one_that_blocks_the_loop_is_interrupted_and_the_others_are_late(worker):
    began = []
    worker.host = lambda request: began.append(request.name)
    blocking = worker.start("blocks")
    request = worker.next_request()
    worker.reply(request.number, None)
    others = [worker.start("add", x=i) for i in range(20)]
    cancel(worker, blocking, 4_000_000)
    ends = outcomes(worker, 21)
    assert ends[blocking].kind == ERROR
    assert [unpack(ends[call].body) for call in others] == [i + 1 for i in range(20)]
    call, step = stopped(worker)
    # The cancellation may reach the loop before the tool reaches the blocking line.
    assert (call, step in (TASK, EXCEPTION, INTERRUPT)) == (blocking, True)


def test_exceptions_belong_to_their_calls(worker):
    calls = {worker.start("fails", text=str(i)): i for i in range(50)}
    for call, frame in outcomes(worker, 50).items():
        error = tool_error(frame.head)
        assert (error["type"], error["message"]) == ("ValueError", str(calls[call]))
        assert error["file"].endswith("async_adapter.py")
        assert error["source"] == "raise ValueError(text)"


def test_a_tool_does_not_end_the_loop(worker):
    assert worker.fail("leaves")["type"] == "SystemExit"
    assert worker.call("stops_the_loop") == 7
    assert worker.call("add", x=1) == 2


def test_contexts_are_not_mixed_up(worker):
    calls = {}
    for i in range(1, 101):
        calls[worker.start("who", steps=5, options={"session": str(i)})] = str(i)
    for call, frame in outcomes(worker, 100).items():
        assert unpack(frame.body) == [calls[call]] * 10


def test_a_hundred_coroutines_ask_the_host_at_once(worker):
    calls = {worker.start("asks", x=i): i for i in range(100)}
    waiting = []
    while len(waiting) < 100:
        frame = worker.slot.receive()
        assert frame.kind == HOST_CALL
        waiting.append(Request(frame))
    assert len({request.number for request in waiting}) == 100
    for request in reversed(waiting):
        worker.reply(request.number, [request.body, request.call_id])
    for call, frame in outcomes(worker, 100).items():
        assert unpack(frame.body) == [[calls[call]], call]


def test_the_hosts_error_is_the_tools(worker):
    def refuse(_):
        raise HostFault("SP8001", "no such tool")

    worker.host = refuse
    assert "no such tool" in worker.fail("asks", x=1)["message"]


def test_a_wait_that_would_block_the_loop_says_what_to_do(worker):
    error = worker.fail("asks_and_blocks")
    assert error["type"] == "RuntimeError"
    assert "_async" in error["message"]


def test_other_tools_run_beside_the_loop(worker):
    assert worker.call("plain", x=1) == [2, False]
    assert worker.call("asks_on_a_thread", x=5) == ["echo", [5]]
    calls = {worker.start("plain", x=i): i for i in range(50)}
    for call, frame in outcomes(worker, 50).items():
        assert unpack(frame.body) == [calls[call] + 1, False]


def test_a_tool_beside_the_loop_is_stopped_and_what_waits_for_its_thread_too(worker):
    spinning = worker.start("spins")
    request = worker.next_request()
    worker.reply(request.number, None)
    waiting = [worker.start("plain", x=i) for i in range(3)]
    # The loop still serves calls.
    assert worker.call("add", x=1) == 2
    cancel(worker, waiting[1])
    frame = worker.receive()
    assert (frame.call_id, tool_error(frame.head)["code"]) == (waiting[1], "SP3002")
    cancel(worker, spinning)
    ends = outcomes(worker, 3)
    assert tool_error(ends[spinning].head)["code"] == "SP3002"
    assert [unpack(ends[waiting[i]].body)[0] for i in (0, 2)] == [1, 3]
    assert stopped(worker)[0] == spinning


@pytest.mark.parametrize("tool", ["count", "count_plainly"])
def test_a_stream_waits_for_its_consumer_and_holds_up_nobody(worker, tool):
    call = worker.begin(STREAM, tool, pack({"to": 1000, "size": 1000}))
    got, numbers = 0, []
    other = worker.start("add", x=1)
    answered = False
    while got < WINDOW or not answered:
        frame = worker.receive()
        if frame.call_id == other:
            answered = True
            continue
        assert frame.kind == CHUNK
        got += 24 + len(frame.body)
        numbers.append(unpack(frame.body)[0])
    # No more chunks arrive until the window grows; other calls continue.
    for i in range(20):
        assert worker.call("add", x=i) == i + 1
    worker.slot.send(MORE, call, field(1, 10_000_000))
    while (frame := worker.receive()).kind == CHUNK:
        numbers.append(unpack(frame.body)[0])
    assert (frame.kind, frame.call_id) == (END, call)
    assert numbers == list(range(1000))


@pytest.mark.parametrize("tool", ["count", "count_plainly"])
def test_a_stream_that_waits_can_be_cancelled(worker, tool):
    call = worker.begin(STREAM, tool, pack({"to": 100_000, "size": 1000}))
    got = 0
    while got < WINDOW:
        got += 24 + len(worker.receive().body)
    cancel(worker, call)
    frame = worker.receive()
    assert (frame.kind, tool_error(frame.head)["code"]) == (ERROR, "SP3002")
    assert stopped(worker)[0] == call
    if tool == "count":
        assert worker.call("what_closed")[-1] == "count"


def test_streams_in_parallel(worker):
    calls = [worker.begin(STREAM, "count", pack({"to": 200})) for _ in range(50)]
    got = {call: [] for call in calls}
    left = set(calls)
    while left:
        frame = worker.receive()
        if frame.kind == END:
            left.remove(frame.call_id)
        else:
            got[frame.call_id].append(unpack(frame.body)[0])
    assert all(numbers == list(range(200)) for numbers in got.values())


def test_a_chunk_that_cannot_be_sent_ends_the_stream(worker):
    call = worker.begin(STREAM, "odd_chunk", pack({}))
    assert worker.receive().kind == CHUNK
    frame = worker.receive()
    assert (frame.call_id, tool_error(frame.head)["code"]) == (call, "SP2007")


def test_batches_keep_their_order(worker):
    bodies = [pack({"x": i}) for i in range(100)] + [pack({"x": "no"})]
    packed = b"".join(struct.pack("<I", len(body)) + body for body in bodies)
    calls = [worker.begin(MANY, "add", packed) for _ in range(5)]
    got = {call: [] for call in calls}
    left = set(calls)
    while left:
        frame = worker.receive()
        assert frame.kind == MANY_REPLY
        at = 0
        while at < len(frame.body):
            status, size = struct.unpack_from("<BI", frame.body, at)
            data = frame.body[at + 5 : at + 5 + size]
            got[frame.call_id].append(ToolError(tool_error(data)) if status else unpack(data))
            at += 5 + size
        if frame.flags & 1:
            left.remove(frame.call_id)
    for results in got.values():
        assert results[:100] == list(range(1, 101))
        assert results[100].code == "SP2003"


def test_it_says_what_is_wrong_with_a_call(worker):
    assert worker.fail("nobody")["code"] == "SP2001"
    assert worker.fail("count")["code"] == "SP2009"
    assert worker.fail("add", y=1)["code"].startswith("SP20")
    assert worker.call("add", x=1) == 2


def test_a_large_result_does_not_mix_with_others(worker):
    calls = [worker.begin(STREAM, "count", pack({"to": 3, "size": 900_000})) for _ in range(5)]
    for call in calls:
        worker.slot.send(MORE, call, field(1, 1 << 40))
    others = {worker.start("add", x=i): i for i in range(100)}
    ends = outcomes(worker, 105)
    assert all(unpack(ends[call].body) == x + 1 for call, x in others.items())
    assert all(ends[call].kind == END for call in calls)


def test_a_small_answer_does_not_wait_for_all_large_ones():
    env = {"SNAKEPIT_WORKER_CONCURRENCY": "10", "SNAKEPIT_WORKER_EVENT_LOOP": "asyncio"}
    with Worker(ADAPTER, env=env, max_payload=64 << 20) as own:
        large = [own.start("blob", size=20 << 20) for _ in range(6)]
        # The first answer has begun, and the rest of it is not read yet.
        assert own.slot.sock.recv(1, socket.MSG_PEEK)
        small = own.start("add", x=1)
        ends = [own.receive() for _ in range(7)]
        order = [frame.call_id for frame in ends]
        assert sorted(order) == sorted([*large, small])
        assert order.index(small) <= 2
        assert all(len(frame.body) == (20 << 20) + 5 for frame in ends if frame.call_id != small)


def test_shutdown_sends_what_is_left():
    env = {"SNAKEPIT_WORKER_CONCURRENCY": "10", "SNAKEPIT_WORKER_EVENT_LOOP": "asyncio"}
    with Worker(ADAPTER, env=env, max_payload=64 << 20) as own:
        large = [own.start("blob", size=20 << 20) for _ in range(3)]
        own.slot.send(5)
        assert sorted(own.receive().call_id for _ in large) == large
        assert own.process.wait(60) == 0


def test_shutdown_waits_for_what_runs():
    with Worker(ADAPTER, env={"SNAKEPIT_WORKER_CONCURRENCY": "10"}) as own:
        first = own.start("meet", parties=2)
        own.slot.send(5)
        second = own.start("meet", parties=2)
        ends = outcomes(own, 2)
        assert set(ends) == {first, second}
        assert own.process.wait(60) == 0


def test_a_loop_that_is_not_there_is_an_error(tmp_path):
    (tmp_path / "uvloop.py").write_text("raise ImportError('not here')")
    env = {"SNAKEPIT_WORKER_CONCURRENCY": "10", "SNAKEPIT_WORKER_EVENT_LOOP": "uvloop"}
    adapter = tmp_path / "a.py"
    adapter.write_text("from snakepit_bridge import tool\n@tool\ndef f(): pass\n")
    package = str(Path(__file__).parent.parent)
    env["PYTHONPATH"] = f"{tmp_path}:{package}"
    with pytest.raises(ToolError, match="uvloop cannot be imported"), Worker(str(adapter), env=env):
        pass
