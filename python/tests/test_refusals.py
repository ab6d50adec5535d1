"""Values of every kind that cannot be sent: each is refused with its place, its type and a line.

The line is code for the value, and what it gives can be sent.
"""

import argparse
import array
import asyncio
import collections
import concurrent.futures
import ctypes
import datetime
import decimal
import enum
import fractions
import functools
import io
import ipaddress
import itertools
import math
import mmap
import os
import pathlib
import re
import sqlite3
import sys
import types
import typing
import weakref
import xml.etree.ElementTree
import zoneinfo

import pytest
from libraries import library

pytestmark = pytest.mark.native

native = pytest.importorskip("snakepit_bridge._native", reason="the extension is not built")
pack, unpack = native.pack, native.unpack


class Held(enum.Enum):
    PATH = pathlib.Path("x")


class Plain:
    """A class of the user."""


ARRAY = array.array("d", [1.5])


async def coroutine():
    """Never awaited."""


def closed(coroutine):
    coroutine.close()
    return coroutine


#: Type as the message names it, the value, and what else the message and the help have.
PYTHON = [
    ("int", 2**64, "outside of 64 bits", "decimal.Decimal(value)"),
    ("int", -(2**63) - 1, "outside of 64 bits", "decimal.Decimal(value)"),
    ("str", "a\udcff", "the lone surrogate '\\udcff' at 1", '"surrogatepass")'),
    ("str", "ä\ud800b", "the lone surrogate '\\ud800' at 1", '"replace").decode()'),
    ("complex", 1j, "", "[value.real, value.imag]"),
    ("timedelta", datetime.timedelta.max, "64 bits of microseconds", "value.total_seconds()"),
    (
        "datetime.time",
        datetime.time(1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        "whose zone has no offset by itself",
        "value.replace(tzinfo=None)",
    ),
    (
        "datetime.datetime",
        datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(microseconds=1))),
        "an offset of less than a second",
        "value.isoformat()",
    ),
    ("datetime.timezone", datetime.timezone.utc, "", "str(value)"),
    ("zoneinfo.ZoneInfo", zoneinfo.ZoneInfo("UTC"), "", "str(value)"),
    ("fractions.Fraction", fractions.Fraction(1, 3), "", "value.denominator"),
    ("pathlib", pathlib.Path("x"), "", "str(value)"),
    ("pathlib", pathlib.PureWindowsPath("x"), "", "str(value)"),
    ("pathlib", Held.PATH, "", ""),
    ("enum.Enum", Held, "", "the name of the class"),
    ("ipaddress.IPv4Address", ipaddress.ip_address("1.1.1.1"), "", "str(value)"),
    ("ipaddress.IPv6Network", ipaddress.ip_network("::/8"), "", "str(value)"),
    ("range", range(3), "", "list(value)"),
    ("slice", slice(1, 2), "", "value.stop"),
    ("list_iterator", iter([1]), "", "list(value)"),
    ("zip", zip([1], [2], strict=True), "", "list(value)"),
    ("map", map(str, [1]), "", "list(value)"),
    ("dict_keys", {1: 2}.keys(), "", "list(value)"),
    ("dict_items", {1: 2}.items(), "", "list(value)"),
    ("generator", (i for i in [1]), "", "or `yield` the items"),
    ("itertools.count", itertools.count(), "", "itertools.islice(value, count)"),
    ("itertools.chain", itertools.chain([1]), "", "list(value)"),
    ("coroutine", closed(coroutine()), "", "`await` it"),
    ("concurrent.futures._base.Future", concurrent.futures.Future(), "", "value.result()"),
    ("re.Match", re.match("(a)", "a"), "", "value.groups()"),
    ("re.Pattern", re.compile("a"), "", "value.pattern"),
    ("collections.deque", collections.deque([1]), "", "list(value)"),
    ("collections.ChainMap", collections.ChainMap({"a": 1}), "", "dict(value)"),
    ("collections.UserDict", collections.UserDict(a=1), "", "dict(value)"),
    ("collections.UserList", collections.UserList([1]), "", "list(value)"),
    ("collections.UserString", collections.UserString("a"), "", "str(value)"),
    ("mappingproxy", types.MappingProxyType({"a": 1}), "", "dict(value)"),
    ("types.SimpleNamespace", types.SimpleNamespace(a=1), "", "vars(value)"),
    ("argparse.Namespace", argparse.Namespace(a=1), "", "vars(value)"),
    ("ValueError", ValueError("x"), "", "str(value)"),
    ("KeyboardInterrupt", KeyboardInterrupt(), "", "str(value)"),
    ("module", math, "", "what the caller needs"),
    ("type", int, "", "the name of the class"),
    ("function", closed, "", "call it"),
    ("functools.partial", functools.partial(int), "", "call it"),
    ("ellipsis", ..., "", "None"),
    ("types.GenericAlias", list[int], "", "str(value)"),
    ("typing.", typing.TypeVar("T"), "", "str(value)"),
    ("object", object(), "", ""),
    ("test_refusals.Plain", Plain(), "", "make the class a dataclass"),
    ("weakref.ReferenceType", weakref.ref(ARRAY), "", "value()"),
    ("_io.BytesIO", io.BytesIO(b"x"), "", "value.getvalue()"),
    ("_io.StringIO", io.StringIO("x"), "", "value.getvalue()"),
    ("_io.TextIOWrapper", io.TextIOWrapper(io.BytesIO()), "", "what you read from it"),
    ("mmap.mmap", mmap.mmap(-1, 10), "", "value[:]"),
    ("ctypes.c_int", ctypes.c_int(1), "", "value.value"),
    ("c_int_Array_3", (ctypes.c_int * 3)(1, 2, 3), "", "list(value)"),
    ("sqlite3.Cursor", sqlite3.connect(":memory:").execute("select 1"), "", "value.fetchall()"),
    ("Element", xml.etree.ElementTree.Element("a"), "", "tostring(value)"),
    ("posix.DirEntry", next(os.scandir("/")), "", "value.path"),
]


def numpy_values():
    np = library("numpy")
    record = np.zeros(1, [("a", "i4"), ("b", "f8")])
    return [
        ("timedelta64[ns]", np.timedelta64(1, "ns"), "", "numpy.asarray(value)"),
        ("timedelta64[Y]", np.timedelta64(1, "Y"), "", "numpy.asarray(value)"),
        ("timedelta64", np.timedelta64(5), "5 generic time units", "numpy.asarray(value)"),
        ("datetime64[D]", np.datetime64("20000-01-01"), "20000-01-01", "numpy.asarray(value)"),
        ("datetime64[ns]", np.datetime64(1, "ns"), "", "numpy.asarray(value)"),
        ("datetime64", np.datetime64("NaT"), "not a time", "None"),
        (f"numpy.{np.dtype('longdouble')}", np.longdouble(1), "", "float(value)"),
        (f"numpy.{np.dtype('clongdouble')}", np.clongdouble(1), "", "float(value.imag)"),
        ("numpy.complex64", np.complex64(1), "", "[value.real, value.imag]"),
        ("numpy.void of [('a'", record[0], "", "dict(zip("),
        ("numpy.record", record.view(np.recarray)[0], "", "dict(zip("),
        ("Float32DType", np.dtype("f4"), "", "str(value)"),
        ("numpy.ufunc", np.add, "", "call it"),
        ("numpy.poly1d", np.poly1d([1, 2]), "", "value.coeffs"),
        ("numpy.flatiter", np.zeros(3).flat, "", "list(value)"),
        ("Generator", np.random.default_rng(), "", "draw from it"),
        ("big-endian", np.zeros(2, ">f4"), "", '.astype("float32")'),
        ("object", np.array([None, 1], dtype=object), "", ".tolist()"),
        ("mask", np.ma.masked, "", ".filled(0)"),
    ]


def pandas_values():
    pd = library("pandas")
    frame = pd.DataFrame({"a": [1]})
    return [
        ("Interval", pd.Interval(0, 1), "", "[value.left, value.right]"),
        ("Period", pd.Period("2024-01"), "", "str(value)"),
        ("Timestamp", pd.Timestamp(1, unit="ns"), "with nanoseconds", "value.to_numpy()"),
        ("Timedelta", pd.Timedelta(1, unit="ns"), "with nanoseconds", 'value.round("us")'),
        ("Categorical", pd.Categorical(["a"]), "", "pandas.Series(value)"),
        ("IntegerArray", pd.array([1, None], dtype="Int64"), "", "pandas.Series(value)"),
        ("NAType", pd.NA, "", "None"),
        ("NaT", pd.NaT, "not a time", "None"),
        ("Index", pd.Index([1]), "", "pandas.Series(value)"),
        ("PeriodIndex", pd.period_range("2024", periods=2, freq="M"), "", "pandas.Series(value)"),
        ("MultiIndex", pd.MultiIndex.from_tuples([(1, 2)], names=["a", "b"]), "", "to_frame"),
        ("GroupBy", frame.groupby("a"), "", "value.sum()"),
        ("Rolling", frame["a"].rolling(1), "", "value.sum()"),
        ("Int64Dtype", pd.Int64Dtype(), "", "str(value)"),
        ("MonthEnd", pd.offsets.MonthEnd(), "", "value.freqstr"),
    ]


def polars_values():
    pl = library("polars")
    frame = pl.DataFrame({"a": [1]})
    return [
        ("polars.expr", pl.col("a"), "", "select(value)"),
        ("DataTypeClass", pl.Int64, "", "str(value)"),
        ("Datetime", pl.Datetime("us"), "", "str(value)"),
        ("GroupBy", frame.group_by("a"), "", "value.agg("),
        ("LazyFrame", frame.lazy(), "has no data", "value.collect()"),
    ]


def pyarrow_values():
    pa = library("pyarrow")
    return [
        ("pyarrow.lib.Int64Scalar", pa.scalar(1), "", "value.as_py()"),
        ("pyarrow.lib.StructScalar", pa.scalar({"a": 1}), "", "value.as_py()"),
        ("pyarrow.lib.Schema", pa.schema([("a", pa.int8())]), "", "value.empty_table()"),
        ("pyarrow.lib.Field", pa.field("a", pa.int8()), "", "str(value)"),
        ("pyarrow.lib.DataType", pa.int8(), "", "str(value)"),
        ("pyarrow.lib.Buffer", pa.py_buffer(b"ab"), "", "value.to_pybytes()"),
    ]


def model_values():
    pydantic, msgspec = library("pydantic"), library("msgspec")
    return [
        ("SecretStr", pydantic.SecretStr("x"), "", "get_secret_value()"),
        ("HttpUrl", pydantic.HttpUrl("http://a.example"), "", "str(value)"),
        ("msgspec.Raw", msgspec.Raw(b"1"), "", "bytes(value)"),
        ("msgspec.UnsetType", msgspec.UNSET, "", "None"),
    ]


def refused(name, value, what, way_out):
    with pytest.raises(TypeError) as caught:
        pack({"rows": [value]})
    message = str(caught.value)
    said, _, help = message.partition(": ")
    assert said.startswith("$.rows[0]") and name in said and what in said, message
    assert way_out in help, message
    # Neither codes of `struct` nor names of MessagePack.
    assert "T{" not in said and "ext" not in said.split(), message
    names = {**vars(sys.modules["builtins"]), **globals(), "value": value}
    for module in ("numpy", "pandas"):
        if f"{module}." in help:
            names[module] = library(module)
    for code in re.findall("`([^`]*value[^`]*)`", help):
        if any(part in code for part in ("value.result", "(...)", "frame.", ", count)")):
            # These need more than the value.
            continue
        made = eval(code, names)
        assert unpack(pack(made)) is not None, code


@pytest.mark.parametrize(("name", "value", "what", "way_out"), PYTHON)
def test_values_of_python_are_refused_with_a_line_that_works(name, value, what, way_out):
    refused(name, value, what, way_out)


@pytest.mark.parametrize(
    "values", [numpy_values, pandas_values, polars_values, pyarrow_values, model_values]
)
def test_values_of_libraries_are_refused_with_a_line_that_works(values):
    for case in values():
        refused(*case)


def test_keys_are_refused_as_values_are():
    for key in (2**64, "\ud800", 1j, pathlib.Path("x")):
        with pytest.raises(TypeError, match=r"^\$\.keys\[0\] is .*: (send|return) `?"):
            pack({key: 1})


def test_what_contains_itself_is_refused():
    rows: list = []
    rows.append(rows)
    with pytest.raises(TypeError, match=r"nests more than 128 levels deep: .* contains itself"):
        pack(rows)


def test_a_task_is_to_be_awaited():
    async def run():
        task = asyncio.ensure_future(asyncio.sleep(0))
        with pytest.raises(TypeError, match="Task, which cannot be sent: `await` it"):
            pack(task)
        await task

    asyncio.run(run())


def test_decimals_of_every_kind_come_back():
    for text in ("1E+999999", "-0", "NaN", "sNaN123", "-Infinity", "0E-50"):
        assert str(unpack(pack(decimal.Decimal(text)))) == text
