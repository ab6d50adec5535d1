"""Health checks: which methods count, and what the host learns of them."""

from pathlib import Path

import pytest
from minihost import Worker

from snakepit_bridge._load import loader

ADAPTER = str(Path(__file__).parent / "health_adapter.py")


def checks(reference):
    return [tool for tool in loader.load(reference).tools if tool.health_check]


def test_a_method_health_is_a_check_and_no_tool(source):
    path = source(
        """
        from snakepit_bridge import BaseAdapter, tool
        class Model(BaseAdapter):
            @tool
            def f(self): pass
            def health(self): pass
        class Other(Model):
            health = None
        class Marked(BaseAdapter):
            @tool
            def health(self): pass
        class Last(BaseAdapter):
            @tool(name="Last.health")
            def f(self): pass
            async def health(self, limit=1): pass
        """
    )
    (last,) = checks(path)
    assert (last.name, last.is_async, last.params) == ("Last.health-2", True, [])
    assert (last.file, last.line) == ("adapter_under_test.py", 15)
    assert last.signature == "async def health(limit=1)"
    (model,) = checks(path + ":Model")
    assert (model.name, model.is_async, model.line) == ("Model.health", False, 6)
    assert checks(path + ":Other") == [] == checks(path + ":Marked")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("def health(self, patient): pass", "requires arguments"),
        ("def health(self, ctx): pass", "requires arguments"),
        ("def health(self): yield", "yields a stream"),
    ],
)
def test_what_cannot_be_called_so_is_told_and_left_alone(source, capsys, code, why):
    path = source(
        f"""
        from snakepit_bridge import BaseAdapter, tool
        class Ward(BaseAdapter):
            @tool
            def f(self): pass
            {code}
        """
    )
    assert checks(path) == []
    said = capsys.readouterr().err
    assert f"`Ward.health` (adapter_under_test.py:6) {why}" in said, said


def test_an_attribute_that_is_no_method_is_no_check(source):
    path = source(
        """
        from snakepit_bridge import BaseAdapter, tool
        class Ward(BaseAdapter):
            health = "good"
            @tool
            def f(self): pass
            def __getattr__(self, name): return lambda: None
        class Empty(Ward):
            health = None
        """
    )
    assert checks(path + ":Ward") == [] == checks(path + ":Empty")


@pytest.mark.native
def test_the_host_hears_of_checks_and_calls_them():
    with Worker(ADAPTER) as worker:
        listed = {tool["name"]: tool for tool in worker.described["tools"]}
        found = sorted(name for name, tool in listed.items() if tool["health_check"])
        assert found == ["Async.health", "Plain.health"]
        for name in found:
            assert worker.call(name) is None
            worker.call("set_state", state="False")
            error = worker.fail(name)
            cls = name.partition(".")[0]
            assert (error["type"], error["message"]) == (
                "Unhealthy",
                f"`{cls}.health` returned False",
            )
            worker.call("set_state", state="raise")
            error = worker.fail(name)
            assert (error["type"], error["message"]) == ("ValueError", "not well")
            # Anything else is well, whatever it is.
            worker.call("set_state", state="0")
            assert worker.call(name) is None
            worker.call("set_state", state="None")


@pytest.mark.native
def test_checks_are_not_offered_as_tools():
    with Worker(ADAPTER) as worker:
        assert "health" not in worker.fail("no_such_thing")["help"]
        assert "health" not in worker.fail("Plain.healt")["help"]


@pytest.mark.native
def test_a_check_takes_its_turn_where_the_adapter_does():
    with Worker(ADAPTER, slots=4) as worker:
        worker.call("set_state", state="busy")
        calls = [worker.on(slot).start("overlap") for slot in range(3)]
        check = worker.on(3).start("Plain.health")
        assert worker.on(3).result(check) is None
        for slot, call in enumerate(calls):
            assert worker.on(slot).result(call) == 1


@pytest.mark.native
@pytest.mark.parametrize("loop", [{}, {"SNAKEPIT_WORKER_CONCURRENCY": "8"}])
def test_checks_run_beside_an_event_loop(loop):
    with Worker(ADAPTER, env=loop) as worker:
        for name in ["Async.health", "Plain.health"]:
            assert worker.call(name) is None
