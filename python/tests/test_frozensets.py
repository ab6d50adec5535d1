"""Frozensets as values and as keys: each comes back as one, or is refused."""

import collections
import dataclasses
import datetime
import enum

import pytest
from hypothesis import given, strategies as st
from test_data_values import refusal

pytestmark = pytest.mark.native

native = pytest.importorskip("snakepit_bridge._native", reason="the extension is not built")
pack, unpack = native.pack, native.unpack


@pytest.mark.parametrize(
    "value",
    [
        frozenset(),
        frozenset([1, "a", None, 2.5, b"x", True]),
        frozenset([(1, (2, 3)), frozenset([4, frozenset([5])])]),
        frozenset([datetime.date(2020, 1, 2), datetime.timedelta(1)]),
        [frozenset([1]), {"x": frozenset([2])}],
        {frozenset([1, 2]): "a", frozenset(): "b", (1, frozenset([3])): "c"},
        {frozenset([frozenset([1])]): {frozenset([2]): [frozenset([3])]}},
        (frozenset(range(100_000)),)[0],
    ],
)
def test_a_frozenset_comes_back_as_one(value):
    def same(a, b):
        if type(a) is not type(b):
            return False
        if isinstance(a, dict):
            return a == b and all(same(a[key], b[key]) for key in a)
        return len(a) == len(b) and all(map(same, a, b)) if isinstance(a, list) else a == b

    got = unpack(pack(value))
    assert same(got, value)
    types = {type(key) for key in got} if isinstance(got, (dict, frozenset)) else set()
    assert list not in types
    assert unpack(pack(got)) == value


def test_a_set_is_a_list_of_what_was_in_it():
    assert unpack(pack({frozenset([1])})) == [frozenset([1])]
    assert unpack(pack({(1, 2)})) == [[1, 2]]


def test_what_no_set_can_have_is_refused():
    @dataclasses.dataclass(frozen=True)
    class Place:
        row: int

    message, help = refusal({"x": frozenset([(Place(1),)])})
    assert message.startswith("$.x[0][0] is a ") and "in a frozenset" in message
    assert "list(value)" in help
    message, help = refusal({frozenset([Place(1)]): 1})
    assert message.startswith("$.keys[0][0] is a ") and "list(value)" in help
    message, help = refusal({Place(1): 1})
    assert "as a key" in message and "frozenset" in help


class Kind(enum.Enum):
    A = "a"
    ONE = 1


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1, Kind.A: 2},
        {True: 1, Kind.ONE: 2},
        {("a",): 1, (Kind.A,): 2},
        {frozenset(["a"]): 1, frozenset([Kind.A]): 2},
        collections.OrderedDict([(Kind.A, 1), ("a", 2)]),
        frozenset(["a", Kind.A]),
        [{"x": {1: {Kind.ONE: 1, 1.0: 2}}}],
    ],
    ids=repr,
)
def test_keys_that_are_the_same_at_the_other_end_are_refused(value):
    message, help = refusal(value)
    assert "two keys that are sent as" in message or "two items that are sent as" in message
    assert "list(value" in help


def test_a_dict_whose_items_repeat_a_key_is_refused():
    class Many(dict):
        def items(self):
            return [("a", 1), ("a", 2)]

    assert "two keys that are sent as 'a'" in refusal([Many()])[0]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x82\xa1a\x01\xa1a\x02", "two keys of a map"),
        (b"\x82\x01\x01\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00\x02", "two keys of a map"),
        (b"\x82\x01\x01\xc3\x02", "two keys of a map"),
        (b"\x93\xc7\x00\x09\x01\xc3", "two items of a frozenset"),
    ],
)
def test_keys_that_are_equal_in_python_are_refused(data, what):
    with pytest.raises(ValueError, match=what):
        unpack(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\xc7\x00\x09",
        b"\x92\x01\xc7\x00\x09",
        b"\x93\xc7\x00\x09\xc7\x00\x09\x01",
        b"\x92\xc7\x00\x09\x80",
        b"\x93\xc7\x00\x09\x01",
        b"\x92\xc7\x01\x09x\x01",
        b"\x92\xc7\x00\x09" * 200 + b"\x01",
    ],
)
def test_broken_sets_are_refused(data):
    with pytest.raises((ValueError, TypeError)):
        unpack(data)


def test_sets_nest_as_deep_as_lists():
    value = frozenset()
    for _ in range(127):
        value = frozenset([value])
    assert unpack(pack(value)) == value
    with pytest.raises((TypeError, ValueError), match="128"):
        pack(frozenset([value]))


def hashables():
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.text(st.characters(exclude_categories=["Cs"]))
    )
    return st.recursive(
        leaves | st.binary() | st.dates(),
        lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
        max_leaves=8,
    )


@given(st.dictionaries(hashables(), st.frozensets(hashables(), max_size=3), max_size=4))
def test_all_keys_and_sets_come_back(value):
    got = unpack(pack(value))
    assert got == value and {type(key) for key in got} == {type(key) for key in value}
