"""Requests of tools to the host, on the connection of their slot."""

from pathlib import Path

import pytest
from minihost import CALL, CANCEL, LATER, SHUTDOWN, HostFault, ToolError, Worker

pytestmark = pytest.mark.native

ADAPTER = str(Path(__file__).parent / "requesting_adapter.py")
OVER = "SP8009"


@pytest.fixture(scope="module")
def shared():
    with Worker(ADAPTER) as running:
        yield running


@pytest.fixture
def worker(shared):
    """Return the worker, whose host answers with the request."""
    shared.host = lambda request: [request.op, request.name, request.body]
    shared.requests.clear()
    shared.cancelled.clear()
    return shared


def test_a_tool_asks_and_gets_its_answer(worker):
    assert worker.call("once", x={"k": [1, None]}) == [40, "n", {"k": [1, None]}]
    (request,) = worker.requests
    assert (request.call_id, request.timeout_us) == (worker.next_call, 0)
    assert request.number != 0
    assert worker.call("in_turn", n=200) == sum(range(200))
    numbers = [request.number for request in worker.requests]
    assert len(set(numbers)) == 201


def test_a_host_calls_back_while_a_tool_asks_for_another(worker):
    # The host may take as long as it likes: a nested call runs on another worker meanwhile.
    with Worker(ADAPTER) as other:
        worker.host = lambda request: ["via", other.call("once", x=request.body)[2]]
        other.host = lambda request: [0, "", request.body + 1]
        assert worker.call("once", x=1) == ["via", 2]


def test_many_threads_ask_at_once(worker):
    assert worker.call("threads", n=8, each=25) is True
    assert len(worker.requests) == 9 * 25


def test_answers_may_come_in_any_order(worker):
    waiting = []

    def host(request):
        waiting.append(request)
        if len(waiting) == 9:
            for request in reversed(waiting):
                worker.reply(request.number, [0, "", request.body])
            waiting.clear()
        return LATER

    worker.host = host
    assert worker.call("threads", n=8, each=5) is True


def test_async_tools_await_many_answers(worker):
    assert worker.call("gather", n=50) == list(range(50))
    assert worker.call("gather", n=1) == [0]


def test_requests_beyond_the_hosts_limit_wait_their_turn(worker):
    waiting, most = [], 0

    def host(request):
        nonlocal most
        waiting.append(request)
        most = max(most, len(waiting))
        if len(waiting) == 64 or len(worker.requests) == 300:
            for request in waiting:
                worker.reply(request.number, [0, "", request.body])
            waiting.clear()
        return LATER

    worker.host = host
    assert worker.call("gather", n=300) == list(range(300))
    assert most == 64


def test_threads_and_the_event_loop_share_the_connection(worker):
    for _ in range(5):
        assert worker.call("mixed", n=20) is True


def test_streams_ask_between_their_chunks(worker):
    assert list(worker.stream("stream", n=5)) == list(range(5))
    assert list(worker.stream("astream", n=5)) == list(range(5))


def test_items_of_a_batch_ask(worker):
    got = worker.many("once", [{"x": i} for i in range(20)])
    assert [item[2] for item in got] == list(range(20))
    assert [item[2] for item in worker.many("once", [{"x": bytes(1000)}] * 200)] == [
        bytes(1000)
    ] * 200


def test_adapter_classes_ask_through_their_session_context():
    with Worker(ADAPTER + ":Adapter") as worker:
        assert [worker.call("method", x=i) for i in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("tool", ["failing", "afailing"])
def test_errors_of_the_host_are_raised(worker, tool):
    def host(request):
        raise HostFault("SP7004", "no such thing", "make one", "Unknown")

    worker.host = host
    got = worker.call(tool)
    assert got[1:] == ["no such thing", "SP7004", "make one", "Unknown"]


@pytest.mark.parametrize("tool", ["failing", "afailing"])
def test_time_runs_out_on_the_worker_too(worker, tool):
    worker.host = lambda request: LATER
    got = worker.call(tool, timeout=0.02)
    assert (got[2], worker.requests[0].timeout_us) == ("SP4003", 20_000)
    assert worker.cancelled == [worker.requests[0].number]
    # The late answer has no effect.
    worker.reply(worker.requests[0].number, "late")
    worker.host = lambda request: request.body
    assert worker.call("once", x=1) == 1


@pytest.mark.parametrize("tool", ["failing", "afailing"])
def test_a_deadline_has_one_code_whoever_sees_it_pass_first(worker, tool):
    def host(request):
        raise HostFault("SP8007", "host tool `x` did not end in time", "make it faster", "")

    worker.host = host
    got = worker.call(tool)
    assert got[1:3] == ["host tool `x` did not end in time", "SP4003"]


@pytest.mark.parametrize("tool", ["failing", "afailing"])
def test_the_deadline_of_the_call_holds(worker, tool):
    call = worker.start(tool, options={"timeout_us": 30_000})
    worker.host = lambda request: LATER
    assert worker.result(call)[2] == "SP4003"


def test_a_task_that_gives_up_tells_the_host(worker):
    worker.host = lambda request: LATER if request.body == "slow" else [0, 0, request.body]
    assert worker.call("give_up") == "next"
    assert worker.cancelled == [worker.requests[0].number]


@pytest.mark.parametrize("tool", ["cancelled", "acancelled"])
def test_cancelling_the_call_ends_the_wait(worker, tool):
    call = worker.start(tool)
    request = worker.next_request()
    worker.control.send(CANCEL, call)
    assert worker.result(call) == "cancelled"
    assert worker.cancelled == [request.number]
    assert worker.call("once", x=1)[2] == 1


def test_a_thread_that_waits_when_the_call_ends_is_told(worker):
    worker.host = lambda request: LATER
    assert worker.call("leave_behind") == "over"
    got = worker.call("what_became")
    assert got[2] == OVER and "is over" in got[1]
    assert worker.call("use_after")[2] == OVER
    worker.host = lambda request: [0, 0, request.body]
    assert worker.call("once", x=1)[2] == 1


def test_event_loops_of_threads_are_not_kept(worker):
    # The loops of other tools of this worker may be among those that are left.
    answers, left = worker.call("own_loops", n=5)
    assert answers == list(range(5))
    assert left <= 1


def test_a_request_that_is_awaited_too_late(worker):
    worker.host = lambda request: LATER
    assert worker.call("not_awaited") == "over"
    got = worker.call("awaited_later")
    assert (got[1].startswith("the call is over"), got[2]) == (True, OVER)


def test_a_forked_child_cannot_ask(worker):
    text, answer = worker.call("in_fork")
    assert text.startswith("RuntimeError: a forked child cannot send requests")
    assert answer == "parent"


def test_large_requests_and_answers(worker):
    with Worker(ADAPTER, max_payload=8 << 20) as large:
        for size in (100, 65_535, 65_536, 3_000_000):
            assert large.call("size_of", n=size) == [size, 5]
    got = worker.call("too_large", n=2 << 20)
    assert got[2] == "SP2005" and "request of" in got[1]


def test_an_answer_over_the_limit_is_an_error(worker):
    def host(request):
        worker.slot.send(6, request.number, b"", bytes(2 << 20))
        return LATER

    worker.host = host
    got = worker.call("failing")
    assert got[2] == "SP2005" and "answer" in got[1]


def test_a_call_that_comes_while_a_tool_waits_is_served_afterwards(worker):
    first = worker.start("once", x=1)
    request = worker.next_request()
    second = worker.start("once", x=b"x" * 70_000)
    worker.reply(request.number, "one")
    assert worker.result(first) == "one"
    assert worker.result(second)[2] == b"x" * 70_000


def test_an_oversized_call_that_comes_while_a_tool_waits_is_refused_afterwards(worker):
    first = worker.start("once", x=1)
    request = worker.next_request()
    second = worker.begin(CALL, "once", bytes(2 << 20))
    worker.reply(request.number, "one")
    assert worker.result(first) == "one"
    with pytest.raises(ToolError) as error:
        worker.result(second)
    assert error.value.code == "SP2005"


def test_shutdown_while_a_tool_waits():
    with Worker(ADAPTER) as worker:
        call = worker.start("once", x=1)
        request = worker.next_request()
        worker.slot.send(SHUTDOWN)
        worker.reply(request.number, "last")
        assert worker.result(call) == "last"
        assert worker.process.wait(60) == 0


def test_a_worker_whose_host_goes_while_a_tool_waits_ends():
    with Worker(ADAPTER) as worker:
        worker.start("once", x=1)
        worker.next_request()
        worker.slot.sock.close()
        assert worker.process.wait(60) != 0


def test_garbage_instead_of_an_answer_is_an_error(worker):
    def host(request):
        worker.slot.send(6, request.number, b"", b"\xc1")
        return LATER

    worker.host = host
    assert worker.call("failing")[2] == "SP2006"

    def broken(request):
        worker.slot.send(6, request.number, b"\xff\xff", b"", flags=2)
        return LATER

    worker.host = broken
    assert worker.call("failing")[2] == "SP5007"
