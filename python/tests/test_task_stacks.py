"""Stacks of the coroutines that tasks wait in."""

import asyncio
import sys

import pytest

from snakepit_bridge._serve import task_stacks


async def inner():
    await asyncio.sleep(3600)  # the tool sleeps


async def outer():
    await inner()


async def items():
    yield 1
    await inner()


async def iterates():
    async for _ in items():
        pass


async def gathers():
    await asyncio.gather(outer(), asyncio.sleep(0), outer())


async def limits():
    await asyncio.wait_for(outer(), 3600)


async def waits():
    await asyncio.wait([asyncio.ensure_future(outer())])


class Awaitable:
    def __await__(self):
        return (yield from inner().__await__())


async def awaits():
    await Awaitable()


async def groups():
    async with asyncio.TaskGroup() as group:
        group.create_task(outer())


async def after_a_task():
    await asyncio.ensure_future(outer())


class Server:
    def __init__(self, task):
        self.task = task

    def tasks(self, most):
        return [(7, self.task)]


def chain(tool, monkeypatch):
    """Return the functions that a call waits in, the innermost first, over all tasks."""

    async def look():
        task = asyncio.ensure_future(tool())
        monkeypatch.setattr(task_stacks, "_servers", [Server(task)])
        for _ in range(10):
            await asyncio.sleep(0)
        found = task_stacks.look()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return found

    found = asyncio.run(look())
    assert {call for call, _, _, _ in found} == {7}
    assert all(line > 0 for _, _, _, frames in found for _, line, _ in frames)
    names = [[name.rsplit(".", 1)[-1] for _, _, name in frames] for _, _, _, frames in found]
    own = ("inner", "outer", "items", tool.__name__, "__await__")
    return [[name for name in one if name in own] for one in names]


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (outer, [["inner", "outer"]]),
        (iterates, [["inner", "items", "iterates"]]),
        (awaits, [["inner", "__await__", "awaits"]]),
        (gathers, [["gathers"], ["inner", "outer"], ["inner", "outer"]]),
        (waits, [["waits"], ["inner", "outer"]]),
        (after_a_task, [["after_a_task"], ["inner", "outer"]]),
    ],
)
def test_a_chain_is_followed(tool, expected, monkeypatch):
    assert chain(tool, monkeypatch) == expected


def test_a_time_limit_is_followed(monkeypatch):
    whole = [name for one in reversed(chain(limits, monkeypatch)) for name in one]
    assert whole == ["inner", "outer", "limits"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there are no task groups")
def test_a_group_is_followed(monkeypatch):
    assert chain(groups, monkeypatch) == [["groups"], ["inner", "outer"]]


def test_a_coroutine_that_runs_is_on_the_stack_of_its_thread(monkeypatch):
    found = []

    async def runs():
        found.append(task_stacks.look())

    async def main():
        task = asyncio.ensure_future(runs())
        monkeypatch.setattr(task_stacks, "_servers", [Server(task)])
        await task

    asyncio.run(main())
    assert found == [[]]


def test_twins_below_the_loop_of_a_thread_are_counted(monkeypatch):
    class State:
        task = None

    async def look():
        state = State()
        state.task = asyncio.ensure_future(gathers())
        monkeypatch.setattr(task_stacks.aio, "_states", {5: state})
        for _ in range(10):
            await asyncio.sleep(0)
        found = task_stacks.look()
        state.task.cancel()
        await asyncio.gather(state.task, return_exceptions=True)
        return found

    [(call, thread, _, frames)] = asyncio.run(look())
    assert (call, thread) == (0, 5)
    names = [name.rsplit(".", 1)[-1] for _, _, name in frames]
    assert names[-3:] == ["inner", "outer ×2", "gathers"]
