"""The original's `serialization` module."""

import json
import math
import sys

import pytest
from hypothesis import given, strategies as st

from snakepit_bridge import serialization
from snakepit_bridge.serialization import (
    BINARY_THRESHOLD,
    REPR_KEY,
    TYPE_KEY,
    UNSERIALIZABLE_KEY,
    GracefulJSONEncoder,
    TypeSerializer,
    is_marker,
    validate_constraints,
)

encode, decode = TypeSerializer.encode_any, TypeSerializer.decode_any


@pytest.fixture(params=["plain", "no numpy"])
def numpy_or_not(request, monkeypatch):
    if request.param == "no numpy":
        monkeypatch.setitem(sys.modules, "numpy", None)
    return request.param


def lists(value):
    return value.tolist() if hasattr(value, "tolist") else value


def test_constants():
    assert (UNSERIALIZABLE_KEY, TYPE_KEY, REPR_KEY, BINARY_THRESHOLD) == (
        "__ffi_unserializable__", "__type__", "__repr__", 10240,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (1, "float", "1.0"),
        (math.inf, "float", '"Infinity"'),
        (-math.inf, "float", '"-Infinity"'),
        (5, "integer", "5"),
        (5.0, "integer", "5"),
        ("x", "string", '"x"'),
        (True, "boolean", "true"),
        ("a", "choice", '"a"'),
        ("m.C", "module", '"m.C"'),
        ({"a": [1, None]}, "map", '{"a": [1, null]}'),
        ([1.0, 2.0], "embedding", "[1.0, 2.0]"),
        ([[1, 2], [3, 4]], "tensor", '{"shape": [2, 2], "data": [1.0, 2.0, 3.0, 4.0]}'),
    ],
)
def test_values_go_there_and_back(value, kind, text, numpy_or_not):
    got, binary = encode(value, kind)
    assert got.type_url == f"type.googleapis.com/snakepit.{kind}"
    assert got.value == text.encode() and binary is None
    assert lists(decode(got)) == value


def test_not_a_number():
    got, _ = encode(math.nan, "float")
    assert got.value == b'"NaN"' and math.isnan(decode(got))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("x", "float"), (True, "float"), (1.5, "integer"), (True, "integer"), (5, "string"),
        (1, "boolean"), (None, "choice"), ([[1], [1, 2]], "tensor"), (["x"], "tensor"),
        ([[1.0]], "embedding"), ({"shape": [3], "data": [1]}, "tensor"), ("x", "embedding"),
    ],
)  # fmt: skip
def test_values_of_other_types_are_refused(value, kind):
    with pytest.raises(ValueError):
        encode(value, kind)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": math.nan}, r"\$\['a'\] is nan.* send None"),
        ([1.0, {"b": [math.inf]}], r"\$\[1\]\['b'\]\[0\] is inf"),
        ({1: "a", "1": "b"}, r"\$ has two keys that are '1'.* list"),
        ({"x": {(1, 2): 3}}, r"\$\['x'\] has the key \(1, 2\)"),
        ({math.nan: 3}, "has the key nan"),
        (math.nan, r"\$ is nan"),
    ],
)
def test_what_would_be_no_json_is_refused(value, message):
    for kind in ("map", "list", "any"):
        with pytest.raises(ValueError, match=message):
            encode(value, kind)


def test_what_an_object_converts_to_is_looked_at_too():
    class Row:
        def tolist(self):
            return [1.0, math.nan]

    with pytest.raises(ValueError, match=r"\$\['x'\]\[1\] is nan"):
        encode({"x": Row()}, "map")
    deep = []
    deep.append(deep)
    with pytest.raises(ValueError, match="100 levels"):
        encode(deep, "map")


def test_numbers_that_json_has_no_words_for_are_texts_in_tensors():
    numbers = [math.nan, math.inf, -math.inf, 1.0]
    for kind in ("embedding", "tensor"):
        got, _ = encode(numbers, kind)
        assert b'["NaN", "Infinity", "-Infinity", 1.0]' in got.value
        assert json.loads(got.value, parse_constant=pytest.fail)
        back = lists(decode(got))
        assert math.isnan(back[0]) and back[1:] == numbers[1:]
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError):
            encode(bad, "integer")


def test_scalars_of_numpy_are_numbers():
    np = pytest.importorskip("numpy")
    for value, kind, text in [
        (np.float32(1.5), "float", b"1.5"),
        (np.float32("nan"), "float", b'"NaN"'),
        (np.int64(5), "integer", b"5"),
        (np.bool_(True), "boolean", b"true"),
        (np.str_("x"), "string", b'"x"'),
        ({"a": np.int8(3), "b": [np.float64(0.5)]}, "map", b'{"a": 3, "b": [0.5]}'),
    ]:
        assert encode(value, kind)[0].value == text
    with pytest.raises(ValueError, match=r"\$\['a'\] is nan"):
        encode({"a": np.float32("nan")}, "map")


def test_large_tensors_are_binary(numpy_or_not):
    rows = [[float(i * 100 + j) for j in range(100)] for i in range(20)]
    got, binary = encode(rows, "tensor")
    assert got.type_url.endswith("tensor.binary") and len(binary) == 8000
    assert lists(decode(got, binary)) == rows
    flat = [0.5] * 1281
    got, binary = encode(flat, "embedding")
    assert lists(decode(got, binary)) == flat
    assert encode([0.5] * 1280, "embedding")[1] is None


def test_pickled_data_is_refused():
    text = json.dumps({"binary_format": "pickle", "type": "tensor", "shape": [1]})
    got = serialization.Any("type.googleapis.com/snakepit.tensor.binary", text.encode())
    with pytest.raises(ValueError, match="refused"):
        decode(got, b"cos\nsystem\n")


def test_any_of_the_host_is_read_whatever_its_hint_says():
    hint = "type.googleapis.com/google.protobuf.StringValue"
    assert decode(serialization.Any(hint, b'{"a": 1}')) == {"a": 1}
    assert "StringValue" in repr(serialization.Any(hint))
    with pytest.raises(ValueError):
        decode(serialization.Any(hint, b"\x0a\x01x"))


def test_the_encoder_puts_markers():
    got = json.loads(json.dumps({"a": [1, object()]}, cls=GracefulJSONEncoder))
    assert got["a"][0] == 1 and is_marker(got["a"][1])
    assert got["a"][1][TYPE_KEY] == "builtins.object"


@pytest.mark.parametrize(
    ("value", "constraints"),
    [
        (5, {"min": 5, "max": 5}),
        ("abc", {"min_length": 3, "max_length": 3, "pattern": "^a"}),
        ("a", {"choices": ["a", "b"]}),
        ("m.C", {"allowed_modules": ["m.C"]}),
        ([1.0, 2.0], {"dimensions": 2, "dtype": "float32"}),
        ([[1, 2]], {"shape": [1, 2]}),
        ({"shape": [3], "data": []}, {"shape": (3,)}),
        (1, {"min": None}),
    ],
)
def test_constraints_that_hold(value, constraints):
    validate_constraints(value, "any", constraints)
    TypeSerializer.validate_constraints(value, "any", constraints)


@pytest.mark.parametrize(
    ("value", "constraints"),
    [
        (5, {"min": 6}), (5, {"max": 4}), ("a", {"min_length": 2}), ("abc", {"max_length": 2}),
        ("b", {"pattern": "^a"}), ("c", {"choices": ["a"]}), ("n.C", {"allowed_modules": ["m.C"]}),
        ([1.0], {"dimensions": 2}), ([[1, 2]], {"shape": [2, 1]}), (1, {"maximum": 2}),
    ],
)  # fmt: skip
def test_constraints_that_are_violated(value, constraints):
    with pytest.raises(ValueError):
        validate_constraints(value, "string", constraints)


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=2), min_size=1))
def test_tensors_survive(rows):
    got, binary = encode(rows, "tensor")
    assert lists(decode(got, binary)) == rows
