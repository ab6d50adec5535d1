"""Data frames as arguments and results: the class of the annotation, places of errors, limits."""

import re
from pathlib import Path

import pytest
from libraries import library
from minihost import Worker
from test_frames import PANDAS, TABLE, pack, polars_frame, unpack

pytestmark = pytest.mark.native

np, pd, pa, pl = (library(name) for name in ("numpy", "pandas", "pyarrow", "polars"))

ADAPTER = Path(__file__).parent / "frames_adapter.py"


@pytest.fixture(scope="module")
def worker():
    with Worker(str(ADAPTER), max_payload=1 << 22) as worker:
        yield worker


FRAMES = [PANDAS["plain"], polars_frame().select("i", "s", "d"), TABLE.select(["a", "c"])]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__module__)
def test_a_parameter_gets_the_class_of_its_annotation(worker, frame):
    columns = getattr(frame, "column_names", None) or list(frame.columns)
    for name, expected in (
        ("pandas_frame", "pandas.DataFrame"),
        ("polars_frame", "polars.DataFrame"),
        ("table", "pyarrow.Table"),
    ):
        got = worker.call(name, value=frame)
        assert got == {"class": expected, "shape": list(frame.shape), "columns": columns}
    assert worker.call("record_batch", frame) == "pyarrow.RecordBatch"
    name = type(frame).__module__.partition(".")[0]
    assert worker.call("name_of", value=frame) == f"{name}.{type(frame).__name__}"


@pytest.mark.parametrize("series", [pd.Series([1, 2]), pl.Series([1, 2]), pa.array([1, 2])])
def test_a_column_gets_the_class_of_its_annotation(worker, series):
    assert worker.call("pandas_series", value=series) == ["pandas.Series", [1, 2]]
    assert worker.call("polars_series", value=series) == ["polars.Series", [1, 2]]
    assert worker.call("array", value=series) == [True, [1, 2]]


def test_frames_within_containers_have_the_class_of_the_annotation(worker):
    values = {"x": [FRAMES[0], FRAMES[1]], "y": [TABLE]}
    got = worker.call("frames", values=values, other=FRAMES[0])
    assert got == ["polars.DataFrame"] * 3 + ["pandas.DataFrame"]
    assert worker.call("job", job={"name": "a", "data": TABLE}) == ["a", "pandas.DataFrame"]


def test_whole_numbers_with_nulls_stay_whole_numbers_in_pandas():
    [kind], library = unpack(pack([3])), None
    assert (kind, library) == (3, None)
    from snakepit_bridge._frames import streams

    sent, stream = streams.encode(polars_frame().select("i"))
    frame = streams.decode(sent, stream, streams.PANDAS)
    assert str(frame["i"].dtype) == "Int64" and frame["i"].iloc[2] == 2**60 + 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"a": [1, 2], "b": [1]}, "column `a` has 2 values, and column `b` has 1"),
        ({"a": [1], "b": 5}, "column `b` is int, and columns are lists"),
        ({1: [1]}, "a column is named 1, and names of columns are texts"),
        ([{"a": 1}, [1]], "row 1 is list, and rows are objects"),
        ([{"a": 1}, {2: 1}], "row 1 has the key 2, and names of columns are texts"),
        ({"a": [1, "x"]}, None),
        ({"a": [1, True]}, None),
        ({"a": [{"x": 1}, {"x": "y"}]}, None),
    ],
    ids=repr,
)
def test_what_makes_no_frame_says_why(worker, value, reason):
    for name, cls in (("pandas_frame", "pd.DataFrame"), ("polars_frame", "pl.DataFrame")):
        if reason is None and name == "pandas_frame":
            # A column of objects.
            assert worker.call(name, value=value)["shape"] == [2, 1]
            continue
        error = worker.fail(name, value=value)
        assert (error["code"], error["path"]) == ("SP2003", "value")
        assert f"must be {cls}" in error["message"]
        assert (reason or "") in error["message"], error["message"]
    error = worker.fail("job", job={"name": "a", "data": {"x": [1], "y": []}})
    assert (error["code"], error["path"]) == ("SP2003", "job.data")
    assert "column `x` has 1 values, and column `y` has 0" in error["message"]


#: Records and columns as JSON has them, and the columns that each library makes of them.
JSON = {
    "whole numbers with gaps": [{"n": 2**53 + 1}, {"n": None}],
    "a value that only a later record has": [{"n": 1}] * 200 + [{"n": 1, "late": 2**53 + 1}],
    "truth values with gaps": {"b": [True, None]},
    "large numbers": {"u": [2**64 - 1, 0], "v": [2**64 - 1, None]},
    "numbers of both kinds": {"x": [1, 2.5, None]},
    "maps of different keys": {"m": [{"a": 1}, {"b": 2}, None]},
    "lists": [{"l": [1]}, {"l": []}],
    "texts": [{"t": "a"}, {"t": None}],
    "nothing": [{"t": None}],
    "no rows": {"a": [], "b": []},
    "no records": [],
}


@pytest.mark.parametrize("name", JSON)
def test_no_value_of_json_is_lost_in_a_frame(worker, name):
    value = JSON[name]
    rows = value
    if isinstance(value, dict):
        rows = [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
    names = list(dict.fromkeys(key for row in rows for key in row))
    expected = [{key: row.get(key) for key in names} for row in rows]
    for tool in ("pandas_rows", "polars_rows", "table_rows"):
        got = worker.call(tool, value=value)
        if name == "maps of different keys":
            # A struct has all its fields in each row.
            got = [{"m": row["m"] and {k: v for k, v in row["m"].items() if v}} for row in got]
        assert got == expected, tool


def test_records_and_columns_make_a_frame(worker):
    records = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    columns = {"a": [1, 2], "b": ["x", "y"]}
    for name in ("pandas_frame", "polars_frame", "table"):
        for value in (records, columns):
            got = worker.call(name, value=value)
            assert (got["shape"], got["columns"]) == ([2, 2], ["a", "b"])
    assert worker.call("pandas_series", value=[1, 2]) == ["pandas.Series", [1, 2]]


@pytest.mark.parametrize("value", [5, "x", [1, 2], {"a": 1}, {"a": [1], "b": []}, pl.Series([1])])
def test_what_is_no_frame_is_refused(worker, value):
    error = worker.fail("frames", values={"x": [TABLE, value]})
    assert (error["code"], error["path"]) == ("SP2003", 'values["x"][1]')
    assert "must be pl.DataFrame" in error["message"]
    error = worker.fail("pandas_series", value=TABLE)
    assert (error["code"], error["path"]) == ("SP2003", "value")


DOCS = (Path(__file__).parents[2] / "docs" / "dataframes.md").read_text()


def test_the_blocks_of_the_guide_run(tmp_path):
    adapter = tmp_path / "guide.py"
    adapter.write_text("\n\n".join(re.findall("```python\n(.*?)```", DOCS, re.DOTALL)))
    prices = pd.DataFrame({"day": [1, 1, 2], "x": [1.0, 2.0, 5.0]})
    with Worker(str(adapter)) as worker:
        got = worker.call("daily", prices=prices)
        assert got.to_dict("index") == {1: {"x": 1.5}, 2: {"x": 5.0}}
        assert [tool["name"] for tool in worker.described["tools"]] == ["daily", "remember"]


def test_the_schema_shows_frames(worker):
    schemas = {tool["name"]: tool["parameters_schema"] for tool in worker.described["tools"]}
    assert '"items":{"type":"object"}' in schemas["pandas_frame"]
    assert '"array"' in schemas["polars_series"]


def test_a_refusal_names_the_place_in_the_result(worker):
    error = worker.fail("bad_cell")
    assert error["code"] == "SP2007"
    assert "$.parts[1]['mixed'] is a column of objects of the type builtins.set" in error["message"]
    assert error["help"] == "convert it with `.map(sorted)`"
    error = worker.fail("lazy")
    assert (error["code"], error["help"]) == ("SP2007", "send `value.collect()`")


def test_frames_cross_in_streams_batches_and_requests(worker):
    got = list(worker.stream("batches", count=3))
    assert [batch.to_pylist() for batch in got] == [[{"n": 0}], [{"n": 1}], [{"n": 2}]]
    got = worker.many("same", [{"value": frame} for frame in FRAMES])
    assert [type(frame) for frame in got] == [type(frame) for frame in FRAMES]


def test_limits_hold_for_frames(worker):
    limit = 1 << 22
    rows = limit // 80 - 100
    assert worker.call("made", rows=rows).shape == (rows, 10)
    error = worker.fail("made", rows=rows + 200)
    assert error["code"] == "SP2005" and f"the limit is {limit}" in error["message"]
    assert worker.fail("total", value=worker.call("same", value=[]))["code"] == "SP3001"
    assert worker.call("same", value=1) == 1


def test_a_large_frame_can_be_written_to(worker):
    frame = pd.DataFrame({f"c{i}": np.arange(40_000.0) for i in range(10)})
    expected = frame.to_numpy().sum() + 1
    for _ in range(3):
        assert worker.call("total", value=frame) == expected
