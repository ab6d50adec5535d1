"""Data frames of pandas, polars and pyarrow: equal, or refused with the line to write."""

import datetime as dt
import decimal
import subprocess
import sys
import uuid
import zoneinfo

import pytest
from libraries import library
from minihost import PACKAGE_DIR

pytestmark = pytest.mark.native

native = pytest.importorskip("snakepit_bridge._native", reason="the extension is not built")
pack, unpack = native.pack, native.unpack

np = library("numpy")
pd = library("pandas")
pa = library("pyarrow")
pl = library("polars")

DAY = dt.date(2024, 1, 1)


def objects(*cells):
    return pd.Series(list(cells), dtype=object)


def column(*cells, dtype=object):
    return pd.DataFrame({"a": pd.Series(list(cells), dtype=dtype)})


def attributes(values):
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = values
    return frame


PANDAS = {
    "plain": pd.DataFrame({"a": [1, 2], "b": [1.5, np.nan], "c": ["x", None], "d": [True, False]}),
    "widths": pd.DataFrame({"a": np.array([1, 2], "f2"), "b": np.array([2**64 - 1, 0], "u8")}),
    "moments": pd.DataFrame(
        {u: pd.Series([DAY, None]).astype(f"datetime64[{u}]") for u in ("s", "ms", "us", "ns")}
    ),
    "spans": pd.DataFrame(
        {u: pd.Series([1, 2]).astype(f"timedelta64[{u}]") for u in ("s", "ms", "us", "ns")}
    ),
    "zones": pd.DataFrame(
        {
            "a": pd.date_range("2024-03-30", periods=3, tz="Europe/Berlin"),
            "b": pd.date_range("2024-03-30", periods=3, tz=dt.timezone(dt.timedelta(hours=5.5))),
            "c": pd.date_range("2024-03-30", periods=3, tz=zoneinfo.ZoneInfo("Asia/Tokyo")),
            "d": pd.date_range("2024-03-30", periods=3, tz=zoneinfo.ZoneInfo("UTC")),
            "e": pd.date_range("2024-03-30", periods=3, tz=dt.timezone.utc),
        },
        index=pd.MultiIndex.from_arrays(
            [
                pd.date_range("2024-03-30", periods=3, tz=dt.timezone(-dt.timedelta(minutes=90))),
                pd.date_range("2024-03-30", periods=3, tz=zoneinfo.ZoneInfo("Asia/Tokyo")),
            ],
            names=["i", "j"],
        ),
    ),
    "unique labels": pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False),
    "zone of the index": pd.DataFrame(
        {"a": [1, 2]},
        index=pd.date_range("2024-03-30", periods=2, tz=zoneinfo.ZoneInfo("Europe/Berlin")),
    ),
    "categories": pd.DataFrame(
        {
            "a": pd.Categorical(["x", None, "x"], categories=["z", "x"], ordered=True),
            "b": pd.Categorical([3, 1, 3]),
        }
    ),
    "nullable": pd.DataFrame(
        {
            "a": pd.array([1, None, 2**62 + 1], "Int64"),
            "b": pd.array([1.5, None, 2], "Float64"),
            "c": pd.array([True, None, False], "boolean"),
            "d": pd.array(["a", None, "c"], "string"),
        }
    ),
    "arrow": pd.DataFrame(
        {
            "a": pd.array([1, None], "int64[pyarrow]"),
            "b": pd.array([[1], None], pd.ArrowDtype(pa.list_(pa.int64()))),
            "c": pd.array([{"x": 1}, None], pd.ArrowDtype(pa.struct([("x", pa.int8())]))),
            "d": pd.array([decimal.Decimal("1.5"), None], pd.ArrowDtype(pa.decimal128(5, 2))),
        }
    ),
    "periods": pd.DataFrame(
        {"a": pd.period_range("2024-01", periods=3, freq="M"), "b": pd.interval_range(0, 3)}
    ),
    "texts": pd.DataFrame({"a": objects("x", None), "b": objects("x", np.nan)}),
    "numbers": pd.DataFrame({"a": objects(1, 2**63), "b": objects(1.5, np.nan)}),
    "flags": pd.DataFrame({"a": objects(True, None), "b": objects(b"x", None)}),
    "days": pd.DataFrame({"a": objects(DAY, None), "b": objects(dt.time(1), None)}),
    "decimals": column(decimal.Decimal("1.50"), None, decimal.Decimal("2.25")),
    "lists": pd.DataFrame({"a": objects([1, 2], None, []), "b": objects([1], [2], [3])}),
    "maps": column({"x": 1, "y": [1]}, None, {"x": 2, "y": []}),
    "arrays": pd.DataFrame({"a": objects(np.array([1, 2]), None), "b": objects([1], [2])}),
    "nothing": pd.DataFrame({"a": objects(None, None), "b": objects(np.nan, np.nan)}),
    "not available": column("a", pd.NA),
    "empty": pd.DataFrame(),
    "no rows": pd.DataFrame({"a": pd.Series([], dtype="int8"), "b": pd.Series([], dtype=object)}),
    "no columns": pd.DataFrame(index=range(5)),
    "only an index": pd.DataFrame(index=["a", "b"]),
    "numbered columns": pd.DataFrame([[1, 2.5]]),
    "numbers as names": pd.DataFrame([[1, 2.5]], columns=[0, 5]),
    "levels of names": pd.DataFrame(
        [[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")], names=["p", None])
    ),
    "objects as names": pd.DataFrame(
        [[1, 2]], columns=pd.Index(["a", "b"], dtype=object, name="n")
    ),
    "days as names": pd.DataFrame([[1, 2]], columns=pd.date_range("2024", periods=2)),
    "texts as index": pd.DataFrame({"a": [1, 2]}, index=["x", "y"]),
    "named index": pd.DataFrame({"a": [1, 2]}, index=pd.Index([3, 4], name="k")),
    "index of a column's name": pd.DataFrame({"a": [1, 2]}, index=pd.Index([3, 4], name="a")),
    "range": pd.DataFrame({"a": [1, 2, 3]}, index=pd.RangeIndex(10, 4, -2, name="r")),
    "range without a name": pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(5, 7)),
    "range of a column's name": pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(2, name="a")),
    "range without columns": pd.DataFrame(index=pd.RangeIndex(3, 9, 3, name="r")),
    "range without rows": pd.DataFrame({"a": []}, index=pd.RangeIndex(3, 3, 3, name="r")),
    "frequency": pd.DataFrame(
        {"a": [1, 2]}, index=pd.date_range("2024", periods=2, freq="D", tz="UTC", name="t")
    ),
    "levels": pd.DataFrame(
        {"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=[None, "k"])
    ),
    "level of objects": pd.DataFrame(
        {"a": [1, 2]},
        index=pd.MultiIndex.from_arrays([pd.Index(["x", "y"], dtype=object), [1, 2]]),
    ),
    "objects as index": pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", None], dtype=object)),
    "objects with an index": pd.DataFrame({"a": ["x", [1]][:1]}, index=["k"]).astype(object),
    "categories as index": pd.DataFrame({"a": [1]}, index=pd.CategoricalIndex(["x"])),
    "attributes": attributes({"unit": "m"}),
}

SERIES = {
    "plain": pd.Series([1, 2], name="x"),
    "unnamed": pd.Series([1.5, None]),
    "named by a number": pd.Series([1.5, 2], name=3, index=["a", "b"]),
    "objects": pd.Series(["a", None], dtype=object),
    "categories": pd.Series(["a", "b"], dtype="category", name="c"),
    "range": pd.Series([1, 2], name="x", index=pd.RangeIndex(1, 5, 2, name="r")),
}


def cells(value):
    columns = [value[name] for name in value] if value.ndim == 2 else [value]
    return [(type(cell), repr(cell)) for column in columns for cell in column]


@pytest.mark.parametrize("name", PANDAS)
def test_a_frame_of_pandas_comes_back_equal(name):
    frame = PANDAS[name]
    [back] = unpack(pack([frame]))
    pd.testing.assert_frame_equal(
        back, frame, check_index_type="exact", check_column_type="exact", check_exact=True
    )
    assert type(back.index) is type(frame.index) and type(back.columns) is type(frame.columns)
    assert cells(back) == cells(frame)
    assert back.attrs == frame.attrs and back.flags == frame.flags
    if isinstance(frame.index, pd.DatetimeIndex):
        assert back.index.freq == frame.index.freq


@pytest.mark.parametrize("name", SERIES)
def test_a_series_of_pandas_comes_back_equal(name):
    series = SERIES[name]
    back = unpack(pack({"s": series}))["s"]
    pd.testing.assert_series_equal(back, series, check_index_type="exact", check_exact=True)
    assert cells(back) == cells(series)


@pytest.mark.parametrize(
    ("frame", "what", "way_out"),
    [
        (column(1, "x"), "$['a'] is a column of objects of several types, int and str", "astype"),
        (column(1, 2.5), "$['a'] is a column of objects of several types, float and int", "astype"),
        (column({1}), "$['a'] is a column of objects of the type builtins.set", "sorted"),
        (column((1, 2)), "$['a'] is a column of objects of the type builtins.tuple", "map(list)"),
        (column(uuid.UUID(int=1)), "of the type uuid.UUID", "map(str)"),
        (column(2**70), "$['a'] is a column of objects that Arrow does not support", "astype(str)"),
        (
            column("\ud800"),
            "$['a'] is a column of objects that Arrow does not support",
            "astype(str)",
        ),
        (column({"x": 1}, {"y": 1}), "$['a'][0] would come back as {'x': 1, 'y': None}", "alike"),
        (column([1, 2.5]), "$['a'][0] would come back as [1.0, 2.5]", "alike"),
        (column("x", None, np.nan), "$['a'] marks missing values in several ways", "notna"),
        (column(1j, dtype=complex), "$['a'] is a column of complex128", "imaginary"),
        (column(0, 1, dtype="Sparse[int]"), "$['a'] is a column of Sparse[int64, 0]", "to_dense"),
        (column(1, dtype=">i4"), "$['a'] is a column of >i4", 'astype("int32")'),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "has two columns named 'a'", "duplicated"),
        (pd.DataFrame([[1, 2]], columns=["a", 1]), "objects of the type int and str", "map(str)"),
        (
            pd.DataFrame({"a": [1]}, index=pd.Index([1], name=0)),
            "$.index is named by a int, 0",
            "value.index.names",
        ),
        (
            pd.DataFrame({"a": [1, 2]}, index=pd.Index([1, "x"], dtype=object)),
            "$.index is a column of objects of several types",
            "astype",
        ),
        (
            attributes({"a": object()}),
            "$.attrs has values that JSON does not support",
            "value.attrs = {}",
        ),
        (attributes({1: 2}), "$.attrs has values that JSON returns changed", "value.attrs = {}"),
        (
            pl.LazyFrame({"a": [1]}),
            "is a lazy query of polars, which has no data",
            "value.collect()",
        ),
        (
            pl.DataFrame({"o": pl.Series([object()], dtype=pl.Object)}),
            "$['o'] is a column of Object",
            "map_elements",
        ),
    ],
)
def test_what_would_be_another_frame_is_refused(frame, what, way_out):
    with pytest.raises(TypeError) as caught:
        pack(frame)
    message = str(caught.value)
    assert what in message and way_out in message
    assert type(frame).__name__ in message


def test_a_subclass_with_attributes_is_refused():
    class Places(pd.DataFrame):
        _metadata = ("projection",)

    with pytest.raises(TypeError, match="Places that has attributes besides its columns"):
        pack(Places({"a": [1]}))


def polars_frame():
    frame = pl.DataFrame(
        {
            "i": [1, None, 2**60 + 1],
            "s": ["a", None, "c"],
            "l": [[1, None], None, []],
            "r": [{"x": 1, "y": "b"}, None, {"x": 2, "y": None}],
            "d": [DAY, None, DAY],
            "t": [dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc), None, None],
            "n": [None, None, None],
            "b": [b"x", None, b""],
            "p": [decimal.Decimal("1.50"), None, decimal.Decimal("2.25")],
        }
    )
    return frame.with_columns(
        pl.col("s").cast(pl.Categorical).alias("c"),
        pl.col("s").cast(pl.Enum(["a", "c"])).alias("e"),
        pl.Series("f", [[1, 2], [3, 4], None], dtype=pl.Array(pl.Int8, 2)),
    )


@pytest.mark.parametrize("frame", [polars_frame(), pl.DataFrame(), polars_frame().clear()])
def test_a_frame_of_polars_comes_back_equal(frame):
    back = unpack(pack(frame))
    assert type(back) is pl.DataFrame and back.schema == frame.schema and back.equals(frame)


def test_a_series_of_polars_comes_back_equal():
    for series in (pl.Series("x", [1, None]), pl.Series([1.5]), pl.Series("e", [], dtype=pl.Date)):
        back = unpack(pack(series))
        assert type(back) is pl.Series
        assert (back.name, back.dtype) == (series.name, series.dtype) and back.equals(series)


TABLE = pa.table({"a": [1, 2, None], "b": pa.array([{"x": 1}] * 3), "c": ["x", None, "z"]})


@pytest.mark.parametrize(
    "value",
    [
        TABLE,
        TABLE.replace_schema_metadata({"k": "v"}),
        pa.concat_tables([TABLE, TABLE]),
        TABLE.slice(1, 1),
        pa.table([[1], [2]], names=["a", "a"]),
        pa.table({}),
        TABLE.to_batches()[0],
        TABLE.schema.empty_table().to_batches()[0]
        if TABLE.schema.empty_table().to_batches()
        else pa.record_batch({"a": pa.array([], pa.int8())}),
        TABLE.column(0),
        pa.chunked_array([[1], [2, 3]]),
        pa.chunked_array([], pa.int8()),
        TABLE.column(1).chunk(0),
        pa.array(["a", "b", "a"]).dictionary_encode(),
        pa.array([1.5, None]).slice(1),
    ],
    ids=repr,
)
def test_data_of_pyarrow_comes_back_equal(value):
    back = unpack(pack(value))
    assert type(back) is type(value) and back.equals(value)
    if isinstance(value, pa.Table):
        assert back.schema.equals(value.schema, check_metadata=True)


def test_a_reader_comes_back_as_a_reader():
    back = unpack(pack(TABLE.to_reader()))
    assert isinstance(back, pa.RecordBatchReader) and back.read_all().equals(TABLE)


def test_whatever_speaks_arrow_is_a_table():
    class Stream:
        def __init__(self, data):
            self.data = data

        def __arrow_c_stream__(self, requested_schema=None):
            return self.data.__arrow_c_stream__(requested_schema)

    assert unpack(pack(Stream(TABLE))).equals(TABLE)
    assert unpack(pack(Stream(polars_frame()))).num_rows == 3
    assert unpack(pack(Stream(TABLE.column(0)))).equals(TABLE.column(0))


def test_nothing_is_imported_for_a_frame_that_is_sent():
    code = """
import sys
from snakepit_bridge import _native
class Stream:
    def __arrow_c_stream__(self, requested_schema=None): raise AssertionError
try:
    _native.pack(Stream())
except TypeError as error:
    print(error)
_native.pack({"a": [1, 2.5, "x"]})
print([name for name in ("pandas", "polars", "pyarrow", "numpy") if name in sys.modules])
sys.modules["pyarrow"] = None
import pandas
del sys.modules["pyarrow"]
for value in (pandas.DataFrame({"a": [1]}), pandas.Series([1])):
    try:
        _native.pack(value)
    except TypeError as error:
        print(error)
print("pyarrow" in sys.modules)
"""
    environment = {"PYTHONPATH": str(PACKAGE_DIR)}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    stream, imported, frame, series, after = run.stdout.splitlines()
    assert "needs pyarrow or polars to be sent: add `import pyarrow`" in stream
    assert imported == "[]"
    assert 'pip install pyarrow`), or send `value.to_dict("list")`' in frame
    assert "or send `value.tolist()`" in series
    assert after == "False"
