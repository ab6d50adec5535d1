"""Descriptions of exceptions, and the event loop of the tools."""

import os
import sys

import pytest

from snakepit_bridge import Cancelled
from snakepit_bridge._load.tool import Sources, Tool
from snakepit_bridge._serve import aio, errors
from snakepit_bridge.adapter import ToolOptions


def caught(function, *args):
    try:
        function(*args)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def describe(function, *args):
    return errors.describe_exception(caught(function, *args))


def raise_it(error, cause=None):
    if cause is not None:
        raise error from cause
    raise error


def test_type_module_message_place_and_traceback():
    got = describe(raise_it, ValueError("bad"))
    assert (got["code"], got["type"], got["module"], got["message"]) == (
        "SP3001",
        "ValueError",
        "builtins",
        "bad",
    )
    assert got["file"].endswith("test_errors.py")
    assert got["source"] == "raise error"
    assert got["traceback"].startswith("Traceback (most recent call last):\n")
    assert got["traceback"].endswith("ValueError: bad\n")


def test_an_error_of_the_host_that_a_tool_lets_pass_keeps_its_code():
    from snakepit_bridge import HostError

    got = describe(raise_it, HostError("no luck", code="SP8005", help="try again"))
    assert (got["code"], got["help"]) == ("SP8005", "try again")
    assert describe(raise_it, HostError("no code"))["code"] == "SP3001"
    odd = describe(raise_it, HostError("odd", code="teapot"))
    assert odd["code"] == "SP3001"
    wrapped = describe(raise_it, ValueError("mine"), HostError("x", code="SP8005"))
    assert (wrapped["code"], wrapped["cause"]["code"]) == ("SP3001", "SP8005")


def test_the_help_for_a_missing_module_depends_on_what_is_there():
    def wants(name):
        __import__(name)

    assert "install `nowhere_to_be`" in describe(wants, "nowhere_to_be.found")["help"]
    for name in ["snakepit_bridge.nowhere", "json.nowhere.deeper"]:
        help = describe(wants, name)["help"]
        assert "install" not in help and name.partition(".nowhere")[0] in help, help


def test_own_frames_are_hidden_and_library_frames_are_not_the_users():
    import json

    def inner():
        json.loads("{")

    async def wait():
        inner()

    got = describe(aio.run, wait())
    aio.close()
    assert "snakepit_bridge" not in got["traceback"]
    assert got["source"] == 'json.loads("{")'


def test_causes_and_contexts_are_followed_and_bounded():
    error = ValueError("0")
    for index in range(1, 20):
        error = caught(raise_it, ValueError(str(index)), error)
    got = errors.describe_exception(error)
    depth = 0
    while got["cause"]:
        got, depth = got["cause"], depth + 1
    assert depth == 8

    def context():
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second")  # noqa: B904

    assert describe(context)["cause"]["type"] == "KeyError"

    def hidden():
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second") from None

    assert describe(hidden)["cause"] is None


def test_a_cycle_of_causes_ends():
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    got = describe(raise_it, one)
    assert got["cause"]["message"] == "two"
    assert got["cause"]["cause"] is None


def test_of_an_endless_text_little_is_looked_at_for_secrets(monkeypatch):
    seen = []
    redact = errors._redact.redact_secrets
    monkeypatch.setattr(
        errors._redact, "redact_secrets", lambda text: seen.append(len(text)) or redact(text)
    )
    error = ValueError("x" * 10_000_000)
    error.__notes__ = [f"token='{'n' * 1000}'"] * 20_000
    got = describe(raise_it, error)
    assert sum(seen) < 1_000_000
    assert len(got["traceback"]) <= 70_000 and "nnnn" not in got["traceback"][-60_000:]


@pytest.mark.parametrize("text", ["x" * 100_000, "short\n" * 30_000], ids=["one line", "many"])
def test_a_long_text_leaves_what_was_raised(text):
    trace = describe(raise_it, ValueError(text))["traceback"]
    assert len(trace) <= 64 * 1024
    assert "ValueError: " in trace and "raise error" in trace
    assert trace.count("characters left out") == 1 and "26 characters" not in trace


def test_notes_travel():
    error = ValueError("x")
    error.__notes__ = ["first", 2]
    assert describe(raise_it, error)["notes"] == ["first", "2"]
    error.__notes__ = 3
    assert describe(raise_it, error)["notes"] == []


@pytest.mark.parametrize("raised", [RuntimeError("no"), KeyboardInterrupt()])
def test_a_broken_str_becomes_text(raised):
    class Broken(Exception):
        def __str__(self):
            raise raised

    got = describe(raise_it, Broken())
    assert type(raised).__name__ in got["message"]
    assert got["type"].endswith("Broken")


def test_texts_are_bounded_and_valid_utf_8():
    got = describe(raise_it, ValueError("x" * 1_000_000 + "\ud800"))
    assert len(got["message"]) < 20_000
    assert len(got["traceback"]) < 70_000
    for text in (got["message"], got["traceback"]):
        text.encode()
    assert "\\ud800" in got["message"]


def test_deep_recursion_is_described():
    def forever():
        forever()

    got = describe(forever)
    assert got["type"] == "RecursionError"
    assert "more times" in got["traceback"]


def test_an_exception_without_frames_points_at_the_tool():
    def f(x: int): ...

    tool = Tool(f, ToolOptions(), None, Sources())
    got = errors.describe_exception(TypeError("x"), tool)
    assert (got["file"], got["line"], got["source"]) == (tool.file, tool.line, "def f(x: int)")


def test_cancelled_has_its_own_code():
    assert describe(raise_it, Cancelled())["code"] == "SP3002"
    assert not issubclass(Cancelled, Exception)


def test_exception_groups_show_their_members():
    if sys.version_info < (3, 11):
        pytest.skip("exception groups are new in Python 3.11")
    group = ExceptionGroup(  # noqa: F821
        "several", [ValueError("one"), KeyError("two")]
    )
    got = describe(raise_it, group)
    assert "ValueError: one" in got["traceback"]
    assert got["message"] == "several (2 sub-exceptions)"


def test_the_loop_runs_waits_and_closes():
    events = []

    async def items():
        try:
            yield 1
            yield 2
        finally:
            events.append("closed")

    async def leave_a_task():
        import asyncio

        async def forever():
            try:
                await asyncio.Event().wait()
            finally:
                events.append("task ended")

        events.append(asyncio.get_running_loop().create_task(forever()))
        await asyncio.sleep(0)

    generator = items()
    assert aio.anext(generator) == 1
    aio.aclose(generator)
    with pytest.raises(StopAsyncIteration):
        aio.anext(generator)
    aio.run(leave_a_task())
    assert aio.run(3) == 3
    aio.close()
    aio.close()
    assert (events[0], events[2]) == ("closed", "task ended")


def test_the_help_for_a_missing_variable_says_how_to_pass_it(monkeypatch):
    monkeypatch.delenv("NO_SUCH_SETTING", raising=False)

    def asks():
        return os.environ["NO_SUCH_SETTING"]

    assert 'inherit_env = ["NO_SUCH_SETTING"]' in describe(asks)["help"]
    assert (
        'inherit_env = ["NO_SUCH_SETTING"]'
        in describe(lambda: os.environb[b"NO_SUCH_SETTING"])["help"]
    )
    assert describe(lambda: {}["NO_SUCH_SETTING"])["help"] == ""


def test_an_error_that_is_raised_from_another_has_its_help(monkeypatch):
    monkeypatch.delenv("NO_SUCH_SETTING", raising=False)

    def wraps():
        try:
            return os.environ["NO_SUCH_SETTING"]
        except KeyError as error:
            raise RuntimeError("the settings are incomplete") from error

    def falls_back():
        try:
            return os.environ["NO_SUCH_SETTING"]
        except KeyError:
            return 1 / 0

    assert 'inherit_env = ["NO_SUCH_SETTING"]' in describe(wraps)["help"]
    assert describe(falls_back)["help"] == ""
