"""Variables of the session: mapping, methods, cache, batches."""

import asyncio
import threading

import pytest
from host_model import FakeContext, Host
from test_session_context import run_all

from snakepit_bridge import HostError, SessionContext
from snakepit_bridge._host import ops
from snakepit_bridge._host.errors import (
    StaleVersionError,
    UnknownVariableError,
    VariableExistsError,
)
from snakepit_bridge._session import cache as cache_module
from snakepit_bridge._session.variable import freeze, infer_type


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(cache_module, "monotonic", clock)
    return clock


@pytest.fixture
def host():
    return Host()


@pytest.fixture
def ctx(host, clock):
    return SessionContext(FakeContext(host))


@pytest.fixture
def other(host, clock):
    return SessionContext(FakeContext(host, worker_id="worker-2"))


def test_a_variable_is_registered_set_read_and_deleted(ctx):
    assert ctx.register_variable("n", "integer", 1, {"min": 0}, {"unit": "s"}) == 1
    assert ctx["n"] == ctx.get_variable("n") == ctx.variables["n"] == 1
    assert ctx.set_variable("n", 2) == 2
    assert ctx["n"] == 2
    found = ctx.variable("n")
    assert (found.name, found.type, found.value, found.version) == ("n", "integer", 2, 2)
    assert (found.constraints, found.metadata) == ({"min": 0}, {"unit": "s"})
    assert repr(found) == "<Variable 'n' integer version=2>"
    assert ctx.delete_variable("n", expected_version=2) is True
    assert "n" not in ctx
    assert ctx.delete_variable("n") is False


def test_errors_of_variables(ctx):
    with pytest.raises(UnknownVariableError) as caught:
        ctx["n"]
    assert isinstance(caught.value, KeyError) and caught.value.help == "register it"
    with pytest.raises(KeyError):
        ctx.get_variable("n")
    with pytest.raises(KeyError):
        ctx.set_variable("n", 1)
    with pytest.raises(KeyError):
        del ctx["n"]
    ctx.register_variable("n", "integer", 1, {"min": 0})
    with pytest.raises(VariableExistsError):
        ctx.register_variable("n", "integer", 1)
    with pytest.raises(StaleVersionError):
        ctx.set_variable("n", 5, expected_version=9)
    with pytest.raises(StaleVersionError):
        ctx.delete_variable("n", expected_version=9)
    with pytest.raises(KeyError):
        ctx.delete_variable("none", expected_version=1)
    with pytest.raises(HostError) as caught:
        ctx["n"] = -1
    assert caught.value.code == "SP7104"
    assert ctx["n"] == 1
    assert ctx.get_variable("none", default=None) is None
    assert ctx.variables.get("none", 3) == 3


def test_it_is_a_mapping(ctx):
    ctx["a"], ctx["b"] = 1, "x"
    assert sorted(ctx) == ["a", "b"] and len(ctx.variables) == 2
    assert dict(ctx.variables) == {"a": 1, "b": "x"}
    assert ctx.variables.pop("a") == 1
    assert 3 not in ctx and "a" not in ctx
    assert [item.name for item in ctx.list_variables("b")] == ["b"]
    assert ctx.list_variables("b")[0].size == 8
    ctx.variables.clear()
    assert list(ctx) == []


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "boolean"),
        (1, "integer"),
        (1.5, "float"),
        ("x", "string"),
        ([1.0, 2], "list"),
        ([1, 2, 3], "list"),
        ([], "list"),
        (["x", [True, None]], "list"),
        (frozenset([1]), "list"),
        ({}, "map"),
        ({"a": [1], 2: {(1, 2): frozenset([3])}}, "map"),
    ],
)
def test_setting_by_name_registers_with_the_type_of_the_value(ctx, value, kind):
    ctx["v"] = value
    assert ctx.variable("v").type == kind
    assert ctx["v"] == value and type(ctx["v"]) is type(value)
    assert repr(ctx["v"]) == repr(value)


def test_numpy_tells_the_type_too(ctx):
    np = pytest.importorskip("numpy")
    for name, value, kind in [
        ("b", np.bool_(True), "boolean"),
        ("i", np.int16(3), "integer"),
        ("f", np.float32(0.5), "float"),
        ("d", np.float64(0.5), "float"),
        ("s", np.str_("x"), "string"),
        ("e", np.arange(3.0), "embedding"),
        ("t", np.zeros((2, 2)), "tensor"),
        ("n", np.array(1.5), "tensor"),
    ]:
        assert infer_type(name, value) == kind
    for value in (np.datetime64("2020-01-01"), np.datetime64("2020-01-01").item(), np.bytes_(b"x")):
        with pytest.raises(TypeError, match=f"from a {type(value).__name__}: use register_var"):
            infer_type("x", value)


def test_frames_of_every_library_tell_their_type(ctx):
    for name, kinds in (
        ("pandas", ("DataFrame", "Series")),
        ("polars", ("DataFrame", "Series")),
        ("pyarrow", ("table", "array")),
    ):
        module = pytest.importorskip(name)
        for kind in kinds:
            column = kind in ("Series", "array")
            frame = getattr(module, kind)([1, 2] if column else {"a": [1, 2]})
            assert infer_type("f", frame) == "data_frame"
            ctx[f"{name} {kind}"] = frame
            ctx.invalidate()
            read = ctx[f"{name} {kind}"]
            assert type(read) is type(frame) and read.equals(frame)


def test_who_writes_to_a_frame_changes_no_other_reading(ctx):
    pd = pytest.importorskip("pandas")
    ctx["f"] = pd.DataFrame({"a": [1, 2]})
    ctx["l"] = [{"f": ctx["f"]}]
    for read in (lambda: ctx["f"], lambda: ctx["l"][0]["f"]):
        frame = read()
        frame.loc[0, "a"] = 5
        frame["b"] = 1
        assert read().to_dict("list") == {"a": [1, 2]}


def test_a_reader_is_kept_as_a_table(ctx):
    pa = pytest.importorskip("pyarrow")
    ctx["r"] = pa.table({"a": [1, 2]}).to_reader()
    for _ in range(2):
        assert ctx["r"].to_pydict() == {"a": [1, 2]}
    ctx["l"] = []
    ctx["l"] = [pa.table({"a": [1]}).to_reader()]
    for _ in range(2):
        assert ctx["l"][0].to_pydict() == {"a": [1]}


def test_arrays_inside_of_lists_cannot_be_written_to(host):
    np = pytest.importorskip("numpy")
    value = freeze([{"x": np.zeros(2)}, np.zeros(2)])
    for array in (value[0]["x"], value[1]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize("value", [None, b"x", 1j, object()])
def test_a_value_that_tells_no_type_is_not_registered(ctx, value):
    with pytest.raises(TypeError, match="register_variable"):
        ctx["v"] = value


def test_whoever_registers_second_sets(ctx, other, host):
    def before(op, name, body):
        if op == ops.VARIABLE_REGISTER:
            host.before = lambda *_: None
            other["n"] = 1

    host.before = before
    ctx["n"] = 2
    assert other.variable("n").version == 2 and other["n"] == 2


def test_reading_again_asks_nothing_until_the_value_is_too_old(ctx, other, host, clock):
    ctx["n"] = 1
    assert ctx["n"] == 1
    host.requests.clear()
    other.set_variable("n", 2)
    host.requests.clear()
    assert ctx["n"] == 1 and ctx.get_variable("n") == 1 and ctx.variable("n").value == 1
    assert host.requests == []
    clock.now += ctx.cache_ttl
    assert ctx["n"] == 2
    assert host.requests == [ops.VARIABLE_GET]


def test_the_cache_can_be_renewed_emptied_and_turned_off(ctx, other, host):
    ctx["n"] = 1
    ctx["n"]
    other["n"] = 2
    ctx.refresh("n")
    assert ctx["n"] == 2
    other["n"] = 3
    ctx.refresh()
    assert ctx["n"] == 3
    other["n"] = 4
    ctx.invalidate("n")
    assert ctx["n"] == 4
    ctx.cache_ttl = 0
    other["n"] = 5
    assert ctx["n"] == 5
    other["n"] = 6
    assert ctx["n"] == 6
    for bad in (-1, float("nan")):
        with pytest.raises(ValueError, match="cache_ttl"):
            ctx.cache_ttl = bad
    other.delete_variable("n")
    with pytest.raises(UnknownVariableError):
        ctx.refresh("n")
    ctx.refresh()


def test_own_writes_are_served_from_the_cache(ctx, host):
    ctx.register_variable("f", "float", 0.0)
    ctx["f"]
    ctx["f"] = 3
    host.requests.clear()
    assert ctx["f"] == 3.0 and type(ctx["f"]) is float and ctx.variable("f").version == 2
    assert host.requests == []


def test_changing_what_one_got_changes_nothing_else(ctx):
    ctx.register_variable("e", "embedding", [1.0, 2.0])
    ctx["e"].append(3.0)
    ctx.get_variable("e").append(3.0)
    ctx.get_variables(["e"])["e"].append(3.0)
    assert ctx["e"] == [1.0, 2.0]
    mine = [5.0]
    ctx["e"] = mine
    mine.append(6.0)
    assert ctx["e"] == [5.0]


def test_a_reply_that_was_overtaken_by_a_write_is_not_kept(ctx, host):
    ctx["n"] = 1
    ctx.invalidate()
    asked, go = threading.Event(), threading.Event()
    native = ctx._native
    request = native._request

    def slow(op, *rest):
        reply = request(op, *rest)
        if op == ops.VARIABLE_GET and threading.current_thread().name == "reader":
            asked.set()
            assert go.wait(60)
        return reply

    native._request = slow
    reader = threading.Thread(target=lambda: ctx["n"], name="reader")
    reader.start()
    assert asked.wait(60)
    ctx.set_variable("n", 2)
    go.set()
    reader.join(60)
    assert ctx["n"] == 2


def test_several_at_once(ctx, host):
    ctx["a"], ctx["b"] = 1, 2
    ctx.invalidate()
    ctx["a"]
    host.requests.clear()
    assert ctx.get_variables(["b", "a", "b"]) == {"b": 2, "a": 1}
    assert ctx.get_variables(["a", "none"], default=0) == {"a": 1, "none": 0}
    with pytest.raises(UnknownVariableError):
        ctx.get_variables(["a", "none"])
    assert host.requests == [ops.VARIABLE_GET] * 3
    assert ctx.get_variables([]) == {}
    assert ctx.set_variables({"a": 5, "b": 6}) == {"a": 2, "b": 2}
    assert (ctx["a"], ctx["b"]) == (5, 6)


def test_an_atomic_set_is_all_or_nothing(ctx, host):
    ctx["a"], ctx["b"] = 1, 2
    with pytest.raises(HostError):
        ctx.set_variables({"a": 5, "b": "text"})
    assert (ctx["a"], ctx["b"]) == (1, 2)
    done = ctx.set_variables({"a": 5, "b": "text", "c": 1}, atomic=False)
    assert done["a"] == 2 and done["b"].code == "SP7103"
    assert isinstance(done["c"], UnknownVariableError)
    assert (ctx["a"], ctx["b"]) == (5, 2)


def test_a_batch_is_one_request(ctx, host):
    ctx["a"], ctx["b"] = 1, 2
    host.requests.clear()
    with ctx.batch() as batch:
        batch["a"] = 10
        batch.set("b", 20, expected_version=1)
        assert len(batch) == 2 and host.requests == []
    assert host.requests == [ops.VARIABLE_SET]
    assert batch.results == {"a": 2, "b": 2}
    with pytest.raises(StaleVersionError), ctx.batch() as batch:
        batch["a"] = 11
        batch.set("b", 21, expected_version=1)
    assert (ctx["a"], ctx["b"]) == (10, 20)
    host.requests.clear()
    with pytest.raises(ZeroDivisionError), ctx.batch() as batch:
        batch["a"] = 12
        1 / 0
    with ctx.batch():
        pass
    assert host.requests == []
    with ctx.batch(atomic=False) as batch:
        batch["a"], batch["none"] = 13, 1
    assert batch.results["a"] == 3 and batch.results["none"].code == "SP7101"


def test_no_update_is_lost(ctx, other, host):
    ctx["n"] = 0

    def work(context):
        return lambda: [context.update_variable("n", lambda value: value + 1) for _ in range(40)]

    run_all([work(ctx), work(ctx), work(other), work(other)])
    ctx.refresh("n")
    assert ctx["n"] == 160 and ctx.variable("n").version == 161


def test_an_update_that_is_always_overtaken_ends(ctx, other, host, monkeypatch):
    monkeypatch.setattr("snakepit_bridge._session.variables.MAX_ATTEMPTS", 5)
    ctx["n"] = 0
    calls = []

    def function(value):
        calls.append(value)
        other.set_variable("n", value + 10)
        return value + 1

    with pytest.raises(StaleVersionError):
        ctx.update_variable("n", function)
    assert calls == [0, 10, 20, 30, 40]


def test_variables_from_a_coroutine(ctx):
    async def main():
        await ctx.register_variable_async("n", "integer", 1)
        assert await ctx.get_variable_async("n") == 1
        assert await ctx.set_variable_async("n", 2, expected_version=1) == 2
        with pytest.raises(StaleVersionError):
            await ctx.set_variable_async("n", 3, expected_version=1)
        assert await ctx.set_variables_async({"n": 3}) == {"n": 3}
        assert await ctx.get_variables_async(["n", "m"], default=0) == {"n": 3, "m": 0}
        assert (await ctx.variable_async("n")).version == 3
        assert [v.name for v in await ctx.list_variables_async()] == ["n"]
        added = [ctx.update_variable_async("n", lambda value: value + 1) for _ in range(20)]
        await asyncio.gather(*added)
        await ctx.refresh_async("n")
        assert await ctx.get_variable_async("n") == 23
        async with ctx.batch() as batch:
            batch["n"] = 0
        assert batch.results == {"n": 24}
        with pytest.raises(ZeroDivisionError):
            async with ctx.batch() as batch:
                batch["n"] = 1 / 0
        await ctx.delete_variable_async("n")
        assert await ctx.get_variable_async("n", default=None) is None

    asyncio.run(main())
