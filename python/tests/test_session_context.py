"""The context of a call against a host in memory."""

import asyncio
import pickle
import threading

import pytest
from host_model import FakeContext, Host

from snakepit_bridge import Cancelled, Context, HostError, SessionContext
from snakepit_bridge._host import ops
from snakepit_bridge._host.errors import (
    CallOverError,
    StaleVersionError,
    UnknownProgramError,
    UnknownToolError,
    UnknownVariableError,
    VariableExistsError,
)


@pytest.fixture
def host():
    return Host()


@pytest.fixture
def ctx(host):
    return SessionContext(FakeContext(host))


def test_the_context_knows_its_call(ctx):
    assert Context is SessionContext
    assert (ctx.call_id, ctx.session_id, ctx.worker_id) == (7, "s1", "worker-1")
    assert 0 < ctx.remaining() <= 60 and ctx.deadline > 0
    assert ctx.cancelled is False
    ctx.raise_if_cancelled()
    ctx._native.cancelled = True
    with pytest.raises(Cancelled):
        ctx.raise_if_cancelled()
    assert repr(ctx) == "<SessionContext call_id=7 session_id='s1' worker_id='worker-1'>"


def test_what_the_original_had_is_there(ctx):
    assert ctx.stub is None and ctx.request_metadata == {}
    with ctx as same:
        assert same is ctx
    ctx.cleanup()
    with pytest.raises(AttributeError, match="nonsense"):
        ctx.nonsense
    assert not hasattr(ctx, "other")


def test_making_a_context_asks_the_host_nothing(host, ctx):
    ctx.variables, ctx.host_tools, repr(ctx.host_tools), repr(ctx.variables)
    assert host.requests == []


def test_threads_that_come_first_share_the_parts(host):
    for _ in range(50):
        ctx = SessionContext(FakeContext(host))
        gate, found = threading.Barrier(4), []

        def look(ctx=ctx, gate=gate, found=found):
            gate.wait()
            found.append((ctx.variables, ctx.host_tools))

        run_all([look] * 4)
        assert len({(id(a), id(b)) for a, b in found}) == 1


def run_all(functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_programs(ctx, host):
    ctx.put_program("p", {"steps": [1, 2]})
    ctx.put_program("g", "shared", global_=True)
    assert ctx.get_program("p") == {"steps": [1, 2]}
    assert ctx.list_programs() == ["p"]
    assert ctx.list_programs(global_=True) == ["g"]
    other = SessionContext(FakeContext(host, "s2"))
    assert other.get_program("g", global_=True) == "shared"
    with pytest.raises(UnknownProgramError) as caught:
        other.get_program("p")
    assert isinstance(caught.value, KeyError) and caught.value.code == "SP7201"
    assert ctx.delete_program("p") is True
    assert ctx.delete_program("p") is False


def test_the_session(ctx, host):
    assert ctx.session_metadata == {}
    ctx.update_metadata({"a": "1"}, b="2")
    assert ctx.session_metadata == {"a": "1", "b": "2"}
    ctx.update_metadata({"replace": "yes"}, replace=True)
    assert ctx.session_metadata == {"replace": "yes"}
    host.requests.clear()
    assert ctx.session_metadata == {"replace": "yes"}
    assert host.requests == []
    assert ctx.session_info()["id"] == "s1"


def test_programs_and_session_from_a_coroutine(ctx):
    async def main():
        await ctx.put_program_async("p", 1)
        assert await ctx.get_program_async("p") == 1
        assert await ctx.list_programs_async() == ["p"]
        await ctx.delete_program_async("p")
        await ctx.update_metadata_async(a="1")
        assert (await ctx.session_info_async())["metadata"] == {"a": "1"}

    asyncio.run(main())


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("SP7101", UnknownVariableError),
        ("SP7102", VariableExistsError),
        ("SP7106", StaleVersionError),
        ("SP7201", UnknownProgramError),
        ("SP8001", UnknownToolError),
        ("SP8009", CallOverError),
        ("SP9999", HostError),
        ("", HostError),
    ],
)
def test_the_class_of_an_error_follows_its_code(code, kind):
    error = HostError("it's refused", code, "do this", "Refused")
    assert type(error) is kind and isinstance(error, RuntimeError)
    assert str(error) == "it's refused"
    assert (error.code, error.help, error.type_name) == (code, "do this", "Refused")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind and (str(back), back.help) == ("it's refused", "do this")
    named = HostError("m", code=code, help="h", type_name="t")
    assert type(named) is kind and named.help == "h"


def test_after_the_call_every_request_fails(ctx):
    ctx._native.over = True
    for use in (
        lambda: ctx["x"],
        lambda: ctx.host_tools["x"],
        lambda: ctx.call_host_tool("x"),
        lambda: ctx.watch_variables(),
        lambda: ctx.session_info(),
    ):
        with pytest.raises(CallOverError):
            use()


def test_cancellation_reaches_whoever_asks(ctx):
    ctx._native.cancelled = True
    with pytest.raises(Cancelled):
        ctx["x"]

    async def main():
        with pytest.raises(Cancelled):
            await ctx.get_variable_async("x", default=1)

    asyncio.run(main())


def test_an_exchange_survives_the_cancellation_of_its_task(host, ctx):
    ctx["n"] = 1
    began, go = threading.Event(), threading.Event()

    def before(op, name, body):
        if op == ops.VARIABLE_SET:
            began.set()
            assert go.wait(60)

    host.before = before

    async def main():
        task = asyncio.ensure_future(ctx.set_variable_async("n", 2))
        await asyncio.to_thread(began.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        host.before = lambda *_: None
        go.set()

    ctx.refresh("n")
    asyncio.run(main())
    # The request was abandoned, but the host made the change: the cache must not serve the old
    # value.
    assert ctx["n"] == 2
