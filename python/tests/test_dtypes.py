"""Element types and layouts of arrays: each comes back equal, or is refused by numpy's name."""

import datetime
import sys

import pytest
from hypothesis import given, settings, strategies as st
from libraries import library
from minihost import ToolError, Worker
from test_data_values import refusal

pytestmark = pytest.mark.native

native = pytest.importorskip("snakepit_bridge._native", reason="the extension is not built")
pack, unpack = native.pack, native.unpack
np = library("numpy")

NUMBERS = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128",
]  # fmt: skip
TIMES = [
    f"{kind}64[{unit}]"
    for kind in ("datetime", "timedelta")
    for unit in ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "25s")
] + ["timedelta64"]
DTYPES = [*NUMBERS, *TIMES]


def made(dtype, shape):
    count = int(np.prod(shape))
    numbers = np.arange(count) * 3 - count // 2
    if dtype.startswith("complex"):
        numbers = numbers + 1j * numbers[::-1]
    if dtype in TIMES:
        numbers = numbers.astype("int64")
        numbers[count // 2 :] = np.iinfo("int64").min
        return numbers.view(dtype).reshape(shape)
    return numbers.astype(dtype).reshape(shape)


def unaligned(array):
    memory = np.frombuffer(b"x" + array.tobytes(), "u1")
    return np.ndarray(array.shape, array.dtype, memory, 1)


def read_only(array):
    array.flags.writeable = False
    return array


LAYOUTS = {
    "plain": lambda dtype: made(dtype, (2, 3)),
    "fortran": lambda dtype: np.asfortranarray(made(dtype, (2, 3))),
    "transposed": lambda dtype: made(dtype, (2, 3, 4)).T,
    "strided": lambda dtype: made(dtype, (8, 6))[::2, 1::3],
    "backwards": lambda dtype: made(dtype, (6,))[::-1],
    "broadcast": lambda dtype: np.broadcast_to(made(dtype, (3,)), (2, 3)),
    "empty": lambda dtype: made(dtype, (0, 3)),
    "empty inside": lambda dtype: made(dtype, (2, 0, 3)),
    "no dimensions": lambda dtype: made(dtype, ()),
    "read-only": lambda dtype: read_only(made(dtype, (4,))),
    "unaligned": lambda dtype: unaligned(made(dtype, (5,))),
    "unaligned, turned": lambda dtype: unaligned(made(dtype, (2, 3))).T,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_of_every_type_and_layout_come_back(dtype, layout):
    sent = LAYOUTS[layout](dtype)
    got = unpack(pack({"x": [sent]}))["x"][0]
    assert type(got) is np.ndarray and got.dtype == sent.dtype and got.shape == sent.shape
    assert got.dtype.str == sent.dtype.str
    assert got.tobytes() == sent.tobytes()
    assert got.flags.writeable and got.flags.c_contiguous


def test_not_a_time_and_not_a_number_stay_so():
    times = np.array(["2020-02-29T01:02:03.000000004", "NaT"], "datetime64[ns]")
    np.testing.assert_array_equal(unpack(pack(times)), times)
    numbers = np.array([np.nan, np.inf, -0.0], "float16")
    np.testing.assert_array_equal(unpack(pack(numbers)), numbers)
    assert np.signbit(unpack(pack(numbers))[2])


RECORDS = np.zeros(2, [("a", "i4"), ("b", "f8", 2)])


@pytest.mark.parametrize(
    ("array", "name", "way_out"),
    [
        (np.zeros(2, "longdouble"), str(np.dtype("longdouble")), '.astype("float64")'),
        (np.zeros(2, "clongdouble"), str(np.dtype("clongdouble")), '.astype("complex128")'),
        (np.zeros(2, ">f8"), ">f8", '.astype("float64")'),
        (np.zeros(2, ">i2"), ">i2", '.astype("int16")'),
        (np.zeros(2, ">c8"), ">c8", '.astype("complex64")'),
        (np.zeros(2, ">f2"), ">f2", '.astype("float16")'),
        (np.zeros(2, ">M8[ns]"), ">M8[ns]", '.astype("datetime64[ns]")'),
        (np.zeros(2, "U3"), "<U3", ".tolist()"),
        (np.zeros(2, "S3"), "|S3", ".tolist()"),
        (np.array([{}, None]), "object", ".tolist()"),
        (np.zeros(2, "V3"), "|V3", ".tolist()"),
        (RECORDS, "[('a', '<i4'), ('b', '<f8', (2,))]", "value.dtype.names"),
        (RECORDS.view(np.recarray), "numpy.record", "value.dtype.names"),
        (RECORDS["b"].view(">f8"), ">f8", '.astype("float64")'),
        (RECORDS.view([("a" * 80, "i4"), ("b" * 80, "f8", 2)]), "aaaa", "value.dtype.names"),
    ],
)
def test_other_arrays_are_refused_by_numpys_name(array, name, way_out):
    for view in (array, array[::-1], array.reshape(2, -1)):
        message, help = refusal([{"x": view}])
        assert message.startswith("$[0].x is an array of ") and name in message
        assert way_out in help
        assert "T{" not in message and len(message) < 400


def test_views_of_arrays_are_refused_by_numpys_name_too():
    message, help = refusal(memoryview(RECORDS))
    assert "[('a', '<i4')" in message and "T{" not in message
    message, help = refusal(memoryview(np.zeros(2, ">f8")))
    assert ">f8" in message and 'astype("float64")' in help
    message, _ = refusal(memoryview(b"abc").cast("c"))
    assert "single bytes" in message
    import ctypes

    class Point(ctypes.Structure):
        _fields_ = (("x", ctypes.c_int), ("y", ctypes.c_double))

    message, _ = refusal(memoryview((Point * 2)()))
    assert "structured elements" in message and "T{" not in message


@pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="numpy 1 has no such type"
)
def test_texts_of_any_length_are_refused():
    message, help = refusal(np.array(["a", "b"], np.dtypes.StringDType()))
    assert "StringDType()" in message and ".tolist()" in help


def test_too_many_dimensions_are_refused():
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        message, help = refusal(np.zeros((1,) * 33, "complex64"))
        assert "33 dimensions" in message and "reshape" in help
    got = unpack(pack(np.zeros((1,) * 32, "datetime64[s]")))
    assert got.shape == (1,) * 32


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0, 3)])
def test_the_class_for_workers_without_numpy_reads_what_numpy_reads(dtype, shape):
    from snakepit_bridge import Array

    sent = made(dtype, shape)
    dtype = str(sent.dtype)
    formats = {str(np.dtype(code)): code for code in "?bhiqBHIQfd"}
    array = Array(dtype, formats.get(dtype, "q"), sent.shape, bytearray(sent.tobytes()))
    assert array.tolist() == sent.tolist()
    assert pack(array) == pack(sent)
    for got in (np.asarray(array), np.asarray(array).copy()):
        assert got.dtype == sent.dtype and got.shape == sent.shape
        assert got.tobytes() == sent.tobytes()
    if len(shape) == 0:
        assert array[()] == sent.tolist()
        return
    assert len(array) == len(sent) and list(array) == list(sent.tolist())
    assert array == Array(dtype, formats.get(dtype, "q"), sent.shape, sent.tobytes())
    if len(sent):
        for index in (0, -1):
            got = array[index]
            assert (got if len(shape) == 1 else got.tolist()) == sent[index].tolist()
        for part in (slice(1, 3), slice(None, None, -1), slice(None, None, 2)):
            assert array[part].tolist() == sent[part].tolist()
        with pytest.raises(IndexError):
            array[len(sent)]
    if len(shape) == 2 and len(sent):
        assert (
            array[1, 2] == sent[1, 2].tolist() and array[0, ::-1].tolist() == sent[0, ::-1].tolist()
        )


def test_times_without_numpy_are_those_of_datetime():
    from snakepit_bridge import Array

    def array(dtype, *numbers):
        data = b"".join(number.to_bytes(8, "little", signed=True) for number in numbers)
        return Array(dtype, "q", [len(numbers)], data)

    days = array("datetime64[D]", 0, 18321, -(2**63))
    assert list(days) == [datetime.date(1970, 1, 1), datetime.date(2020, 2, 29), None]
    moments = array("datetime64[500ms]", 3)
    assert moments[0] == datetime.datetime(1970, 1, 1, 0, 0, 1, 500_000)
    assert array("datetime64[M]", -1)[0] == datetime.date(1969, 12, 1)
    assert array("timedelta64[W]", 2)[0] == datetime.timedelta(weeks=2)
    for dtype, number in (("datetime64[ns]", 5), ("timedelta64[Y]", 5), ("datetime64[D]", 10**12)):
        assert array(dtype, number)[0] == number
    assert days != array("datetime64[s]", 0, 18321, -(2**63))
    if sys.version_info >= (3, 12):
        with pytest.raises(BufferError):
            memoryview(days)
    with pytest.raises(TypeError, match="not a known element type"):
        pack(array("datetime64[x]", 1))
    with pytest.raises(TypeError, match="8 bytes of data"):
        wrong = array("int64", 1)
        wrong.shape = (2,)
        pack(wrong)


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hints")
    (directory / "tools.py").write_text(
        """
import numpy as np
import numpy.typing as npt
from snakepit_bridge import tool

@tool
def by_set(x: dict[frozenset[int], str]) -> list[str]:
    assert all(type(key) is frozenset for key in x)
    return sorted(x.values())

@tool
def by_tuple(x: dict[tuple[int, str], int]) -> list[int]:
    assert all(type(key) is tuple for key in x)
    return list(x.values())

@tool
def kinds(a: set[int], b: frozenset[int], c: list[int], d: frozenset[tuple[int, int]]):
    return [type(x).__name__ for x in (a, b, c, d)], d

@tool
def kind(x: np.ndarray) -> str:
    return f"{type(x).__name__} {x.dtype} {x.shape}"

@tool
def complexes(x: npt.NDArray[np.complex64]) -> npt.NDArray[np.complex64]:
    return x.conj()

@tool
def numbers(x: list[float]) -> float:
    return sum(x)
"""
    )
    with Worker("tools.py", cwd=str(directory)) as worker:
        yield worker


def test_hints_take_keys_and_sets(worker):
    assert worker.call("by_set", x={frozenset([1]): "a", frozenset([2, 3]): "b"}) == ["a", "b"]
    assert worker.call("by_tuple", x={(1, "a"): 2}) == [2]
    one = frozenset([1])
    names, pairs = worker.call("kinds", a=one, b=one, c=one, d=frozenset([(1, 2)]))
    assert names == ["set", "frozenset", "list", "frozenset"] and pairs == {(1, 2)}
    with pytest.raises(ToolError, match=r"must be"):
        worker.call("by_set", x={frozenset(["a"]): "a"})


def test_hints_take_arrays_of_every_type(worker):
    for dtype in DTYPES:
        array = made(dtype, (2, 2))
        assert worker.call("kind", x=array) == f"ndarray {array.dtype} (2, 2)"
    array = made("complex64", (3,))
    np.testing.assert_array_equal(worker.call("complexes", x=array), array.conj())
    assert worker.call("numbers", x=np.array([1.5, 2], "float16")) == 3.5
    for dtype in ("complex64", "datetime64[ns]", "timedelta64[Y]", "datetime64[D]"):
        with pytest.raises(ToolError) as error:
            worker.call("numbers", x=np.zeros(2, dtype))
        assert error.value.code == "SP2003"


def test_an_array_does_not_become_more_lists_than_it_has_elements(worker):
    for shape in ((2**40, 0), (10_000, *(1,) * 20)):
        array = np.zeros(shape, "int8")
        with pytest.raises(ToolError, match="many more than its elements") as error:
            worker.call("numbers", x=array)
        assert error.value.code == "SP2003"


def blocks():
    """Blocks of arrays, most of which are damaged."""
    length = st.integers(0, 3) | st.integers(0, 2**64 - 1)
    header = st.tuples(
        st.sampled_from([1, 1, 1, 2]),
        st.integers(0, 18),
        st.integers(0, 3),
        st.integers(0, 15),
    )
    count = st.integers(0, 2) | st.integers(0, 2**32 - 1)

    def body(header, count, shape, data):
        lengths = b"".join(n.to_bytes(8, "little") for n in shape[: header[2]])
        return bytes(header) + count.to_bytes(4, "little") + lengths + data

    shape = st.lists(length, min_size=3, max_size=3)
    sizes = st.sampled_from([0, 1, 2, 4, 8, 16, 24, 32, 64]) | st.integers(0, 64)
    data = sizes.flatmap(lambda size: st.binary(min_size=size, max_size=size))
    return st.builds(body, header, count, shape, data)


@settings(max_examples=1500, deadline=None)
@given(blocks(), st.booleans())
def test_any_block_is_read_or_refused(body, small):
    wire = b"\xc9" + len(body).to_bytes(4, "big") + b"\x07" + body
    if small:
        wire = b"\xc7" + bytes([len(body)]) + b"\x07" + body
    try:
        got = unpack(wire)
    except (ValueError, TypeError):
        return
    assert unpack(pack(got)).tobytes() == got.tobytes()


def test_a_view_of_bytes_keeps_its_shape():
    for view in (memoryview(b"abcd").cast("B", (2, 2)), memoryview(bytearray(b"a")).cast("B", ())):
        got = unpack(pack(view))
        assert (got.dtype, got.shape) == ("uint8", view.shape)
        assert got.tobytes() == view.tobytes()
