"""The codec, both ways and with bad input."""

import contextlib
import dataclasses
import datetime
import decimal
import enum
import math
import socket
import struct
import uuid
from collections import OrderedDict, namedtuple

import pytest
from hypothesis import given, settings, strategies as st

pytestmark = pytest.mark.native

native = pytest.importorskip("snakepit_bridge._native", reason="the extension is not built")
pack, unpack = native.pack, native.unpack

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
# 64 bits of microseconds.
LONGEST = datetime.timedelta(microseconds=2**63 - 1)
MINUTES = st.integers(-1439, 1439)
ZONES = st.none() | MINUTES.map(lambda m: datetime.timezone(datetime.timedelta(minutes=m)))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | TEXT
    | st.binary()
    | st.datetimes(timezones=ZONES)
    | st.dates()
    | st.times(timezones=ZONES)
    | st.timedeltas(-LONGEST, LONGEST)
    | st.uuids()
    | st.decimals()
)
KEYS = st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXT | st.binary() | st.uuids()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


def same(a, b):
    """Return whether values are equal and of the same kind; NaN equals NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (a == b and math.copysign(1, a) == math.copysign(1, b)) or (a != a and b != b)
    if isinstance(a, decimal.Decimal):
        return str(a) == str(b)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return (
            len(a) == len(b)
            and all(map(same, a.keys(), b.keys()))
            and all(map(same, a.values(), b.values()))
        )
    if isinstance(a, (datetime.datetime, datetime.time)):
        return a.isoformat() == b.isoformat()
    return a == b


@settings(max_examples=500, deadline=None)
@given(VALUES)
def test_every_value_comes_back_equal_and_of_the_same_kind(value):
    assert same(unpack(pack(value)), value)


@settings(max_examples=1000, deadline=None)
@given(st.binary())
def test_any_bytes_decode_or_are_refused(data):
    with contextlib.suppress(ValueError, TypeError):
        unpack(data)


Color = enum.Enum("Color", {"RED": "red"})
Level = enum.IntEnum("Level", {"LOW": 1})
Pair = namedtuple("Pair", "a b")


@dataclasses.dataclass
class Point:
    x: int
    at: datetime.date


class Text(str): ...


class Number(int): ...


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, (2,)), [1, [2]]),
        (Pair(1, 2), [1, 2]),
        ({3}, [3]),
        (frozenset([3]), frozenset([3])),
        (bytearray(b"a"), b"a"),
        (memoryview(b"a"), b"a"),
        (Color.RED, "red"),
        (Level.LOW, 1),
        (Point(1, datetime.date(2020, 2, 29)), {"x": 1, "at": datetime.date(2020, 2, 29)}),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (Text("t"), "t"),
        (Number(4), 4),
        ({1: "a", "1": "b"}, {1: "a", "1": "b"}),
        (b"x" * 70_000, b"x" * 70_000),
        ("ü" * 70_000, "ü" * 70_000),
        (list(range(70_000)), list(range(70_000))),
    ],
)
def test_related_kinds_come_back_as_documented(value, expected):
    assert same(unpack(pack(value)), expected)


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


CYCLE = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (2**64, "$"),
        ({"a": [0, -(2**63) - 1]}, "$.a[1]"),
        ("\ud800", "$"),
        ([socket], "$[0]"),
        ({"x": {"y": object()}}, "$.x.y"),
        (complex(1), "$"),
        ({"t": datetime.timedelta.max}, "$.t"),
        (nested(129), "128"),
        (nested(500), "128"),
        (CYCLE, "128"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_place(value, where):
    with pytest.raises((TypeError, ValueError)) as caught:
        pack(value)
    assert where in str(caught.value)


def test_128_levels_are_allowed():
    assert unpack(pack(nested(128))) == nested(128)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x93\x01\x02",
        b"\xa5abc",
        b"\xa2\xff\xfe",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x01\x02",
        b"\x81\x80\x01",
        b"\x81\x91\x80\x01",
        b"\xc7\x03\x63abc",
        b"\xc7\x03\x01abc",
        b"\xd4\x05\x00",
        b"\x91" * 129 + b"\xc0",
        b"\x91" * 100_000 + b"\xc0",
        b"\x81\x01" * 100_000 + b"\xc0",
    ],
)
def test_broken_bytes_are_refused(data):
    with pytest.raises((ValueError, TypeError)):
        unpack(data)


def test_numbers_of_any_width_are_accepted():
    assert unpack(b"\xd3" + struct.pack(">q", 1)) == 1
    assert unpack(b"\xcf" + struct.pack(">Q", 1)) == 1
    assert unpack(b"\xca" + struct.pack(">f", 1.5)) == 1.5


def test_the_extension_types_are_those_of_the_document():
    day = datetime.date(2020, 1, 2)
    assert pack(day) == b"\xc7\x0a\x02" + b"2020-01-02"
    assert pack(datetime.timedelta(microseconds=-1)) == b"\xd7\x04" + struct.pack(">q", -1)
    assert pack(uuid.UUID(int=1)) == b"\xd8\x05" + bytes(15) + b"\x01"


@dataclasses.dataclass(frozen=True)
class Place:
    row: int


def test_a_key_that_could_not_be_a_key_again_is_refused():
    for key in (Place(1), (1, (Place(2),)), frozenset([Place(3)]), (frozenset([Place(3)]),)):
        with pytest.raises(TypeError, match=r"\$\.keys\[1\]") as error:
            pack({"a": 1, key: 2})
        assert "as a key" in str(error.value) or "in a frozenset" in str(error.value)


def test_a_tuple_is_a_key():
    for key in ((), (1, "a"), (1, (2, (3.5, None)), b"x"), Pair(1, Pair(2, 3))):
        assert unpack(pack({key: 2})) == {key: 2}
    tall = enum.Enum("Size", {"TALL": (1, 2)}).TALL
    assert unpack(pack({tall: 1})) == {(1, 2): 1}
    assert pack({(1, "a"): 2}) == b"\x81\x92\x01\xa1a\x02"


def test_a_subclass_of_dict_is_sent_in_its_own_order():
    moved = OrderedDict(a=1, b=2)
    moved.move_to_end("a")
    assert list(unpack(pack(moved)).items()) == [("b", 2), ("a", 1)]

    class Backwards(dict):
        def items(self):
            return reversed(list(super().items()))

    assert list(unpack(pack(Backwards(a=1, b=2)))) == ["b", "a"]

    class Broken(dict):
        def items(self):
            yield 1

    with pytest.raises(TypeError, match=r"\$ is a .*Broken that cannot be read"):
        pack(Broken(a=1))


def iso(code, text):
    return bytes([0xC7, len(text), code]) + text.encode()


def test_fractions_of_seconds_are_equal_or_refused():
    moment = datetime.datetime(2020, 1, 2, 3, 4, 5, 120_000)
    for text in ("2020-01-02T03:04:05.12", "2020-01-02T03:04:05.120000000"):
        assert unpack(iso(1, text)) == moment
    for zone in ("Z", "+00:00"):
        got = unpack(iso(1, "2020-01-02T03:04:05.12" + zone))
        assert got == moment.replace(tzinfo=datetime.timezone.utc)
    assert unpack(iso(3, "03:04:05.5")) == datetime.time(3, 4, 5, 500_000)
    for code, text in ((1, "2020-01-02T03:04:05.1234567"), (3, "03:04:05.000000001")):
        with pytest.raises(ValueError, match="finer than a microsecond"):
            unpack(iso(code, text))


class NoTime(datetime.datetime):
    """A stand-in for `pandas.NaT`: an instance of the type, and no time."""

    def __eq__(self, other):
        return False

    __hash__ = datetime.datetime.__hash__


class Fine(datetime.datetime):
    nanosecond = 1

    def isoformat(self, *args):
        return "not me"


def test_subclasses_of_times_say_what_their_base_says_or_are_refused():
    with pytest.raises(TypeError, match=r"\$\[0\] is .*, which is not a time"):
        pack([NoTime(2020, 1, 1)])
    fine = Fine(2020, 1, 1)
    with pytest.raises(TypeError, match="with nanoseconds"):
        pack(fine)
    fine.nanosecond = 0
    assert unpack(pack(fine)) == datetime.datetime(2020, 1, 1)
