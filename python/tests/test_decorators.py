"""A decorated tool is what the decorated object is, in all profiles."""

import json
from pathlib import Path

import pytest
from minihost import ToolError, Worker

pytestmark = pytest.mark.native

ADAPTER = str(Path(__file__).parent / "decorated_adapter.py")

CALLS = [
    ("list_of_generator", {"n": 3}, [0, 1, 2]),
    ("run_of_coroutine", {"n": 3}, 3),
    ("passed_coroutine", {"n": 3}, 3),
    ("unseen_coroutine", {"n": 3}, 3),
    ("retried_coroutine", {"n": 3}, 3),
    ("twice", {"n": 3}, 3),
    ("list_of_async", {"n": 3}, [0, 1, 2]),
    ("cached", {"n": 3}, 6),
    ("doubled", {"x": 4}, 8),
    ("later", {"x": 4}, 5),
    ("part_of_wait", {}, 3),
    ("part_of_list", {}, [0, 1, 2]),
    ("counted", {"n": 7}, [1, 7]),
    ("remembered", {"n": 1}, 2),
    ("shown", {"x": 1}, "a number"),
    ("shown", {"x": "a"}, "anything"),
    ("inside", {"n": 1}, 1),
    ("inside_of_coroutine", {"n": 1}, 1),
    ("signed", {"x": 1}, [1.0, 2]),
    ("signed_below", {"x": 1, "y": 3}, [1.0, 3]),
    ("static", {"x": 1}, 1),
    ("static_below", {"x": 1}, 1),
    ("of_class", {"x": 1}, "Methods 1"),
    ("of_class_below", {"x": 1}, "Methods 1"),
    ("method_list", {"n": 2}, [0, 1]),
    ("method_wait", {"n": 2}, 2),
    ("thrice", {"x": 2}, 6.0),
]

STREAMS = [
    ("passed_generator", {"n": 3}, [0, 1, 2]),
    ("passed_async", {"n": 3}, [0, 1, 2]),
    ("streamed", {"n": 2}, [0, 1]),
    ("part", {}, [0, 1]),
]

PROFILES = {
    "process": {},
    "thread": {"slots": 2},
    "concurrency": {
        "env": {"SNAKEPIT_WORKER_CONCURRENCY": "4", "SNAKEPIT_WORKER_EVENT_LOOP": "asyncio"}
    },
}


@pytest.fixture(scope="module", params=list(PROFILES))
def worker(request):
    with Worker(ADAPTER, **PROFILES[request.param]) as worker:
        yield worker


@pytest.mark.parametrize(("name", "arguments", "expected"), CALLS, ids=lambda value: str(value))
def test_calls(worker, name, arguments, expected):
    got = worker.call(name, **arguments)
    assert got == expected


@pytest.mark.parametrize(("name", "arguments", "expected"), STREAMS, ids=lambda value: str(value))
def test_streams(worker, name, arguments, expected):
    assert list(worker.stream(name, **arguments)) == expected


def test_the_schema_is_that_of_the_signature(worker):
    specs = {spec["name"]: spec for spec in worker.described["tools"]}
    for name, arguments, _ in CALLS + STREAMS:
        schema = json.loads(specs[name]["parameters_schema"])
        assert set(arguments) <= set(schema["properties"]) | {"n"}, name
    for name in ("signed", "signed_below"):
        schema = json.loads(specs[name]["parameters_schema"])
        y = {"type": "integer", "default": 5}
        assert schema["properties"] == {"x": {"type": "number"}, "y": y}
        assert schema["required"] == ["x"]
        assert json.loads(specs[name]["returns_schema"])["items"] == {"type": "number"}
    asynchronous = {name for name, spec in specs.items() if spec["is_async"]}
    assert asynchronous == {
        "passed_coroutine", "retried_coroutine", "twice", "list_of_async", "passed_async",
        "later", "part_of_wait", "method_wait", "inside_of_coroutine",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("run_of_coroutine", {"n": "3"}),
        ("retried_coroutine", {"n": "3"}),
        ("doubled", {"x": "3"}),
        ("counted", {"n": "3"}),
        ("remembered", {"n": "3"}),
        ("shown", {"x": 1.5}),
        ("signed", {"x": "3"}),
        ("method_list", {"x": 3}),
        ("static_below", {"x": "3"}),
        ("thrice", {"x": "3"}),
    ],
)
def test_arguments_are_checked_under_decorators(worker, name, arguments):
    with pytest.raises(ToolError) as caught:
        worker.call(name, **arguments)
    assert caught.value.code in ("SP2003", "SP2004")
    assert caught.value.fields["path"] in ("x", "n")


def test_a_context_manager_is_no_value(worker):
    with pytest.raises(ToolError) as caught:
        worker.call("manager", n=1)
    assert caught.value.code == "SP2007"
    with pytest.raises(ToolError) as caught:
        list(worker.stream("list_of_generator", n=1))
    assert caught.value.code == "SP2009" and "streaming=True" in caught.value.fields["help"]
