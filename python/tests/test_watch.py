"""Watching the variables of a session."""

import asyncio
import threading

import pytest
from host_model import FakeContext, Host
from test_session_context import run_all

from snakepit_bridge import Cancelled, Change, SessionContext
from snakepit_bridge._host import ops


@pytest.fixture
def host():
    return Host()


@pytest.fixture
def ctx(host):
    return SessionContext(FakeContext(host))


@pytest.fixture
def other(host):
    return SessionContext(FakeContext(host, worker_id="worker-2"))


def seen(changes):
    return [(c.seq, c.kind, c.name, c.value, c.version, c.origin) for c in changes]


def test_a_watch_sees_the_changes_after_it_was_made(ctx, other):
    ctx["n"] = 1
    watch = ctx.watch_variables()
    assert watch.position == 1 and watch.poll() == []
    other["n"] = 2
    ctx["m"] = "x"
    del other["n"]
    assert seen(watch.poll()) == [
        (2, "set", "n", 2, 2, "worker-2"),
        (3, "registered", "m", "x", 1, "worker-1"),
        (4, "deleted", "n", None, 2, "worker-2"),
    ]
    assert watch.poll() == [] and watch.position == 4


def test_a_watch_of_some_names(ctx, other):
    ctx["a"], ctx["b"] = 1, 1
    watch = ctx.watch_variables(["b"])
    other["a"], other["b"] = 2, 3
    change = next(watch)
    assert isinstance(change, Change) and (change.name, change.value) == ("b", 3)
    assert repr(change) == "<Change 4 set 'b' version=2>"
    assert watch.poll() == []


def test_a_watch_from_an_earlier_change_on(ctx):
    ctx["a"], ctx["b"] = 1, 2
    assert [c.name for c in ctx.watch_variables(after=0).poll()] == ["a", "b"]
    assert [c.name for c in ctx.watch_variables(after=1).poll()] == ["b"]


def test_every_change_comes_once_and_in_order(ctx, other, host):
    watch = ctx.watch_variables()
    got = []

    def follow():
        for change in watch:
            got.append((change.seq, change.value))
            if change.value == 1000:
                return

    def write():
        other["n"] = 0
        for number in range(1, 1001):
            other["n"] = number

    run_all([follow, write])
    assert got == [(number + 1, number) for number in range(1001)]


def test_more_changes_than_fit_in_a_reply(ctx, other, monkeypatch):
    monkeypatch.setattr("snakepit_bridge._session.watch.MAX_CHANGES", 3)
    watch = ctx.watch_variables()
    for number in range(8):
        other["n"] = number
    got = [next(watch).value for _ in range(8)]
    assert got == list(range(8)) and watch.poll() == []


def test_poll_gives_what_iteration_left(ctx, other):
    watch = ctx.watch_variables()
    for number in range(4):
        other["n"] = number
    assert next(watch).value == 0
    assert [change.value for change in watch.poll()] == [1, 2, 3]


def test_a_gap_is_told_and_empties_the_cache(ctx, other, host):
    ctx["n"] = 1
    assert ctx["n"] == 1
    watch = ctx.watch_variables()
    other["n"] = 2
    host.forget_changes("s1")
    other["m"] = 3
    assert [(c.kind, c.name) for c in watch.poll()] == [("lagged", ""), ("registered", "m")]
    assert ctx["n"] == 2
    assert watch.poll() == []


def test_a_change_of_others_leaves_the_cache(ctx, other, host):
    ctx["n"], ctx["m"] = 1, 1
    ctx.get_variables(["n", "m"])
    watch = ctx.watch_variables()
    other["n"] = 2
    ctx["m"] = 5
    watch.poll()
    host.requests.clear()
    assert (ctx["m"], host.requests) == (5, [])
    assert (ctx["n"], host.requests) == (2, [ops.VARIABLE_GET])


def test_stop_ends_the_iteration_of_another_thread(ctx, host):
    watch = ctx.watch_variables()
    waiting = threading.Event()
    host.before = lambda op, name, body: waiting.set()
    got = []
    thread = threading.Thread(target=lambda: got.extend(watch))
    thread.start()
    assert waiting.wait(60)
    ctx.cleanup()
    thread.join(60)
    assert not thread.is_alive() and got == []
    with ctx.watch_variables() as second:
        pass
    assert list(second) == []


def test_the_end_of_the_call_ends_a_watch_and_its_cancellation_is_raised(ctx, host):
    watch = ctx.watch_variables()
    ctx._native.over = True
    assert list(watch) == []
    ctx._native.over, ctx._native.cancelled = False, True
    with pytest.raises(Cancelled):
        next(watch)
    watch.stop()
    assert list(watch) == []


def test_watching_from_a_coroutine(ctx, other):
    async def main():
        watch = await ctx.watch_variables_async(["n"])

        def write():
            for number in range(100):
                other["n"] = number

        writing = asyncio.ensure_future(asyncio.to_thread(write))
        got = []
        async for change in watch:
            got.append(change.value)
            if len(got) == 100:
                watch.stop()
        await writing
        assert got == list(range(100))
        late = await ctx.watch_variables_async(after=99)
        assert [c.value for c in await late.poll_async(1.0)] == [99]
        ctx._native.over = True
        assert [c async for c in late] == []

    asyncio.run(main())
