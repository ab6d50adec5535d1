"""Whole values made sendable, by the real encoder's judgement of what can be sent."""

import collections
import dataclasses
import datetime
import enum
import sys
import threading

import pytest
from hypothesis import given, strategies as st

from snakepit_bridge import telemetry
from snakepit_bridge._load import catalog as _catalog
from snakepit_bridge._unsendable import replace
from snakepit_bridge._unsendable.markers import TYPE_KEY, is_marker
from snakepit_bridge._unsendable.replace import sendable

pytestmark = pytest.mark.native


class Odd:
    def __init__(self, value=0):
        self.value = value


@dataclasses.dataclass
class Point:
    x: object
    y: object = 0


class Color(enum.Enum):
    RED = "red"
    ODD = Odd()


def unpack(value):
    from snakepit_bridge import _native

    return _native.unpack(_native.pack(value))


def of(value):
    """Return the value after the way through the encoder."""
    return unpack(sendable(value))


def test_only_what_cannot_be_sent_is_replaced():
    when = datetime.datetime(2024, 5, 6)
    got = of({"a": [1, Odd(), when, b"x"], "b": (None, {1.5: "y"}), "c": {2}})
    marker = got["a"].pop(1)
    assert marker[TYPE_KEY] == f"{__name__}.Odd" and is_marker(marker)
    assert got == {"a": [1, when, b"x"], "b": [None, {1.5: "y"}], "c": [2]}


@pytest.mark.parametrize("value", [2**64, "\ud800", sys, Odd, Color.ODD, lambda: 0])
def test_leaves_that_cannot_be_sent_are_markers(value):
    assert is_marker(of(value)) and is_marker(of([value])[0])


def test_dataclasses_keep_their_fields():
    assert of(Point(1, Point(Odd())))["y"]["y"] == 0
    assert is_marker(of(Point(1, Odd()))["y"])
    assert of([Point(1), Color.RED, Odd()])[:2] == [{"x": 1, "y": 0}, "red"]
    assert is_marker(of(Point))


def test_conversions_are_made_sendable_too():
    odd = Odd()
    odd.to_dict = lambda: {"inner": Odd(), "n": 1}
    got = of([odd])[0]
    assert is_marker(got["inner"]) and got["n"] == 1
    odd.to_dict = lambda: {"me": odd}
    assert is_marker(of(odd)["me"])
    Pair = collections.namedtuple("Pair", "a b")
    assert of(Pair(1, Odd()))[0] == 1


def test_keys_that_cannot_be_sent_become_texts():
    got = of({Odd(): 1, "a": 2, 2**70: 3})
    assert got["a"] == 2 and sorted(got.values()) == [1, 2, 3]
    assert any(isinstance(key, str) and "Odd" in key for key in got)
    assert len(of({Odd(1): 1, Odd(2): 2})) == 2


def test_values_inside_themselves_and_deep_ones():
    loop = [1]
    loop.append(loop)
    assert of(loop)[0] == 1 and is_marker(of(loop)[1])
    deep = Odd()
    for _ in range(5000):
        deep = [deep]
    got = of(deep)
    for _ in range(90):
        got = got[0]
    shared = [Odd()]
    got = of([shared, shared])
    assert is_marker(got[0][0]) and is_marker(got[1][0])


def test_hostile_values():
    class Bad(dict):
        def items(self):
            raise RuntimeError("no")

    class Worse(list):
        def __iter__(self):
            raise RuntimeError("no")

    class Getter:
        def __getattribute__(self, name):
            raise RuntimeError("no")

    assert is_marker(of([Bad(), threading.Lock()])[0])
    assert is_marker(of([Worse([1])])[0])
    assert is_marker(of(Getter()))


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(), st.binary(max_size=9), st.builds(Odd)
)


@given(
    st.recursive(
        LEAVES,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(st.text(max_size=3), inner, max_size=4),
            st.builds(Point, inner, inner),
        ),
        max_leaves=20,
    )
)
def test_whatever_comes_can_be_sent_afterwards(value):
    of(value)


def test_the_mode_is_chosen_by_the_environment(monkeypatch):
    catalog = _catalog.Catalog([], [])
    for setting, result in ((None, None), ("error", None), ("marker", sendable)):
        if setting is not None:
            monkeypatch.setenv("SNAKEPIT_UNSERIALIZABLE", setting)
        assert catalog.convert is result
    assert catalog.context_class.__name__ == "SessionContext"


def test_the_first_marker_of_a_type_is_reported(monkeypatch):
    class Opaque:
        __slots__ = ()

    class Kept(telemetry.backends.base.TelemetryBackend):
        def __init__(self):
            self.events = []

        def emit(self, event_name, measurements, metadata=None, correlation_id=None):
            self.events.append((event_name, dict(measurements), dict(metadata)))

    monkeypatch.setattr(replace, "_reported", set())
    kept = Kept()
    monkeypatch.setattr(telemetry.manager, "_chosen", [kept])
    of([Opaque(), Opaque(), {"a": Opaque()}])
    of(Opaque())
    ((name, measurements, metadata),) = kept.events
    assert (name, measurements) == ("python.serialization.marker", {"count": 1})
    assert metadata["python_type"].endswith("Opaque")


def test_sets_and_scalars_of_numpy_stay_what_they_are():
    numpy = pytest.importorskip("numpy")
    value = {
        "set": frozenset([1]),
        frozenset([2]): numpy.float32(0.5),
        "array": numpy.zeros(2, "datetime64[s]"),
        "ns": numpy.datetime64(1, "ns"),
        "bad": [object(), numpy.complex64(1j)],
    }
    got = of(value)
    assert got["set"] == frozenset([1]) and got[frozenset([2])] == 0.5
    assert got["array"].dtype == "datetime64[s]"
    assert got["ns"][TYPE_KEY] == "numpy.datetime64"
    assert got["bad"][1][TYPE_KEY] == "numpy.complex64"
