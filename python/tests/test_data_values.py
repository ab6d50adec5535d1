"""Values of data libraries: each comes back equal, or is rejected with a hint."""

import array
import collections
import datetime
import fractions
import ipaddress
import math
import pathlib
import re

import pytest
from libraries import library

pytestmark = pytest.mark.native

native = pytest.importorskip("snakepit_bridge._native", reason="the extension is not built")
pack, unpack = native.pack, native.unpack

np = library("numpy")


def refusal(value):
    """Return the message for a value that is not sent, and the hint."""
    with pytest.raises(TypeError) as caught:
        pack(value)
    message, _, help = str(caught.value).partition(": ")
    return message, help


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (np.float32(0.1), float(np.float32(0.1))),
        (np.float64(0.1), 0.1),
        (np.float16(1.5), 1.5),
        (np.int8(-3), -3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.bytes_(b"a"), b"a"),
        (np.datetime64("2020-01-02"), datetime.date(2020, 1, 2)),
        (np.datetime64("2020-01"), datetime.date(2020, 1, 1)),
        (np.datetime64("2020-01-02T03:04:05.5"), datetime.datetime(2020, 1, 2, 3, 4, 5, 500_000)),
        (np.datetime64(2_000, "ns"), datetime.datetime(1970, 1, 1, 0, 0, 0, 2)),
        (np.timedelta64(5, "s"), datetime.timedelta(seconds=5)),
        (np.timedelta64(-3_000, "ns"), datetime.timedelta(microseconds=-3)),
        (np.timedelta64(2, "W"), datetime.timedelta(weeks=2)),
    ],
)
def test_numpy_scalars_are_the_values_that_equal_them(sent, expected):
    for place in (lambda value: value, lambda value: [{"x": value}]):
        got = unpack(pack(place(sent)))
        assert got == place(expected)
    assert type(unpack(pack(sent))) is type(expected)
    assert unpack(pack({sent: 1})) == {expected: 1}


def test_numpy_numbers_that_are_none_stay_so():
    assert math.isnan(unpack(pack(np.float32("nan"))))
    assert unpack(pack(np.float32("-inf"))) == -math.inf
    assert unpack(pack(np.void(b"abc"))) == b"abc"


@pytest.mark.parametrize(
    ("value", "what", "way_out"),
    [
        (np.datetime64("NaT"), "not a time", "None"),
        (np.timedelta64("NaT"), "not a time", "None"),
        (np.datetime64(1, "ns"), "datetime64[ns]", "asarray"),
        (np.timedelta64(999, "ns"), "timedelta64[ns]", "asarray"),
        (np.timedelta64(5, "Y"), "timedelta64[Y]", "asarray"),
        (np.datetime64(10**6, "Y"), "datetime64[Y]", "asarray"),
        (np.complex64(1j), "numpy.complex64", "value.real"),
        (np.longdouble(1), "numpy.", "float(value)"),
        (np.zeros(1, [("a", "i4")])[0], "numpy.", ".item()"),
        (np.ma.masked_array([1, -999], mask=[0, 1]), "mask cannot be sent", ".filled("),
        (np.ma.masked_array([1], mask=[1]).mean(), "mask cannot be sent", ".filled("),
        (np.arange(3, dtype=">i4"), "int32 in big-endian", 'astype("int32")'),
        (np.array(["a"]), "<U1", ".tolist()"),
        (np.array([object()]), "object", ".tolist()"),
        (np.zeros(2, [("a", "i4")]), "('a', '<i4')", "value[name]"),
        (array.array("u", "a"), "text", ".tolist()"),
        (1 + 2j, "complex", "value.real"),
        (pathlib.Path("x"), "pathlib", "str(value)"),
        (ipaddress.ip_address("::1"), "IPv6Address", "str(value)"),
        (fractions.Fraction(1, 3), "Fraction", "numerator"),
        (re.compile("a"), "re.Pattern", ".pattern"),
        (range(3), "range", "list(value)"),
        ((i for i in []), "generator", "yield"),
        (collections.deque([1]), "deque", "list(value)"),
        (collections.UserDict(a=1), "UserDict", "dict(value)"),
        (len, "builtin_function", "call it"),
        (int, "type", "instance"),
    ],
    ids=repr,
)
def test_what_python_or_rust_cannot_hold_is_refused_with_the_way_out(value, what, way_out):
    message, help = refusal({"rows": [value]})
    assert message.startswith("$.rows[0] is ") and what in message, message
    assert way_out in help, help
    # Names of numpy, and none of `struct` or MessagePack.
    assert "T{" not in message and "ext" not in message.split()


class Units(np.ndarray):
    unit = "m"

    def __new__(cls, data):
        made = np.asarray(data).view(cls)
        made.unit = "km"
        return made


class View(np.ndarray):
    """A subclass that adds nothing."""


def test_subclasses_of_arrays_are_views_or_are_refused():
    for sent in (np.arange(3).view(View), np.matrix([[1, 2]]), np.arange(4).view(np.recarray)):
        got = unpack(pack(sent))
        assert type(got) is np.ndarray and got.tolist() == sent.tolist()
    message, help = refusal(Units([1.0, 2.0]))
    assert "has attributes besides its elements" in message and ".value" in help


def test_arrays_are_arrays_at_every_size():
    for sent in (np.arange(8, dtype="u1"), np.zeros((0, 3)), np.array(1.5), np.ones((2, 2), "f4")):
        got = unpack(pack(sent))
        assert (got.dtype, got.shape) == (sent.dtype, sent.shape)
        assert got.tolist() == sent.tolist()
    assert len(pack(np.arange(8, dtype="u1"))) < 32


def test_pandas_times():
    pd = library("pandas")
    moment = pd.Timestamp("2020-01-02T03:04:05.000006Z")
    assert unpack(pack(moment)) == moment.to_pydatetime()
    assert unpack(pack(pd.Timedelta("1us"))) == datetime.timedelta(microseconds=1)
    for value, what in [
        ([pd.NaT], "NaT, which is not a time"),
        ([pd.Timestamp(1, unit="ns")], "with nanoseconds"),
        ([pd.Timedelta(999, "ns")], "with nanoseconds"),
        ([pd.NA], "NAType"),
    ]:
        message, help = refusal(value)
        assert what in message and help
    for value, way_out in [
        (pd.Index([1]), "pandas.Series"),
    ]:
        assert way_out in refusal(value)[1]


def test_models_are_their_fields():
    day = datetime.date(2020, 1, 2)
    pydantic = library("pydantic")

    class Model(pydantic.BaseModel):
        a: int
        days: list[datetime.date]

    assert unpack(pack([Model(a=1, days=[day])])) == [{"a": 1, "days": [day]}]
    attrs = library("attrs")

    @attrs.define
    class Point:
        x: int
        name: str = "p"

    assert unpack(pack({"p": Point(1)})) == {"p": {"x": 1, "name": "p"}}
