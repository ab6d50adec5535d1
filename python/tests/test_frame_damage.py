"""Data frames whose bytes contradict each other: an error with its place, and never a crash."""

from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from libraries import library
from minihost import ToolError, Worker
from test_frames import PANDAS, TABLE, pack, polars_frame, unpack

pytestmark = pytest.mark.native

pa = library("pyarrow")

ADAPTER = Path(__file__).parent / "frames_adapter.py"


@pytest.fixture(scope="module")
def worker():
    with Worker(str(ADAPTER), max_payload=1 << 22) as worker:
        yield worker


def compressed(name):
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=name)
    with pa.ipc.new_stream(sink, TABLE.schema, options=options) as writer:
        writer.write(TABLE)
    return sink.getvalue().to_pybytes()


def block(stream, kind=5):
    """Encode a frame as an extension of MessagePack."""
    data = bytes([1, kind, 0]) + stream
    return b"\xc9" + len(data).to_bytes(4, "big") + b"\x10" + data


def stream_of(table):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    return sink.getvalue().to_pybytes()


BOMB = stream_of(pa.table({"n": pa.nulls(1 << 20)}))


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"", "Arrow"),
        (b"\xff\xff\xff\xff", "cut short"),
        (stream_of(TABLE)[:-100], "cut short"),
        (stream_of(TABLE) + b"x", "bytes follow"),
        (compressed("zstd"), "compressed"),
        (compressed("lz4"), "compressed"),
        (BOMB, "more rows than it has bytes for"),
    ],
)
def test_a_malformed_frame_is_refused_with_its_place(worker, stream, reason):
    body = b"\x81\xa5value\x91" + block(stream)
    with pytest.raises(ToolError) as caught:
        worker.call_raw("same", body)
    error = caught.value.fields
    assert (error["code"], error["path"]) == ("SP2006", "value[0]")
    assert reason in error["message"] and "\n" not in error["message"]
    for kind in range(10):
        with pytest.raises(ValueError, match=r"data frame at \$ cannot be read"):
            unpack(block(stream, kind))


def test_an_unknown_header_is_refused():
    for header in (b"\x02\x01\x00", b"\x01\x63\x00", b"\x01\x01\xff", b"\x01"):
        data = b"\xc9" + len(header).to_bytes(4, "big") + b"\x10" + header
        with pytest.raises(ValueError, match="cannot be read: its"):
            unpack(data)


GOOD = [
    pack(frame)
    for frame in (
        PANDAS["plain"],
        PANDAS["levels"],
        PANDAS["lists"],
        PANDAS["categories"],
        polars_frame(),
        TABLE,
        pa.array(["a", "b", "a"]).dictionary_encode(),
        pa.table({"v": pa.array(["a" * 20, "b"], pa.string_view())}),
    )
]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_frames_are_values_or_errors(data):
    good = data.draw(st.sampled_from(GOOD))
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, damaged[at] ^ 4]))
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(damaged))) :]
    try:
        unpack(bytes(damaged))
    except ValueError as error:
        assert "\n" not in str(error)
