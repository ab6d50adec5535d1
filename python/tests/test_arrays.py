"""Arrays of numbers, with numpy and without."""

import array
import importlib.util
import struct
import sys
from pathlib import Path

import pytest
from minihost import ToolError, Worker
from test_codec import pack, unpack

pytestmark = pytest.mark.native

ADAPTER = str(Path(__file__).parent / "requesting_adapter.py")
HAS_NUMPY = importlib.util.find_spec("numpy") is not None
needs_numpy = pytest.mark.skipif(not HAS_NUMPY, reason="numpy is not installed")
#: Elements of any type from which on an array is sent as a block.
MANY = 10_240


def block(dtype, shape, data, version=1):
    """Encode the wire form by hand."""
    body = bytes([version, dtype, len(shape), 0, 0, 0, 0, 0])
    body += b"".join(struct.pack("<Q", n) for n in shape) + data
    return b"\xc9" + struct.pack(">Ib", len(body), 7) + body


def test_small_arrays_are_arrays():
    for code in "bBhHiIlLqQfd":
        sent = array.array(code, [0, 1, 2])
        got = unpack(pack(sent))
        assert got.tolist() == [0, 1, 2] and memoryview(got.data).itemsize == sent.itemsize
    assert unpack(pack(array.array("b", [-1, -128]))).tolist() == [-1, -128]
    assert unpack(pack(array.array("Q", [2**64 - 1]))).tolist() == [2**64 - 1]
    assert unpack(pack(array.array("d"))).shape == (0,)
    view = memoryview(bytes(range(6)))
    assert unpack(pack(view.cast("h"))).tolist() == [256, 770, 1284]
    assert unpack(pack(view.cast("b", (2, 3)))).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_plain_views_are_still_bytes():
    assert unpack(pack(memoryview(b"abc"))) == b"abc"
    assert unpack(pack(memoryview(bytearray(20_000)))) == bytes(20_000)


def test_a_large_array_is_one_block():
    data = array.array("d", range(MANY))
    packed = pack(data)
    assert packed == block(2, (MANY,), data.tobytes())
    got = unpack(packed)
    assert len(got) == MANY and list(got[:3]) == [0.0, 1.0, 2.0]
    assert pack(got) == packed


@pytest.mark.parametrize("code", "bBhHiIqQfd")
def test_every_type_survives(code):
    data = array.array(code, [1, 2, 100] * MANY)
    got = unpack(pack(data))
    assert got.tolist() == data.tolist()
    assert pack(got) == pack(data)


def test_views_that_are_not_in_c_order_are_copied():
    data = memoryview(array.array("i", range(2 * MANY)))
    assert unpack(pack(data[::2])).tolist() == list(range(0, 2 * MANY, 2))
    assert unpack(pack(data[:10:5])).tolist() == [0, 5]


def test_other_elements_are_refused():
    with pytest.raises(TypeError, match="is an array of text"):
        pack(array.array("u", "abc"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (block(1, (1,), bytes(4), version=2), "version 2"),
        (block(0, (1,), bytes(4)), "type 0"),
        (block(17, (1,), bytes(4)), "type 17"),
        (block(15, (1,), bytes(8)), "type 15"),
        (block(1, (2,), bytes(4)), "4 bytes of data"),
        (block(1, (2**64 - 1, 2), b""), "more bytes than can be addressed"),
        (block(1, (2**64 - 1, 0), b""), "more bytes than can be addressed"),
        (block(7, (1,) * 33, b"x"), "33 dimensions"),
        (b"\xd4\x07\x01", "header of an array"),
        (b"\xd7\x07\x01\x01\x01\0\0\0\0\0", "shape of an array"),
    ],
)
def test_broken_blocks_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        unpack(data)


def test_empty_and_single_blocks():
    assert unpack(block(2, (0, 3), b"")).shape == (0, 3)
    single = unpack(block(2, (), struct.pack("<d", 1.5)))
    assert (single.shape, single.tolist()) == ((), 1.5)


def test_the_class_for_workers_without_numpy():
    from snakepit_bridge._arrays.array import Array

    made = Array("float32", "f", (2, 2), bytearray(struct.pack("<4f", 1, 2, 3, 4)))
    assert made.tolist() == [[1.0, 2.0], [3.0, 4.0]] == list(made)
    assert (len(made), made[1, 0], made.shape, made.dtype) == (2, 3.0, (2, 2), "float32")
    assert made == Array("float32", "f", [2, 2], bytes(made.data)) and made != 1
    assert unpack(pack(made)).tolist() == made.tolist()
    assert Array("int8", "b", (0, 5), b"").tolist() == []
    assert repr(made) == "<Array float32 [2, 2]>"
    with pytest.raises(TypeError):
        len(Array("bool", "?", (), b"\1"))
    if sys.version_info >= (3, 12):
        assert memoryview(made).shape == (2, 2)


def test_parts_of_an_array_without_numpy():
    from snakepit_bridge._arrays.array import Array

    shape = (2, 3, 2)
    cube = Array("int16", "h", shape, bytearray(struct.pack("<12h", *range(12))))
    lists = cube.tolist()
    assert [cube[0].tolist(), cube[-1].tolist()] == lists
    assert cube[1].shape == (3, 2) and cube[1].dtype == "int16"
    assert cube[1, 2].tolist() == lists[1][2] == cube[1][2].tolist()
    assert cube[1, -1, 0] == 10 == cube[1][2][0]
    assert list(cube[0, 1].data[1:]) == [3] == list(cube[0, 1, 1:])
    for part in [slice(1, None), slice(None), slice(0, 0), slice(None, None, -1)]:
        assert cube[part].tolist() == lists[part]
        assert cube[0, part].tolist() == lists[0][part]
    # A block shares its elements.
    cube[0].data[2, 1] = 99
    assert cube[0, 2, 1] == 99
    for index in [2, -3, (0, 3), (0, 0, 2), (0, 0, 0, 0)]:
        with pytest.raises(IndexError):
            cube[index]
    for index in ["a", 1.0, (slice(None), 0), ..., None]:
        with pytest.raises(TypeError):
            cube[index]
    empty = Array("int8", "b", (2, 0, 5), b"")
    assert (empty[1].shape, empty[1].tolist()) == ((0, 5), [])
    with pytest.raises(IndexError):
        empty[1, 0]


@needs_numpy
def test_numpy_arrays_survive():
    import numpy as np

    integers = [f"{sign}int{size}" for sign in ("", "u") for size in (8, 16, 32, 64)]
    for name in ["float32", "float64", "bool", *integers]:
        sent = np.arange(3 * MANY).reshape(3, 2, -1).astype(name)
        got = unpack(pack(sent))
        assert got.dtype == sent.dtype and got.flags.writeable
        np.testing.assert_array_equal(got, sent)
        assert unpack(pack(sent[:, :, :2])).tolist() == sent[:, :, :2].tolist()
    columns = np.arange(2.0 * MANY).reshape(2, -1).T
    np.testing.assert_array_equal(unpack(pack(columns)), columns)
    assert unpack(pack(np.array(2.5))) == 2.5
    assert unpack(pack([np.zeros((0, 3))]))[0].shape == (0, 3)


@pytest.mark.parametrize("numpy", [pytest.param(True, marks=needs_numpy), False])
def test_arrays_both_ways_through_a_worker(tmp_path, numpy):
    (tmp_path / "tools.py").write_text(
        ("" if numpy else "import sys\nsys.modules['numpy'] = None\n")
        + """
import array
from snakepit_bridge import tool

@tool
def kind(x):
    return [type(x).__name__, list(x.shape), x.tolist()[1]]

@tool
def total(xs: list[float], rows: list[list[int]] | None = None) -> float:
    assert type(xs) is list and type(xs[0]) is float
    return sum(xs) + sum(map(sum, rows or []))

@tool
def unique(xs: set[int]):
    return len(xs)

@tool
def doubled(x):
    return array.array("f", [2 * n for n in x.tolist()])

@tool
def name(text: str):
    return text

@tool
def pieces():
    for i in range(3):
        yield array.array("d", [i] * 5000)
"""
    )
    data = array.array("f", range(MANY))
    with Worker("tools.py", cwd=str(tmp_path)) as worker:
        rows = memoryview(data).cast("B").cast("f", (2, MANY // 2))
        got = worker.call("kind", x=rows)
        assert got[:2] == ["ndarray" if numpy else "Array", [2, MANY // 2]]
        assert got[2] == data[MANY // 2 :].tolist()
        assert worker.call("total", xs=data) == sum(data)
        ints = memoryview(array.array("q", range(MANY))).cast("B").cast("q", (2, MANY // 2))
        assert worker.call("total", xs=data, rows=ints) == sum(data) + sum(range(MANY))
        assert worker.call("unique", xs=array.array("h", [1, 2] * MANY)) == 2
        assert worker.call("doubled", x=data).tolist() == [2 * n for n in data]
        assert [chunk.tolist()[0] for chunk in worker.stream("pieces")] == [0.0, 1.0, 2.0]
        with pytest.raises(ToolError, match="must be str") as error:
            worker.call("name", text=data)
        assert error.value.code == "SP2003"
        with pytest.raises(ToolError, match=r"must be int, got .*") as error:
            worker.call("unique", xs=array.array("f", [0.5]))
        assert error.value.code == "SP2003"


@pytest.mark.parametrize("numpy", [pytest.param(True, marks=needs_numpy), False])
def test_arrays_travel_in_requests(tmp_path, numpy):
    hide = "" if numpy else "import sys\nsys.modules['numpy'] = None\n"
    (tmp_path / "asking.py").write_text(hide + Path(ADAPTER).read_text())
    with Worker("asking.py", cwd=str(tmp_path)) as worker:
        kind, total = worker.call("doubles", n=MANY)
        assert kind == ("numpy.ndarray" if numpy else "snakepit_bridge._arrays.array.Array")
        assert total == sum(range(MANY))
        assert worker.requests[0].raw == pack(array.array("d", range(MANY)))
