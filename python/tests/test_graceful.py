"""Values that cannot be sent, and secrets in texts."""

import array
import collections
import datetime
import json
import os

import pytest

from snakepit_bridge._redact import MASK
from snakepit_bridge._serve import errors
from snakepit_bridge._unsendable.markers import (
    REPR_KEY,
    TYPE_KEY,
    UNSERIALIZABLE_KEY,
    Policy,
    convert,
    is_marker,
    marker,
)


class Plain:
    def __repr__(self):
        return "Plain(api_key='sk-abcdefgh12345')"


class Methods:
    """A class with the named conversions, each of which returns its own name."""

    def __init__(self, **results):
        self.__dict__.update({name: lambda value=value: value for name, value in results.items()})


def test_conversions_are_tried_in_order():
    names = ["model_dump", "to_dict", "_asdict"]
    for first in range(3):
        obj = Methods(**{name: {"by": name} for name in names[first:]}, tolist=[1])
        assert convert(obj) == {"by": names[first]}
    assert convert(Methods(tolist=[1, 2], isoformat="t")) == [1, 2]
    assert convert(Methods(isoformat="2024")) == "2024"
    assert convert(array.array("i", [1, 2])) == [1, 2]
    assert convert(datetime.date(2024, 5, 6)) == "2024-05-06"
    Point = collections.namedtuple("Point", "x y")
    assert convert(Point(1, 2)) == {"x": 1, "y": 2}


def test_what_a_conversion_must_not_give():
    assert is_marker(convert(Methods(to_dict=[1], isoformat=5)))
    assert is_marker(convert(Methods()))
    obj = Methods()
    obj.tolist = lambda: obj
    assert is_marker(convert(obj))
    # A class has the methods of its instances.
    assert convert(datetime.date)[TYPE_KEY] == "builtins.type"


def test_a_conversion_that_fails_is_none():
    def bad():
        raise RuntimeError("no")

    obj = Methods()
    obj.model_dump = obj.tolist = bad
    obj.to_dict = lambda: {"ok": 1}
    assert convert(obj) == {"ok": 1}

    class Hostile:
        def __getattr__(self, name):
            raise RuntimeError("no")

    assert is_marker(convert(Hostile()))


@pytest.mark.parametrize(
    "size", [{"shape": (100, 11)}, {"size": 1001}, {"nnz": 1001}, {"shape": ("x",)}]
)
def test_arrays_that_are_too_large_are_not_turned_into_lists(size):
    obj = Methods(tolist=[1])
    obj.__dict__.update(size)
    policy = Policy({"SNAKEPIT_TOLIST_MAX_ELEMENTS": "1000"})
    assert is_marker(convert(obj, policy))
    assert is_marker(convert(array.array("b", bytes(1001)), policy))
    assert convert(array.array("b", bytes(2)), policy) == [0, 0]


def test_what_tolist_gave_is_counted_too():
    policy = Policy({"SNAKEPIT_TOLIST_MAX_ELEMENTS": "5"})
    assert is_marker(convert(Methods(tolist=[1] * 6), policy))
    assert is_marker(convert(Methods(tolist=[[1, 2], (3, 4)]), policy))
    assert convert(Methods(tolist=[[1], (2,)]), policy) == [[1], (2,)]
    endless = []
    endless.append(endless)
    assert is_marker(convert(Methods(tolist=endless), policy))
    short = Methods(tolist=[1] * 6)
    short.size = 1
    assert is_marker(convert(short, policy))


def test_times_of_numpy_do_not_become_numbers():
    numpy = pytest.importorskip("numpy")
    for value in ("2020-01-01T00:00:00.000000001", "NaT"):
        assert is_marker(convert(numpy.datetime64(value, "ns")))
    assert is_marker(convert(numpy.timedelta64(1, "Y")))
    assert is_marker(convert(numpy.array([["NaT"], [1]], "m8[ns]")))
    assert convert(numpy.datetime64("2020-01-01")).isoformat() == "2020-01-01"
    assert convert(numpy.array([], "M8[ns]")) == []


def test_numpy_is_converted():
    numpy = pytest.importorskip("numpy")
    assert convert(numpy.float32(1.5)) == 1.5
    assert convert(numpy.arange(4).reshape(2, 2)) == [[0, 1], [2, 3]]
    assert is_marker(convert(numpy.zeros(5), Policy({"SNAKEPIT_TOLIST_MAX_ELEMENTS": "4"})))


def test_markers_tell_the_type_and_what_is_asked_for():
    name = f"{__name__}.Plain"
    assert marker(Plain(), Policy({})) == {UNSERIALIZABLE_KEY: True, TYPE_KEY: name}

    def of(detail, **env):
        return marker(Plain(), Policy({"SNAKEPIT_UNSERIALIZABLE_DETAIL": detail, **env}))[REPR_KEY]

    assert of("type") == f"<{name}>"
    assert of("repr_truncated") == "Plain(api_key='sk-abcdefgh12345')"
    assert of("repr_redacted_truncated") == f"Plain(api_key='{MASK}')"
    assert of("repr_truncated", SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN="6") == "Plain…"
    # Redacted before it is cut: half a secret would not be recognised.
    cut = of("repr_redacted_truncated", SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN="26")
    assert "sk-" not in cut and len(cut) == 26
    assert REPR_KEY not in marker(Plain(), Policy({"SNAKEPIT_UNSERIALIZABLE_DETAIL": "bogus"}))
    assert not is_marker({}) and not is_marker(5) and not is_marker({UNSERIALIZABLE_KEY: 1})


def test_settings_that_cannot_be_understood_count_as_not_set():
    policy = Policy({"SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN": "x"})
    assert (policy.detail, policy.max_repr, policy.max_elements) == ("none", 500, 1_000_000)
    assert Policy({"SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN": "99999"}).max_repr == 2000
    assert Policy({"SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN": "-1"}).max_repr == 0


def test_a_broken_repr_breaks_no_marker(monkeypatch):
    class Broken:
        def __repr__(self):
            raise RuntimeError("no")

    class Surrogate:
        def __repr__(self):
            return "\ud800"

    monkeypatch.setitem(os.environ, "SNAKEPIT_UNSERIALIZABLE_DETAIL", "repr_truncated")
    assert convert(Broken())[REPR_KEY] == "<no repr: RuntimeError>"
    convert(Surrogate())[REPR_KEY].encode()


def test_errors_of_tools_carry_no_secrets():
    def call():
        cause = KeyError("token='abcdef'")
        raise RuntimeError("login failed: Bearer abcdefghij") from cause

    try:
        call()
    except RuntimeError as error:
        error.__notes__ = ["api_key='xyz123'"]
        got = json.dumps(errors.describe_exception(error))
    for secret in ("abcdefghij", "xyz123", "'abcdef'"):
        assert secret not in got
    assert got.count(MASK) >= 4
