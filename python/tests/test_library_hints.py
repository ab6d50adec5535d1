"""Hints of `collections`, numpy and msgspec: conversion and refusal."""

import datetime
from pathlib import Path

import pytest
from libraries import library
from minihost import ToolError, Worker

pytestmark = pytest.mark.native

library("msgspec")
np = library("numpy")

UTC = datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc)


@pytest.fixture(scope="module")
def worker():
    with Worker(str(Path(__file__).parent / "library_hints_adapter.py")) as worker:
        yield worker


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("tagged", {"type": "bike"}, ["Bike Bike(wheels=2)", {"type": "bike", "wheels": 2}]),
        ("tagged", {"wheels": 3}, ["Car Car(wheels=3)", {"type": "car", "wheels": 3}]),
        ("one_tagged", {"wheels": 3, "type": "car"}, "Car Car(wheels=3)"),
        ("queue", [1, 2.5], "deque deque([1.0, 2.5])"),
        ("ordered", {"2": "a", "1": "b"}, "OrderedDict OrderedDict("),
        ("counted", {"a": 2}, "Counter Counter({'a': 2})"),
        ("grouped", {"a": [1]}, "[] dict {'a': [1], 'missing': []}"),
        ("small_float", 1, "float32 "),
        ("small_float", "NaN", "float32 "),
        ("small_int", 127.0, "int8 "),
        ("small_int", None, "NoneType None"),
        ("truth", True, "bool True"),
        ("scores", {"1": 2}, "['int64', 'float64'] 2.0"),
        ("bytes_array", [[0, 255], [3.0, 4]], "uint8 [[0, 255], [3, 4]]"),
        ("bytes_array", [], "uint8 []"),
        ("typed_array", [1, "NaN", "-Infinity"], "float32 (3,)"),
        ("matrix", [], "float64 []"),
        ("matrix", [[1, 2]], "float64 [[1.0, 2.0]]"),
        ("any_array", [True, False], "ndarray bool (2,)"),
        ("any_array", [2**64 - 1], "ndarray uint64 (1,)"),
        ("days", ["2024-01-02"], "datetime64[D] [datetime.date(2024, 1, 2)]"),
        ("moment", datetime.date(2024, 1, 2), "datetime64 datetime64[D] 2024-01-02"),
        ("moment", datetime.datetime(2024, 1, 2, 3), "datetime64 datetime64[us] 2024-01-02T03:00"),
        ("moment", "2024-01-02 03:04:05.000000006", "datetime64 datetime64[ns] 2024-01-02T03:04"),
        ("moment", np.asarray(np.datetime64(1, "ns")), "datetime64 datetime64[ns] 1970-01-01T"),
        ("moment", np.asarray(np.datetime64("NaT", "s")), "datetime64 datetime64[s] NaT"),
        ("span", datetime.timedelta(seconds=1), "timedelta64 timedelta64[us] 1000000 micro"),
        ("span", "PT1.5S", "timedelta64 timedelta64[us] 1500000 micro"),
        ("span", np.asarray(np.timedelta64(7, "ns")), "timedelta64 timedelta64[ns] 7 nano"),
        ("small_complex", [1, -0.5], "complex64 complex64 (1-0.5j)"),
        ("small_complex", 2, "complex64 complex64 (2+0j)"),
        ("small_complex", ["NaN", 0], "complex64 complex64 (nan+0j)"),
        ("plain_complex", [1, 2], "complex (1+2j)"),
        ("plain_complex", 1.5, "complex (1.5+0j)"),
        ("plain_complex", "1", "str '1'"),
        ("whole", -1, "int64 int64 -1"),
        ("whole", 2**64 - 1, "uint64 uint64 18446744073709551615"),
        ("whole", 3.0, "int64 int64 3"),
        ("whole", np.asarray(np.int8(3)), "int8 int8 3"),
        ("number", 1.5, "float64 float64 1.5"),
        ("number", 1, "int64 int64 1"),
        ("number", np.asarray(np.complex64(1j)), "complex64 complex64 1j"),
        ("double", 1, "float64 float64 1.0"),
        ("timed", {"2024-01-02": "P1D"}, "datetime64 datetime64[D] 2024-01-02 timedelta64 timedel"),
        ("complexes", [[1, 2], [0, "NaN"]], "complex64 (2,) [(1+2j), nanj]"),
        ("complexes", [[[1, 2]]], "complex64 (1, 1) [[(1+2j)]]"),
        ("complexes", [], "complex64 (0,) []"),
        ("days", ["2024-01-02", None], "datetime64[D] [datetime.date(2024, 1, 2), None]"),
        ("days", [datetime.date(2024, 1, 2)], "datetime64[D] [datetime.date(2024, 1, 2)]"),
        ("hours", ["2024-01-02"], "datetime64[h]"),
        ("hours", ["2024-01-02T03:00:00", datetime.datetime(2024, 1, 2, 3)], "datetime64[h]"),
        ("spans", [1, 0.5, None], f"timedelta64[us] [1000000, 500000, {-(2**63)}]"),
        ("spans", [[-1]], "timedelta64[us] [[-1000000]]"),
        ("spans", [], "timedelta64[us] []"),
        ("complexes", np.array([1.5], "f4"), "complex64 (1,) [(1.5+0j)]"),
    ],
)
def test_values_become_what_the_annotation_says(worker, name, value, expected):
    got = worker.call(name, x=value)
    if isinstance(expected, str):
        assert got.startswith(expected), got
    else:
        assert got == expected


def test_an_iterator_is_one(worker):
    assert worker.call("iterated", y=[5, 6]) == "5 6"


def test_an_asynchronous_iterator_yields_the_items(worker):
    some = {"a": [1, 2.0], "b": [3], "c": ["x"]}
    assert worker.call("drained", **some) == "[[1, 2], [3.0], ['x']]"
    assert worker.call("drained", **some, d=[4]) == "[[1, 2], [3.0], ['x'], [4]]"
    error = worker.fail("drained", **{**some, "a": [1, "x"]})
    assert error["path"] == "a[1]"


@pytest.mark.parametrize(
    ("name", "value", "path", "what"),
    [
        ("tagged", {"type": "boat"}, "x.type", "must be 'car'"),
        ("tagged", {"type": "bike", "wheels": "2"}, "x.wheels", "must be int"),
        ("tagged", {"type": "bike", "doors": 2}, "x.doors", "not a field of Bike"),
        ("queue", [1, "a"], "x[1]", "must be float"),
        ("queue", 1, "x", "must be deque[float]"),
        ("ordered", {"a": "b"}, "x", "has a key that must be int"),
        ("counted", {"a": 1.5}, 'x["a"]', "must be int"),
        ("small_float", 1e39, "x", "must be between"),
        ("small_int", 128, "x", "must be np.int8 | None"),
        ("truth", 1, "x", "must be np.bool"),
        ("bytes_array", [256], "x", "must be ndarray of uint8"),
        ("bytes_array", [256], "x", "int64 does not fit uint8"),
        ("bytes_array", [[1], [1, 2]], "x", "its lists have unequal lengths"),
        ("bytes_array", [-1], "x", "int64 does not fit uint8"),
        ("bytes_array", [1.5], "x", "float64 does not fit uint8"),
        ("bytes_array", [True], "x", "bool does not fit uint8"),
        ("typed_array", [1e39], "x", "float64 does not fit float32"),
        ("typed_array", [1, "x"], "x", "not all numbers"),
        ("matrix", [[1, 2, 3]], "x", "its shape is [1, 3]"),
        ("matrix", [1, 2], "x", "its shape is [2]"),
        ("any_array", [True, 2], "x", "all truth values"),
        ("any_array", [2**64 - 1, -1], "x", "more than 64 bits"),
        ("days", ["2024-13-02"], "x", "not all dates"),
        ("days", [1], "x", "not all dates"),
        ("days", [UTC], "x", "without a zone"),
        ("hours", ["2024-01-02T03:30"], "x", "do not fit datetime64[h]"),
        ("hours", [datetime.datetime(2024, 1, 2, 3, 30)], "x", "do not fit datetime64[h]"),
        ("spans", ["P1D"], "x", "not all numbers of seconds"),
        ("spans", [True], "x", "not all numbers of seconds"),
        ("spans", [1e13], "x", "a span is too long"),
        ("spans", [[1], [1, 2]], "x", "unequal lengths"),
        ("moment", 5, "x", "not a date"),
        ("moment", "2024", "x", "not a date"),
        ("moment", "2024-01-02T00:00:00Z", "x", "without a zone"),
        ("moment", UTC, "x", "has a time zone"),
        ("span", "1 day", "x", "ISO 8601"),
        ("small_complex", [1, 2, 3], "x", "must be np.complex64"),
        ("small_complex", [1e39, 0], "x[0]", "must be between"),
        ("plain_complex", [1, "a"], "x[1]", "must be float"),
        ("whole", 1.5, "x", "must be np.integer"),
        ("whole", np.asarray(1.5), "x", "must be np.integer"),
        ("number", True, "x", "must be np.number"),
        ("number", np.asarray(True), "x", "must be np.number"),
        ("timed", {"1": 1}, "x", "has a key that must be np.datetime64"),
        ("complexes", [1, 2], "x", "not all pairs"),
        ("complexes", [[1, 2, 3]], "x", "not all pairs"),
        ("complexes", [[1e39, 0]], "x", "float64 does not fit float32"),
        ("complexes", np.array([1j]), "x", "complex128 does not fit complex64"),
    ],
)
def test_what_does_not_fit_is_refused_at_its_place(worker, name, value, path, what):
    with pytest.raises(ToolError) as caught:
        worker.call(name, x=value)
    message = str(caught.value)
    assert caught.value.code in ("SP2003", "SP2004"), message
    assert f"`{path}`" in message and what in message, message
